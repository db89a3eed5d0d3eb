//! Reads a field out of a record through the field table, and spells bytes as text.

use std::fmt::Write;

use sensor_common::{
    field::{Field, Kind, Sight},
    record::Record,
};
use serde::{Serialize, Serializer};

/// What a record holds in one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer of 32 or 64 bits.
    Int(u64),
    /// A boolean.
    Bool(bool),
    /// The bytes kept, and how much of the whole they are.
    Text(&'a [u8], Kept),
}

/// How much of a text was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of it.
    Whole,
    /// The beginning, or nothing.
    Beginning,
    /// Its first and its last bytes, half of what is kept each.
    Ends,
}

/// What `record` holds in `field`.
pub fn read<'a>(field: &Field, record: &'a Record) -> Value<'a> {
    let bytes = &record.as_bytes()[field.offset..field.offset + field.kind.size()];
    let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    match field.kind {
        Kind::U32 => Value::Int(word(0).into()),
        Kind::Bool => Value::Bool(word(0) != 0),
        Kind::U64 => {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            Value::Int(u64::from_ne_bytes(eight))
        }
        Kind::Text(capacity) => {
            let (kept, full) = (word(0), word(4));
            let cut = match (full > kept, field.sight(record)) {
                (false, _) => Kept::Whole,
                (true, Sight::Cut) => Kept::Ends,
                (true, _) => Kept::Beginning,
            };
            Value::Text(&bytes[8..8 + (kept as usize).min(capacity)], cut)
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(int) => serializer.serialize_u64(*int),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::Text(bytes, Kept::Ends) => {
                let (first, last) = bytes.split_at(bytes.len() / 2);
                serializer.serialize_str(&format!("{}\u{2026}{}", spell(first), spell(last)))
            }
            Self::Text(bytes, _) => serializer.serialize_str(&spell(bytes)),
        }
    }
}

/// Bytes as text, such that the bytes can be told from the text: UTF-8 as it is, a backslash as `\\`, every other
/// byte as `\xNN`.
pub fn spell(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text += &chunk.valid().replace('\\', r"\\");
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, r"\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_has_one_meaning() {
        assert_eq!(spell(b"/tmp/f"), "/tmp/f");
        assert_eq!(spell("/tmp/\u{fc}".as_bytes()), "/tmp/\u{fc}");
        assert_eq!(spell(b"\xff\xc3"), r"\xff\xc3");
        assert_eq!(spell(br"\xff"), r"\\xff");
        assert_eq!(spell(b""), "");
    }

    #[test]
    fn each_kind_is_read() {
        let mut record = Record::EMPTY;
        record.process.pid = 7;
        record.process.start_time = u64::MAX;
        record.object.nonblock = 1;
        record.object.payload.set(&[b'a'; 300]);
        let value = |name| read(Field::from_name(name).unwrap(), &record);
        assert_eq!(value("process.pid"), Value::Int(7));
        assert_eq!(value("process.start_time"), Value::Int(u64::MAX));
        assert_eq!(value("nonblock"), Value::Bool(true));
        assert_eq!(value("payload"), Value::Text(&[b'a'; 256], Kept::Beginning));
        assert_eq!(value("path"), Value::Text(b"", Kept::Whole));
    }

    #[test]
    fn where_the_middle_is_missing_it_shows() {
        let mut record = Record::EMPTY;
        let path = &mut record.object.path;
        path.bytes[..128].fill(b'a');
        path.bytes[128..].fill(b'z');
        (path.len, path.full) = (256, 1000);
        let value = read(Field::from_name("path").unwrap(), &record);
        let spelled = format!("{}\u{2026}{}", "a".repeat(128), "z".repeat(128));
        assert_eq!(serde_json::to_value(value).unwrap(), spelled);
    }

    #[test]
    fn a_length_that_cannot_be_is_cut() {
        let mut record = Record::EMPTY;
        record.object.path.len = u32::MAX;
        let Value::Text(bytes, _) = read(Field::from_name("path").unwrap(), &record) else { panic!("not a text") };
        assert_eq!(bytes.len(), 256);
    }
}

//! Names of places: in the record, and of what is looked up.

use core::mem::offset_of;

use sensor_common::{
    field::{FIELDS, Field, Kind},
    record::{Claim, Record, TEXT_MAX, Text},
    verdict::Verdict,
};

use crate::{
    int::IntField,
    plan::key::{How, Key, Look},
};

/// Where the bytes of a text start in it.
const BYTES: usize = offset_of!(Text<TEXT_MAX>, bytes);
/// Where its full length is.
const FULL: usize = offset_of!(Text<TEXT_MAX>, full);

/// The field at this offset of the record.
pub fn field(offset: usize) -> Option<&'static Field> {
    FIELDS.iter().find(|field| (field.offset..field.offset + field.kind.size()).contains(&offset))
}

/// The name of that field.
pub fn of(offset: usize) -> &'static str {
    field(offset).map_or("", |field| field.name)
}

/// What `size` bytes at this offset of the record are.
pub fn record(offset: usize, size: usize) -> Option<String> {
    let verdict = offset_of!(Record, verdict);
    if offset == offset_of!(Record, claim) + offset_of!(Claim, owner) {
        return Some("the task that holds the record".to_owned());
    }
    if offset == verdict + offset_of!(Verdict, action) {
        return Some("verdict: action".to_owned());
    }
    if offset == verdict + offset_of!(Verdict, matched) {
        return Some("verdict: rules that matched".to_owned());
    }
    if offset == verdict + offset_of!(Verdict, rules) {
        return Some("verdict: their numbers".to_owned());
    }
    if offset == verdict + offset_of!(Verdict, noted) {
        return Some("verdict: steps for counts and sequences".to_owned());
    }
    let field = field(offset)?;
    let within = offset - field.offset;
    Some(match field.kind {
        Kind::U32 | Kind::U64 | Kind::Bool => field.name.to_owned(),
        Kind::Text(_) if within == FULL => format!("{}, length before it was cut", field.name),
        Kind::Text(_) if within < BYTES => format!("size({})", field.name),
        Kind::Text(_) => format!("{}[{}..{}]", field.name, within - BYTES, within - BYTES + size),
    })
}

/// An integer of the record as rules write it.
pub fn int(int: IntField) -> String {
    record(int.offset, 0).unwrap_or_else(|| "a field that this sensor does not have".to_owned())
}

/// What is looked up, and how.
pub fn look(look: Look) -> String {
    let name = field(look.offset).map_or("?", |field| field.name);
    match look.how {
        How::Start(_) => format!("{name} by how it begins"),
        How::End(_) => format!("{name} by how it ends"),
        How::Anywhere(_) => format!("{name} by what is in it"),
        How::Int | How::WideInt => match field(look.offset).map(|field| field.kind) {
            Some(Kind::Text(_)) => format!("size({name})"),
            _ => format!("{name} by its value"),
        },
    }
}

/// A key as a test.
pub fn key(key: &Key) -> String {
    let name = field(key.look.offset).map_or("?", |field| field.name);
    match key.look.how {
        How::Start(_) => format!("{name} begins with {}", literal(&key.bytes)),
        How::End(_) => format!("{name} ends with {}", literal(&key.bytes)),
        How::Anywhere(_) => format!("{name} contains {}", literal(&key.bytes)),
        How::Int | How::WideInt => {
            let value = key.bytes.as_slice().try_into().map_or(0, i64::from_le_bytes);
            let name = record(key.look.offset, 0).unwrap_or_default();
            format!("{name} == {value}")
        }
    }
}

/// A string literal.
pub fn literal(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

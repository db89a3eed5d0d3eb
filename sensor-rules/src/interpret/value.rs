//! Values of fields, for the interpreter.

use cel::Value;
use sensor_common::{
    field::{Field, Kind},
    record::Record,
};

/// The value of a field; a string's bytes each become the character of that number.
pub fn value(field: &Field, record: &Record) -> Value {
    let bytes = record.as_bytes().get(field.offset..field.offset + field.kind.size()).unwrap_or_default();
    let word = |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_ne_bytes);
    match field.kind {
        Kind::U32 => Value::Int(i64::from(word(0))),
        Kind::U64 => Value::Int(bytes.try_into().map_or(0, i64::from_ne_bytes)),
        Kind::Bool => Value::Bool(word(0) != 0),
        Kind::Text(_) => {
            let text = bytes.get(8..).unwrap_or_default();
            let kept = text.get(..word(0) as usize).unwrap_or(text);
            Value::from(kept.iter().copied().map(char::from).collect::<String>())
        }
    }
}

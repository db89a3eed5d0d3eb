//! Where fields are in the record, as instructions take it.

use sensor_common::{
    field::{Field, Kind},
    record::{COMM_MAX, TEXT_MAX, Text},
};

use super::asm::Reg;

/// The register that holds the address of the record.
pub const RECORD: Reg = Reg::R8;

/// Where a field's bytes start in the record.
pub fn bytes(field: &Field) -> i16 {
    at(field.offset + core::mem::offset_of!(Text<TEXT_MAX>, bytes))
}

/// Where a field's length is in the record.
pub fn length(field: &Field) -> i16 {
    at(field.offset + core::mem::offset_of!(Text<TEXT_MAX>, len))
}

/// An offset in the record as instructions take it.
pub fn at(offset: usize) -> i16 {
    const { assert!(size_of::<sensor_common::record::Record>() + 8 * 1024 < i16::MAX as usize) };
    i16::try_from(offset).unwrap_or(i16::MAX)
}

/// A length as instructions take it: literals and capacities are at most `TEXT_MAX`.
pub fn imm(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// How many bytes of a string field are kept.
pub fn capacity(field: &Field) -> usize {
    match field.kind {
        Kind::Text(capacity) => capacity,
        Kind::U32 | Kind::U64 | Kind::Bool => COMM_MAX,
    }
}

//! What an expression is, once its type is known.

use sensor_common::field::Field;

use crate::{expr::CondKind, int::Int};

/// What an expression is.
pub enum Typed {
    Bool(CondKind),
    Int(Int),
    Text(Text),
}

/// A string.
pub enum Text {
    Literal(Vec<u8>),
    Field(&'static Field),
}

impl Typed {
    /// Its type, in messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Text(_) => "a string",
        }
    }
}

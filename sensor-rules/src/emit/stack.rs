//! Where things are on the stack of a program, downwards from its top.
//!
//! ```text
//!    0   key of a map look-up
//!   -8   row that a look-up has found
//!  -16   intermediate booleans, as many as the conditions need
//!        marks of the plan
//! -512
//! ```

use sensor_common::field::Field;

use super::record::at;
use crate::{
    pattern::Pattern,
    plan::{Index, key::search},
};

/// Size of the stack, bytes.
const SIZE: usize = 512;
/// Size of what is always there.
const FRAME: usize = 16;

/// Where the key of a map look-up lies, 32 bits.
pub const KEY: i16 = -4;
/// Where the row that a look-up has found lies, 64 bits.
pub const ROW: i16 = -16;

/// Where an intermediate boolean lies, 64 bits.
pub fn boolean(slot: usize) -> i16 {
    -at(FRAME) - 8 * at(slot + 1)
}

/// How many words of marks there is room for beside so many booleans.
pub const fn words(booleans: usize) -> usize {
    (SIZE - FRAME).saturating_sub(8 * booleans) / 8
}

/// Where the marks of a plan are, and what is known from them.
#[derive(Default)]
pub struct Answers<'a> {
    first: i16,
    index: Option<&'a Index>,
}

impl<'a> Answers<'a> {
    /// The marks of `index`, below so many booleans.
    pub fn new(index: &'a Index, booleans: usize) -> Self {
        let first = -at(FRAME + 8 * booleans + 8 * index.words);
        Self { first, index: Some(index) }
    }

    /// Where a word of the marks lies.
    pub fn word(&self, word: usize) -> i16 {
        self.first + 8 * at(word)
    }

    /// The byte in which a mark lies, and its bit.
    pub fn bit(&self, mark: usize) -> (i16, i32) {
        (self.first + at(mark / 8), 1 << (mark % 8))
    }

    /// Where the answer to the search for `literal` in `field` lies, if it was searched for.
    pub fn of(&self, field: &Field, literal: &[u8]) -> Option<(i16, i32)> {
        let mark = self.index?.searched.get(&search(field, literal)?)?;
        Some(self.bit(*mark))
    }

    /// Where it is said whether `field` has the pattern, if a walk for it was made.
    pub fn of_pattern(&self, field: &Field, pattern: &Pattern) -> Option<(i16, i32)> {
        let mark = self.index?.walked.get(&(field.offset, pattern.syntax, pattern.text.clone()))?;
        Some(self.bit(*mark))
    }
}

//! What comes in: rule files as text, and places in them.

use std::fmt;

/// One rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name as messages show it, such as `rules/fifo.yaml`.
    pub name: String,
    /// What it holds; not necessarily UTF-8, which [`check`](crate::check) reports.
    pub text: Vec<u8>,
}

/// How [`check`](crate::check) reads rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// For tests only: a rule may name fields that do not exist (`unchecked_fields`), which the compiled program
    /// then reads behind the end of the record. The kernel's verifier must refuse it. And a comparison may be one
    /// that holds of no event, or of every one.
    pub skip_checks: bool,
    /// Each rule comes with its [mutants](crate::mutants): it takes several times as long.
    pub mutants: bool,
}

/// A place in a rule file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// [`Source::name`].
    pub file: String,
    /// From 1; 0 where the whole file is meant.
    pub line: usize,
    /// In characters from 1; 0 where the whole file is meant.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}", self.file),
            _ => write!(out, "{}:{}:{}", self.file, self.line, self.column),
        }
    }
}

//! What a row of the demonstration is.

use anyhow::Result;

/// A row of the table: a mistake that is let in, and what must stop it.
pub struct Row {
    /// Its name as a test.
    pub test: &'static str,
    pub mistake: &'static str,
    pub stopped_by: &'static str,
    pub run: fn() -> Result<Told>,
}

/// What came of it.
pub struct Told {
    /// In a few words.
    pub seen: String,
    /// What the sensor or the kernel said.
    pub words: String,
}

impl Told {
    pub fn new(seen: impl Into<String>, words: impl Into<String>) -> Self {
        Self { seen: seen.into(), words: words.into() }
    }
}

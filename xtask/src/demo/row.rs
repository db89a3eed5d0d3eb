//! A row of the table: a mistake that was let in, what had to stop it, and what was seen.

use std::time::Duration;

use crate::protocol::Message;

/// One row, as measured.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name as a test.
    pub test: String,
    /// What was let in.
    pub mistake: String,
    /// What had to stop it.
    pub stopped_by: String,
    /// What was seen, in a few words.
    pub seen: String,
    /// What was said, any number of lines.
    pub words: String,
    /// Whether it went as expected.
    pub ok: bool,
    /// How long it took.
    pub took: Duration,
}

impl Row {
    /// A row that a VM reports.
    pub fn of(message: Message) -> Option<Self> {
        let Message::Row { test, mistake, stopped_by, seen, words, ok, millis } = message else { return None };
        Some(Self { test, mistake, stopped_by, seen, words, ok, took: Duration::from_millis(millis) })
    }

    /// Its number in the table, from the name: `replay::row_3_…` is 3.
    pub fn number(&self) -> &str {
        self.test.split("row_").nth(1).and_then(|rest| rest.split('_').next()).unwrap_or("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_number() {
        let row = |test: &str| {
            Row::of(Message::Row {
                test: test.to_owned(),
                mistake: String::new(),
                stopped_by: String::new(),
                seen: String::new(),
                words: String::new(),
                ok: true,
                millis: 5,
            })
        };
        assert_eq!(row("replay::row_10_a").unwrap().number(), "10");
        assert_eq!(row("module::x").unwrap().number(), "-");
        assert!(Row::of(Message::Done { ok: true }).is_none());
    }
}

//! Something wrong in a condition.

use std::ops::Range;

use crate::{
    align::Alignment,
    diagnostic::{Diagnostic, Other},
    text::Text,
};

/// Something wrong in a condition.
#[derive(Debug)]
pub struct Fault {
    /// Where, in the condition's text, bytes.
    pub range: Range<usize>,
    /// What.
    pub message: String,
    /// What stands at the caret.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The place in the macro or list that was put in at `range`.
    pub inside: Option<Box<Other>>,
}

impl Fault {
    /// A fault with this message.
    pub(super) fn new(range: Range<usize>, message: impl Into<String>) -> Self {
        Self { range, message: message.into(), label: String::new(), help: None, inside: None }
    }

    /// The fault as a problem of the file `text`, in which the condition lies as `alignment` says.
    pub fn at(self, text: &Text<'_>, alignment: &Alignment) -> Diagnostic {
        let Self { range, message, label, help, inside } = self;
        Diagnostic { label, help, other: inside, ..text.problem(&alignment.range(&range), message) }
    }

    /// The same with words at the caret.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same with what to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

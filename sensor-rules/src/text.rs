//! The text of one rule file, and problems at places in it.

use std::ops::Range;

use crate::{
    diagnostic::{Diagnostic, Excerpt},
    source::Place,
};

/// Longest line that a message shows whole, bytes.
const LINE_SHOWN: usize = 200;
/// How much of a longer line a message shows before the problem, bytes.
const SHOWN_BEFORE: usize = 60;

/// A rule file that is UTF-8.
pub struct Text<'a> {
    name: &'a str,
    content: &'a str,
    /// Where each line starts, bytes.
    lines: Vec<usize>,
}

impl<'a> Text<'a> {
    /// The file called `name` that holds `text`.
    pub fn new(name: &'a str, text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name, content: text, lines }
    }

    /// What the file holds.
    pub const fn as_str(&self) -> &'a str {
        self.content
    }

    /// Index of the line in which the byte `at` lies.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// Where line `index` starts and ends, bytes, without its line end.
    fn extent(&self, index: usize) -> Range<usize> {
        let start = self.lines.get(index).copied().unwrap_or(self.content.len());
        let rest = self.content.get(start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        start..start + line.strip_suffix('\r').unwrap_or(line).len()
    }

    /// The byte at a line (from 1) and column (in characters from 1); the nearest one where there is none.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let extent = self.extent(line.saturating_sub(1));
        let text = self.content.get(extent.clone()).unwrap_or_default();
        text.char_indices().nth(column.saturating_sub(1)).map_or(extent.end, |(at, _)| extent.start + at)
    }

    /// The place of the byte `at`.
    pub fn place(&self, at: usize) -> Place {
        let line = self.line(at);
        let before = self.content.get(self.extent(line).start..at).unwrap_or_default();
        Place { file: self.name.to_owned(), line: line + 1, column: before.chars().count() + 1 }
    }

    /// The line of the byte `at`, trimmed.
    pub fn line_text(&self, at: usize) -> &'a str {
        self.content.get(self.extent(self.line(at))).unwrap_or_default().trim()
    }

    /// The line on which `range` starts, with the part of the range that lies on it.
    pub fn excerpt(&self, range: &Range<usize>) -> Excerpt {
        let line = self.extent(self.line(range.start));
        let start = self.content.floor_char_boundary(range.start.min(line.end));
        let mut end = range.end.min(line.end);
        if end <= start {
            end = (start + 1).min(line.end);
        }
        let end = self.content.ceil_char_boundary(end);
        let mut shown = line;
        if shown.len() > LINE_SHOWN {
            shown.start = self.content.ceil_char_boundary(shown.start.max(start.saturating_sub(SHOWN_BEFORE)));
            shown.end = self.content.floor_char_boundary(shown.end.min(shown.start + LINE_SHOWN));
        }
        let text = self.content.get(shown.clone()).unwrap_or_default().to_owned();
        let limit = text.len();
        Excerpt { text, start: (start - shown.start).min(limit), end: (end - shown.start).min(limit) }
    }

    /// A problem at `range`.
    pub fn problem(&self, range: &Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            place: self.place(range.start),
            rule: None,
            message: message.into(),
            label: String::new(),
            help: None,
            excerpt: Some(self.excerpt(range)),
            other: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_lines() {
        let text = Text::new("f", "añb\r\nçd\n");
        assert_eq!((text.place(3).line, text.place(3).column), (1, 3));
        assert_eq!((text.place(8).line, text.place(8).column), (2, 2));
        assert_eq!(text.offset(2, 2), 8);
        assert_eq!(text.excerpt(&(0..20)).text, "añb");
        assert_eq!(text.line_text(8), "çd");
    }

    #[test]
    fn a_long_line_is_shown_around_the_problem() {
        let long = format!("{}X{}", "é".repeat(300), "ü".repeat(300));
        let excerpt = Text::new("f", &long).excerpt(&(600..601));
        assert!(excerpt.text.len() <= LINE_SHOWN);
        assert_eq!(&excerpt.text[excerpt.start..excerpt.end], "X");
    }
}

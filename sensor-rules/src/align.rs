//! From positions in a decoded YAML scalar back to positions in the file.
//!
//! YAML folds lines, strips indentation and decodes escapes. Every other character stands in the file in the same
//! order, so walking both at once finds the place of each. A character that is not white space is found exactly; white
//! space at least within its run.

use std::ops::Range;

/// For each byte of a decoded scalar, and for its end, the bytes of the file it comes from.
pub struct Alignment(Vec<Range<usize>>);

impl Alignment {
    /// Aligns `value` with the scalar that stands at `range` of `file`.
    pub fn new(file: &str, range: &Range<usize>, value: &str) -> Self {
        let raw = file.get(range.clone()).unwrap_or_default();
        let quote = raw.chars().next().filter(|first| matches!(first, '"' | '\''));
        // A block scalar may itself begin with a quote, so the literal reading goes first.
        let places = walk(raw, value, Style::Verbatim)
            .or_else(|| walk(raw, value, if quote == Some('"') { Style::Double } else { Style::Single }))
            .unwrap_or_else(|| vec![0..raw.len(); value.len() + 1]);
        Self(places.into_iter().map(|place| range.start + place.start..range.start + place.end).collect())
    }

    /// The range in the file of a range of the decoded value.
    pub fn range(&self, value: &Range<usize>) -> Range<usize> {
        let place = |index: usize| self.0.get(index).or(self.0.last()).cloned().unwrap_or_default();
        let start = place(value.start).start;
        // The end is that of the last byte, not the start of the next, which may stand on another line.
        let end = if value.end > value.start { place(value.end - 1).end } else { start };
        start..end.max(start)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Verbatim,
    Single,
    Double,
}

/// The place in `raw` of each byte of `value` and of its end; `None` where `raw` in this style is not `value`.
fn walk(raw: &str, value: &str, style: Style) -> Option<Vec<Range<usize>>> {
    let mut places = Vec::with_capacity(value.len() + 1);
    let mut at = usize::from(style != Style::Verbatim);
    for wanted in value.chars() {
        let (start, end) = match wanted {
            ' ' | '\t' | '\n' | '\r' => space(raw, at, wanted, style),
            _ => letter(raw, at, wanted, style)?,
        };
        let plain = end - start == wanted.len_utf8();
        places
            .extend((0..wanted.len_utf8()).map(|byte| if plain { start + byte..start + byte + 1 } else { start..end }));
        at = end;
    }
    places.push(at.min(raw.len())..at.min(raw.len()));
    Some(places)
}

/// Where the white space `wanted` stands at or behind `at`: its start and end. Folded away, it is empty.
fn space(raw: &str, at: usize, wanted: char, style: Style) -> (usize, usize) {
    match raw.get(at..).and_then(|rest| rest.chars().next()) {
        Some(found) if found.is_ascii_whitespace() => (at, at + 1),
        Some('\\') if style == Style::Double => match escape(&raw[at..]) {
            Some((Some(found), length)) if found == wanted => (at, at + length),
            _ => (at, at),
        },
        _ => (at, at),
    }
}

/// Where the character `wanted` stands behind white space and folded lines: its start and end.
fn letter(raw: &str, mut at: usize, wanted: char, style: Style) -> Option<(usize, usize)> {
    loop {
        let rest = raw.get(at..)?;
        let found = rest.chars().next()?;
        if found == '\\' && style == Style::Double {
            let (decoded, length) = escape(rest)?;
            if decoded == Some(wanted) {
                return Some((at, at + length));
            }
            if decoded.is_some_and(|decoded| !decoded.is_whitespace()) {
                return None;
            }
            at += length;
        } else if found == '\'' && style == Style::Single {
            return (wanted == '\'' && rest.starts_with("''")).then_some((at, at + 2));
        } else if found == wanted {
            return Some((at, at + found.len_utf8()));
        } else if found.is_ascii_whitespace() {
            at += 1;
        } else {
            return None;
        }
    }
}

/// What the escape at the start of `rest` decodes to (`None` for a line continuation) and how long it is.
fn escape(rest: &str) -> Option<(Option<char>, usize)> {
    let kind = rest.chars().nth(1)?;
    let hex = |digits: usize| {
        let code = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
        Some((Some(char::from_u32(code)?), 2 + digits))
    };
    match kind {
        'x' => hex(2),
        'u' => hex(4),
        'U' => hex(8),
        '\n' | '\r' => Some((None, 2)),
        '0' => Some((Some('\0'), 2)),
        'a' => Some((Some('\x07'), 2)),
        'b' => Some((Some('\x08'), 2)),
        't' | '\t' => Some((Some('\t'), 2)),
        'n' => Some((Some('\n'), 2)),
        'v' => Some((Some('\x0b'), 2)),
        'f' => Some((Some('\x0c'), 2)),
        'r' => Some((Some('\r'), 2)),
        'e' => Some((Some('\x1b'), 2)),
        'N' => Some((Some('\u{85}'), 2)),
        '_' => Some((Some('\u{a0}'), 2)),
        'L' => Some((Some('\u{2028}'), 2)),
        'P' => Some((Some('\u{2029}'), 2)),
        other => Some((Some(other), 1 + other.len_utf8())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        text::Text,
        yaml::{Value, parse},
    };

    /// The part of the file that `needle`, found in the decoded value of the only key, comes from.
    fn origin(file: &str, needle: &str) -> String {
        let node = parse(&Text::new("f", file)).map_err(|problem| problem.to_string()).unwrap();
        let Value::Map(entries) = node.value else { panic!("a map") };
        let node = &entries[0].node;
        let Value::Text(value) = &node.value else { panic!("text") };
        let at = value.find(needle).unwrap();
        file[Alignment::new(file, &node.range, value).range(&(at..at + needle.len()))].to_owned()
    }

    #[test]
    fn every_style_leads_back_to_the_file() {
        assert_eq!(origin("a: x == yy && zz\n", "zz"), "zz");
        assert_eq!(origin("a: x == yy &&\n   zz # z\n", "zz"), "zz");
        assert_eq!(origin("a: |\n  x\n    && zz\n", "zz"), "zz");
        assert_eq!(origin("a: >-\n  \"x\"\n  && zz\n\n  || yy\n", "|| yy"), "|| yy");
        assert_eq!(origin("a: 'x == ''it'' && zz'\n", "'it'"), "''it''");
        assert_eq!(origin("a: 'x == ''it'' && zz'\n", "zz"), "zz");
        assert_eq!(origin("a: \"x == \\\"it\\\"\\x20&& \\\n    zz\"\n", "zz"), "zz");
        assert_eq!(origin("a: \"x == \\\"it\\\"\\x20&& \\\n    zz\"\n", "it"), "it");
        assert_eq!(origin("a: \"\\\"q\\\" == é\\n   zz\"\n", "zz"), "zz");
        assert_eq!(origin("a: |\n  \"q\" == 'é'\n  zz\n", "é"), "é");
    }
}

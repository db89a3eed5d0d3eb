//! What a terminal may be shown of a text from outside.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

/// Whether a terminal shows `character` as itself: no control, format, bidirectional or unassigned character, and no
/// blank but the space (Unicode categories Cc, Cf, Cs, Co, Cn, Zl, Zp, Zs).
pub fn is_plain(character: char) -> bool {
    matches!(character, '"' | '\'' | '\\') || character.escape_debug().nth(1).is_none()
}

/// `text` with everything but plain characters escaped; of several lines it makes one.
pub fn escaped(text: &str) -> String {
    escape(text, is_plain)
}

/// `text` with everything but printable ASCII escaped: for what nobody has signed.
pub fn ascii(text: &str) -> String {
    escape(text, |character| character == ' ' || character.is_ascii_graphic())
}

fn escape(text: &str, plain: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if plain(character) {
            shown.push(character);
        } else {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        }
    }
    shown
}

/// `text`, also of several lines, with everything else that is not plain escaped as JSON does it. What was
/// JSON says the same.
pub fn lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_graphic() || matches!(character, ' ' | '\n' | '\t') || is_plain(character) {
            shown.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

/// Lets nothing but [`lines`] through to a terminal, or to whoever reads. What is no UTF-8 becomes U+FFFD.
#[derive(Debug)]
pub struct Plain<W> {
    output: W,
    /// The beginning of a character whose end is still to come.
    begun: Vec<u8>,
}

impl<W> Plain<W> {
    /// Before `output`.
    pub const fn new(output: W) -> Self {
        Self { output, begun: Vec::new() }
    }
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = &self.begun[..];
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text += valid;
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    text += &String::from_utf8_lossy(valid);
                    rest = invalid;
                    let Some(length) = error.error_len() else { break };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[length..];
                }
            }
        }
        self.begun = rest.to_vec();
        self.output.write_all(lines(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_the_reader_is_escaped() {
        for hidden in "\0\x07\x1b\x7f\r\n\t\u{85}\u{ad}\u{200b}\u{200e}\u{202a}\u{202e}\u{2028}\u{2066}\u{2069}\u{feff}\u{a0}\u{e0041}\u{fff9}"
            .chars()
        {
            assert!(!is_plain(hidden), "{hidden:?}");
            assert!(escaped(&hidden.to_string()).is_ascii(), "{hidden:?}");
        }
        assert_eq!(escaped("a \"b\" \\ 'é' 漢"), "a \"b\" \\ 'é' 漢");
        assert_eq!(ascii("é\x1b[2J"), "\\u{e9}\\u{1b}[2J");
    }

    #[test]
    fn json_says_the_same_when_it_is_escaped() {
        let deceiving = "a\u{202e}b \u{e0041} \u{7f} é 漢 \\ \"";
        let json = serde_json::to_string_pretty(&[deceiving]).unwrap();
        let shown = lines(&json);
        assert!(shown.contains("a\\u202eb") && shown.chars().all(|c| c == '\n' || is_plain(c)), "{shown}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [deceiving]);
    }

    #[test]
    fn a_writer_lets_nothing_else_through_wherever_characters_are_cut() {
        let text = "é\u{202e}漢\n\t\x1b[2J".as_bytes();
        let mut plain = Plain::new(Vec::new());
        for byte in text.iter().chain(b"\xff.") {
            plain.write_all(&[*byte]).unwrap();
        }
        assert_eq!(String::from_utf8(plain.output).unwrap(), "é\\u202e漢\n\t\\u001b[2J\u{fffd}.");
    }
}

//! What a terminal may be shown of a text from outside.

use std::fmt::Write;

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
}

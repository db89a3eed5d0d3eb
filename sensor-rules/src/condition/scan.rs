//! A first look at a condition's tokens, before the CEL parser sees it: bounds its size and nesting, so that
//! no text can exhaust the stack, and finds what is wrong inside string literals.

use std::ops::Range;

use super::fault::Fault;
use crate::octal;

/// Longest condition, bytes.
const LENGTH_MAX: usize = 64 * 1024;
/// Deepest nesting of parentheses and brackets.
const DEPTH_MAX: usize = 32;
/// Most `?:` between two brackets or commas: each nests what follows.
const CHOICES_MAX: usize = 16;
/// Most operators in a row that nest without a parenthesis (`a.b.c`, `a == b == c`, `!!a`).
const CHAIN_MAX: usize = 32;

/// Where the comments of `text` stand, from `//` to the end of the line. What the scanner gives up on has
/// none behind it.
pub fn comments(text: &str) -> Vec<Range<usize>> {
    let mut scanner = Scanner::new(text);
    // What is wrong with the text is noted by `scan`.
    let _ = scanner.run();
    scanner.comments
}

/// Looks at all tokens of `text`.
pub fn scan(text: &str) -> Result<(), Vec<Fault>> {
    if text.len() > LENGTH_MAX {
        let message = format!("the condition has {} bytes; at most {LENGTH_MAX} are allowed", text.len());
        return Err(vec![Fault::new(0..text.len(), message).help("split it into several rules")]);
    }
    let mut scanner = Scanner::new(text);
    match scanner.run() {
        Ok(()) if scanner.faults.is_empty() => Ok(()),
        Ok(()) => Err(scanner.faults),
        Err(fault) => {
            scanner.faults.push(fault);
            Err(scanner.faults)
        }
    }
}

struct Scanner<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
    /// Per open bracket, and for the whole: how many operators have nested in a row.
    chains: Vec<usize>,
    /// Likewise: how many `?` there were.
    choices: Vec<usize>,
    /// Where comments stand.
    comments: Vec<Range<usize>>,
    /// What is wrong and does not keep us from looking further.
    faults: Vec<Fault>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, chains: vec![0], choices: vec![0], comments: Vec::new(), faults: Vec::new() }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn run(&mut self) -> Result<(), Fault> {
        while let Some(next) = self.rest().chars().next() {
            match next {
                '"' | '\'' => self.string(false)?,
                'a'..='z' | 'A'..='Z' | '_' => self.word()?,
                '/' if self.rest().starts_with("//") => self.comment(),
                '0'..='9' => self.number(),
                '(' | '[' | '{' => self.open()?,
                ')' | ']' | '}' => self.close(),
                ',' => {
                    self.choices.pop();
                    self.choices.push(0);
                    self.link(1, false)?;
                }
                '&' | '|' => self.link(1, false)?,
                '=' | '!' | '<' | '>' if self.rest().get(1..).is_some_and(|rest| rest.starts_with('=')) => {
                    self.link(2, true)?;
                }
                '.' | '=' | '<' | '>' | '!' | '+' | '-' | '*' | '/' | '%' => self.link(1, true)?,
                '?' => self.choice()?,
                _ => self.at += next.len_utf8(),
            }
        }
        Ok(())
    }

    fn comment(&mut self) {
        let length = self.rest().find('\n').unwrap_or(self.rest().len());
        self.comments.push(self.at..self.at + length);
        self.at += length;
    }

    /// A number. CEL reads `0666` as decimal, which nobody who writes it means.
    fn number(&mut self) {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let number = rest.get(..length).unwrap_or_default();
        if let Some(spelled) = octal::spelled(number) {
            let message = if number.contains(['o', 'O']) {
                format!("`{number}` is octal in YAML, and no number here")
            } else {
                format!("`{number}` is decimal, and looks octal")
            };
            let fault = Fault::new(self.at..self.at + length, message);
            self.faults.push(fault.help(format!("there are no octal numbers: if it is one, write `{spelled}`")));
        }
        self.at += length;
    }

    fn open(&mut self) -> Result<(), Fault> {
        if self.chains.len() > DEPTH_MAX {
            let message = format!("parentheses and brackets are nested deeper than {DEPTH_MAX}");
            return Err(Fault::new(self.at..self.at + 1, message));
        }
        self.chains.push(0);
        self.choices.push(0);
        self.at += 1;
        Ok(())
    }

    /// An unmatched bracket is left to the parser, which sees that it is one before it nests.
    fn close(&mut self) {
        if self.chains.len() > 1 {
            self.chains.pop();
            self.choices.pop();
        }
        self.at += 1;
    }

    /// An operator of `length` bytes, which nests what stands before it or ends the row.
    fn link(&mut self, length: usize, nests: bool) -> Result<(), Fault> {
        if let Some(chain) = self.chains.last_mut() {
            *chain = if nests { *chain + 1 } else { 0 };
            if *chain > CHAIN_MAX {
                let message = format!("more than {CHAIN_MAX} operators in a row");
                return Err(Fault::new(self.at..self.at + length, message));
            }
        }
        self.at += length;
        Ok(())
    }

    /// A `?`, which nests all that follows; the row begins anew.
    fn choice(&mut self) -> Result<(), Fault> {
        if let Some(choices) = self.choices.last_mut() {
            *choices += 1;
            if *choices > CHOICES_MAX {
                return Err(Fault::new(self.at..self.at + 1, format!("more than {CHOICES_MAX} `?:` in a row")));
            }
        }
        self.link(1, false)
    }

    /// An identifier, a keyword, or the prefix of a string.
    fn word(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        let raw = ["r", "rb", "br"].iter().any(|prefix| word.eq_ignore_ascii_case(prefix));
        let quoted = rest.get(length..).is_some_and(|behind| behind.starts_with(['"', '\'']));
        if word == "in" {
            return self.link(length, true);
        }
        self.at += length;
        if quoted && (raw || word.eq_ignore_ascii_case("b")) {
            return self.string(raw);
        }
        Ok(())
    }

    /// A string literal that begins with the quote at `at`.
    fn string(&mut self, raw: bool) -> Result<(), Fault> {
        let start = self.at;
        let quote = if self.rest().starts_with('"') { "\"" } else { "'" };
        let triple = quote.repeat(3);
        let end = if self.rest().starts_with(&triple) { triple.as_str() } else { quote };
        self.at += end.len();
        loop {
            let rest = self.rest();
            let Some(next) = rest.chars().next() else {
                return Err(unterminated(start, self.at));
            };
            if rest.starts_with(end) {
                self.at += end.len();
                return Ok(());
            }
            match next {
                '\n' if end.len() == 1 => return Err(unterminated(start, self.at)),
                '\\' if !raw => self.escape(),
                _ => self.at += next.len_utf8(),
            }
        }
    }

    /// An escape in a string. Those for characters above `\x7f` would have to be bytes here and characters in CEL.
    fn escape(&mut self) {
        let rest = self.rest();
        let digits = |from: usize, count: usize, radix: u32| {
            let digits = rest.get(from..from + count)?;
            Some((u32::from_str_radix(digits, radix).ok()?, from + count))
        };
        let numeric = match rest.as_bytes().get(1) {
            Some(b'x' | b'X') => digits(2, 2, 16),
            Some(b'u') => digits(2, 4, 16),
            Some(b'U') => digits(2, 8, 16),
            Some(b'0'..=b'3') => digits(1, 3, 8),
            _ => None,
        };
        let behind = rest.chars().nth(1).map_or(1, |escaped| 1 + escaped.len_utf8());
        let length = numeric.map_or(behind, |(_, length)| length);
        if let Some((code, _)) = numeric.filter(|(code, _)| *code > 0x7f) {
            let message = format!("the escape `{}` is not supported", rest.get(..length).unwrap_or_default());
            let fault = Fault::new(self.at..self.at + length, message)
                .label(format!("U+{code:04X} is above U+007F"))
                .help("strings are bytes: write the character itself, which stands for its bytes in UTF-8");
            self.faults.push(fault);
        }
        self.at += length;
    }
}

fn unterminated(start: usize, end: usize) -> Fault {
    Fault::new(start..end, "this string has no end").label("the closing quote is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        scan(text).unwrap_err().remove(0).message
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(message(&"(".repeat(10_000)).contains("nested deeper"));
        assert!(message(&format!("a{}", ".b".repeat(10_000))).contains("in a row"));
        assert!(message(&format!("a{}", " in b".repeat(10_000))).contains("in a row"));
        assert!(message(&"!".repeat(10_000)).contains("in a row"));
        assert!(scan(&format!("a{}", " && a.b == c".repeat(1_000))).is_ok());
        assert!(message(&"a ? b : c && ".repeat(1_000)).contains("in a row"));
    }

    #[test]
    fn strings_hide_what_they_hold() {
        assert!(
            scan("a == '((((((((((((((((((((((((((((((((((((((((((' // ((((((((((((((((((((((((((((((((((((").is_ok()
        );
        assert!(scan(r#"a == "\"((((((((((((((((((((((((((((((((((((((((((""#).is_ok());
        assert!(scan(r#"r"\" == a && '''it's''' == b"#).is_ok());
        assert!(message("a == '((").contains("no end"));
        assert!(message("a == 'x\n'").contains("no end"));
    }

    #[test]
    fn comments_are_found_outside_of_strings() {
        assert_eq!(comments("a == '//' // one\n&& b // two"), [10..16, 22..28]);
        assert_eq!(comments("r\"\\\" == a // b \n//c"), [10..15, 16..19]);
    }

    #[test]
    fn numbers_that_look_octal_are_refused() {
        assert_eq!(message("mode == 010666"), "`010666` is decimal, and looks octal");
        assert!(message("mode in [1, 007]").contains("`007`"));
        assert!(scan("a0777 == 0 && b == 0x01ff && c == '0777' && d == 100").is_ok());
        let fault = scan("mode == 0777").unwrap_err().remove(0);
        assert_eq!(fault.help.as_deref(), Some("there are no octal numbers: if it is one, write `0x1ff`"));
    }

    #[test]
    fn escapes_above_ascii_are_refused() {
        for escape in [r"\xff", r"\u00e9", r"\U0001F600", r"\377"] {
            assert_eq!(message(&format!("a == '{escape}'")), format!("the escape `{escape}` is not supported"));
        }
        assert!(scan(r"a == '\x7f\u0041\n\\' && b == r'\xff' && c == 'é'").is_ok());
    }
}

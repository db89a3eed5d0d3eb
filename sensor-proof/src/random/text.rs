//! Random texts, and what is asked of texts: literals, regular expressions, globs.

use sensor_common::record::TEXT_MAX;

use super::generator::Random;

/// Texts from which fields and literals are made: short and long, empty, not ASCII, equal but for a byte.
const WORDS: &[&str] = &[
    "",
    "/",
    "a",
    "é",
    "/tmp/",
    "/tmp/f",
    "/tmp/g",
    "cat",
    "/cat",
    "/usr/bin/cat",
    "/usr/bin/bat",
    "sh -i",
    "aaaaaaaa",
    "aaaaaaaab",
    "aaaaaaaaaaaaaaab",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac",
    "/home/üser/ñ",
    "0123456789abcdef",
    "0123456789abcdeg",
    "\x7fELF",
    "x\ty",
];

/// A string literal of at most as many bytes as a field of this capacity holds: of a thread's name the last is a zero.
pub fn literal(random: &mut Random, capacity: usize) -> String {
    let mut text = word(random);
    let capacity = if capacity < TEXT_MAX { capacity - 1 } else { capacity };
    while text.len() > capacity {
        text.pop();
    }
    quoted(&text)
}

/// `text` as a string literal of CEL.
pub fn quoted(text: &str) -> String {
    format!("{text:?}").replace("\\u{7f}", "\\x7f")
}

/// A regular expression that is bounded: words, and what can be between and behind them.
pub fn regex(random: &mut Random) -> String {
    let mut text = String::from(*random.pick(&["", "", "^", "(?i)", "(?s)", "\\b"]));
    for _ in 0..=random.below(3) {
        let word: String =
            random.pick(WORDS).chars().map(|c| if c == '.' { "\\.".to_owned() } else { c.to_string() }).collect();
        let part = match random.below(9) {
            0 => format!("({word}|{})", random.pick(WORDS)),
            1 => format!("({word})*"),
            2 => format!("(?:{word}){{0,3}}"),
            3 => format!("{word}[a-c/]+"),
            4 => format!("{word}.*"),
            5 => format!("{word}[^/]"),
            6 => format!("{word}\\xff?"),
            _ => word,
        };
        text += &part;
    }
    text + *random.pick(&["", "", "$", "\\b", ".$", "a{2,}"])
}

/// A condition of patterns for the field called `name`, mostly of such as require no literal.
pub fn patterns(random: &mut Random, name: &str) -> String {
    let one = |random: &mut Random| {
        let not = if random.one_in(5) { "!" } else { "" };
        match random.below(6) {
            0 => format!("{not}{name}.glob({})", quoted(&glob(random))),
            1 => format!("{not}{name}.matches({})", quoted(&regex(random))),
            _ => format!("{not}{name}.matches({})", quoted(&loose(random))),
        }
    };
    let all: Vec<_> = (0..=random.below(4)).map(|_| one(random)).collect();
    all.join(*random.pick(&[" && ", " || "]))
}

/// A regular expression of classes.
fn loose(random: &mut Random) -> String {
    const PARTS: &[&str] = &[
        "[a-z]",
        "[^/]+",
        "[0-9]{2}",
        ".",
        "\\w+",
        "[a-f/]*",
        "a*",
        "\\xc3?",
        "(?:[ab]|[0-9])",
        "[^a]{3}",
        "\\b",
        ".*",
    ];
    let parts: Vec<_> = (0..=random.below(3)).map(|_| *random.pick(PARTS)).collect();
    format!("{}{}{}", random.pick(&["", "", "^"]), parts.concat(), random.pick(&["", "", "$"]))
}

pub fn glob(random: &mut Random) -> String {
    let mut text = String::from(*random.pick(&["", "", "/tmp/", "*", "**/"]));
    for _ in 0..random.below(3) {
        text += *random.pick(WORDS);
        text += *random.pick(&["", "*", "?", "[a-c]", "[!f]", "{f,g,é}", "/*"]);
    }
    text
}

fn word(random: &mut Random) -> String {
    let mut text = (*random.pick(WORDS)).to_owned();
    while random.one_in(3) {
        text += *random.pick(WORDS);
    }
    text
}

/// A text as it lies in the record: a few words, cut, full or not UTF-8.
pub fn text(random: &mut Random, capacity: usize) -> Vec<u8> {
    let mut content = word(random).into_bytes();
    match random.below(12) {
        0 => content.resize(capacity, b'a'),
        1 => content.splice(0..0, std::iter::repeat_n(b'a', capacity)).for_each(drop),
        2 => content.push(0xff),
        3 => {
            let padding = TEXT_MAX.min(capacity).saturating_sub(content.len());
            content.splice(0..0, std::iter::repeat_n(b'/', padding)).for_each(drop);
        }
        4 => content.extend(std::iter::repeat_n(b'a', random.below(300))),
        _ => {}
    }
    let kept = content.len().min(capacity);
    // Names of threads are always whole. Of any other text more than is kept may be missing.
    let missing = match random.below(10) {
        _ if capacity < TEXT_MAX => 0,
        0 if kept < capacity => 1 + random.below(400),
        1 if kept < capacity => u32::MAX as usize - kept,
        _ => content.len() - kept,
    };
    let [length, full] = [kept, kept + missing].map(|count| u32::try_from(count).unwrap_or(0).to_le_bytes());
    [&length[..], &full, &content[..kept]].concat()
}

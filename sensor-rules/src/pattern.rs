//! Regular expressions and globs on bytes, as automata: one step per byte, whatever the pattern.
//!
//! Syntax and automata are those of the crates `regex-syntax` and `regex-automata`, globs become regular expressions by
//! `globset`. What no automaton of bounded size can do (references back, looking ahead) the syntax does not have.

use std::{collections::HashMap, sync::Arc};

use globset::GlobBuilder;
use regex_automata::{
    Anchored,
    dfa::{Automaton as _, StartKind, dense},
    nfa::thompson,
    util::{primitives::StateID, start},
};
use regex_syntax::{
    ParserBuilder,
    hir::{
        Hir, HirKind, Look,
        literal::{ExtractKind, Extractor},
    },
};

use crate::text_test::TextTest;

/// Most cells of an automaton: a cell says where one class of bytes leads from one state, and is numbered by 16 bits.
const CELLS_MAX: usize = 1 << 15;
/// Most memory for making an automaton, bytes.
const MEMORY_MAX: usize = 4 << 20;
/// At how many places of a pattern it is looked with what literals it goes on.
const BEGINNINGS_MAX: usize = 32;
/// Deepest nesting of a pattern.
const DEPTH_MAX: u32 = 32;

/// How a pattern is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Syntax {
    /// `matches`: a regular expression that is found somewhere.
    Regex,
    /// `glob`: a glob that stands for the whole.
    Glob,
}

impl Syntax {
    /// The function of conditions that takes it.
    pub const fn function(self) -> &'static str {
        match self {
            Self::Regex => "matches",
            Self::Glob => "glob",
        }
    }
}

/// A pattern that is shared by the copies of its condition.
pub type Shared = Arc<Pattern>;

/// A pattern as an automaton.
#[derive(Debug)]
pub struct Pattern {
    /// How it is written.
    pub syntax: Syntax,
    /// As it is written.
    pub text: String,
    /// The automaton.
    pub automaton: Automaton,
    /// How many bytes the shortest string has that has the pattern; `None` where there is no such string.
    pub shortest: Option<usize>,
    /// What holds of every string that has the pattern.
    pub implied: Vec<Implied>,
    /// Whether the first of them holds of no other.
    pub is_implied: bool,
}

/// A test, and literals: it holds with one of them at least.
pub type Implied = (TextTest, Vec<Vec<u8>>);

/// A table of cells: the cell at `state + classes[byte]` holds the next state, and `state + end` the last
/// one. A state is the number of its first cell.
#[derive(Debug)]
pub struct Automaton {
    /// The class of each byte.
    pub classes: [u8; 256],
    /// The class of the end.
    pub end: u8,
    /// The cells.
    pub cells: Vec<u16>,
    /// The first state.
    pub start: u16,
}

impl Automaton {
    /// The state in which the pattern was found. It is never left, and neither is state 0, from which it is
    /// not found any more; all others have larger numbers.
    pub fn found(&self) -> u16 {
        u16::from(self.end) + 1
    }

    /// Whether no string has the pattern: nothing leads to where it was found.
    pub fn finds_nothing(&self) -> bool {
        let found = self.found();
        // The cells of that state lead to itself.
        let others = self.cells.iter().skip(2 * usize::from(found));
        self.start != found && others.into_iter().all(|cell| *cell != found)
    }
}

impl Pattern {
    /// The pattern `text`.
    ///
    /// # Errors
    /// Why it cannot be one: in words, and what to do.
    pub fn new(syntax: Syntax, text: &str) -> Result<Self, (String, &'static str)> {
        let hir = parse(syntax, text)?;
        let too_large = |_| {
            let help = "shorten its repetitions (`{n,m}`), or use startsWith, endsWith and contains";
            (format!("it needs an automaton of more than {CELLS_MAX} cells"), help)
        };
        let nfa = thompson::Config::new().utf8(false).nfa_size_limit(Some(MEMORY_MAX));
        let nfa = thompson::Compiler::new()
            .configure(nfa)
            .build_from_hir(&hir)
            .map_err(|error| too_large(error.to_string()))?;
        let dfa = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .dfa_size_limit(Some(MEMORY_MAX))
            .determinize_size_limit(Some(MEMORY_MAX));
        let dfa = dense::Builder::new().configure(dfa).build_from_nfa(&nfa).map_err(|error| {
            let limit = error.is_size_limit_exceeded();
            if limit { too_large(String::new()) } else { (error.to_string(), "write bytes: `(?-u:\\b)` for `\\b`") }
        })?;
        let automaton = automaton(&dfa).ok_or_else(|| too_large(String::new()))?;
        let (implied, is_implied) = implied(&hir);
        let shortest = hir.properties().minimum_len();
        Ok(Self { syntax, text: text.to_owned(), automaton, shortest, implied, is_implied })
    }
}

/// What a pattern says.
///
/// # Errors
/// As for [`Pattern::new`].
pub fn parse(syntax: Syntax, text: &str) -> Result<Hir, (String, &'static str)> {
    let (regex, all) = match syntax {
        Syntax::Regex => (text.to_owned(), false),
        Syntax::Glob => (glob(text)?, true),
    };
    let mut parser = ParserBuilder::new();
    parser.unicode(false).utf8(false).nest_limit(DEPTH_MAX).dot_matches_new_line(all);
    let parsed = parser.build().parse(&regex);
    parsed.map_err(|error| (reason(&error), "write bytes: `\\xff`, and sets of ASCII"))
}

/// A glob as a regular expression for all of the text.
fn glob(text: &str) -> Result<String, (String, &'static str)> {
    let mut inside = false;
    for (at, byte) in text.bytes().enumerate() {
        let escaped = at > 0 && text.as_bytes().get(at - 1) == Some(&b'\\');
        match byte {
            b'[' if !escaped => inside = true,
            b']' if !escaped => inside = false,
            _ if inside && !byte.is_ascii() => {
                let message = "a set in brackets holds bytes, and this character is several".to_owned();
                return Err((message, "write {a,b} with the characters instead"));
            }
            _ => {}
        }
    }
    let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
    glob.map(|glob| glob.regex().to_owned()).map_err(|error| (error.kind().to_string(), ""))
}

/// What is wrong with a regular expression, in one line.
fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        other => other.to_string().lines().last().unwrap_or_default().to_owned(),
    }
}

/// The table of an automaton, with all states in which the pattern was found as one. `None` where it is too large.
fn automaton(dfa: &dense::DFA<Vec<u32>>) -> Option<Automaton> {
    let mut classes = [0; 256];
    let mut bytes = Vec::new();
    for byte in 0..=255 {
        let class = usize::from(dfa.byte_classes().get(byte));
        classes[usize::from(byte)] = u8::try_from(class).ok()?;
        if class == bytes.len() {
            bytes.push(byte);
        }
    }
    let width = bytes.len() + 1;
    let end = u8::try_from(bytes.len()).ok()?;
    let first = dfa.start_state(&start::Config::new().anchored(Anchored::No)).ok()?;
    let mut numbers: HashMap<StateID, usize> = HashMap::new();
    let mut order = Vec::new();
    let mut number = |state: StateID, order: &mut Vec<StateID>| match state {
        _ if dfa.is_dead_state(state) => 0,
        _ if dfa.is_match_state(state) => 1,
        _ => *numbers.entry(state).or_insert_with(|| {
            order.push(state);
            order.len() + 1
        }),
    };
    let start = number(first, &mut order);
    let mut cells = [vec![0; width], vec![1; width]].concat();
    let mut at = 0;
    while let Some(state) = order.get(at).copied() {
        if cells.len() + width > CELLS_MAX {
            return None;
        }
        let next = bytes.iter().map(|byte| dfa.next_state(state, *byte)).chain([dfa.next_eoi_state(state)]);
        for next in next {
            cells.push(number(next, &mut order));
        }
        at += 1;
    }
    let place = |number: usize| u16::try_from(number * width).ok();
    let cells = cells.into_iter().map(place).collect::<Option<_>>()?;
    Some(Automaton { classes, end, cells, start: place(start)? })
}

/// Tests with literals of which one holds of every string with the pattern, and whether the first test holds
/// of no other.
fn implied(hir: &Hir) -> (Vec<Implied>, bool) {
    let parts = match hir.kind() {
        HirKind::Capture(capture) => return implied(&capture.sub),
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    let is = |index: Option<usize>, look: Look| {
        index
            .and_then(|index| parts.get(index))
            .is_some_and(|part| matches!(part.kind(), HirKind::Look(at) if *at == look))
    };
    let mut tests = Vec::new();
    for (index, part) in parts.iter().enumerate().filter(|(_, part)| !matches!(part.kind(), HirKind::Look(_))) {
        let looks = [is(index.checked_sub(1), Look::Start), is(Some(index + 1), Look::End)];
        if let HirKind::Literal(literal) = part.kind() {
            let test = match looks {
                [true, true] => TextTest::Equals,
                [true, false] => TextTest::StartsWith,
                [false, true] => TextTest::EndsWith,
                [false, false] => TextTest::Contains,
            };
            tests.push((test, vec![literal.0.to_vec()]));
            if parts.len() == 1 + looks.into_iter().filter(|look| *look).count() {
                return (tests, true);
            }
        }
        if index < BEGINNINGS_MAX {
            let test = if looks[0] { TextTest::StartsWith } else { TextTest::Contains };
            tests.extend(literals(ExtractKind::Prefix, &parts[index..]).map(|literals| (test, literals)));
            let ends = looks[1].then(|| literals(ExtractKind::Suffix, &parts[..=index])).flatten();
            tests.extend(ends.map(|literals| (TextTest::EndsWith, literals)));
        }
    }
    (tests, false)
}

/// Literals with one of which all begins, or ends, that `parts` stand for. `None` where there are no such, or too many.
fn literals(kind: ExtractKind, parts: &[Hir]) -> Option<Vec<Vec<u8>>> {
    let literals = Extractor::new().kind(kind).extract(&Hir::concat(parts.to_vec()));
    let literals: Vec<_> = literals.literals()?.iter().map(|literal| literal.as_bytes().to_vec()).collect();
    literals.iter().all(|literal| !literal.is_empty()).then_some(literals).filter(|literals| !literals.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The automaton as the kernel walks it.
    fn walk(automaton: &Automaton, text: &[u8]) -> bool {
        let mut state = automaton.start;
        for byte in text {
            if state <= automaton.found() {
                break;
            }
            state = automaton.cells[usize::from(state) + usize::from(automaton.classes[usize::from(*byte)])];
        }
        automaton.cells[usize::from(state) + usize::from(automaton.end)] == automaton.found()
    }

    fn implied_of(syntax: Syntax, text: &str) -> (Vec<Implied>, bool) {
        let pattern = Pattern::new(syntax, text).unwrap();
        (pattern.implied, pattern.is_implied)
    }

    fn any(test: TextTest, literals: &[&str]) -> Implied {
        (test, literals.iter().map(|literal| literal.as_bytes().to_vec()).collect())
    }

    #[test]
    fn what_a_pattern_implies_is_found() {
        let tmp = || any(TextTest::StartsWith, &["/tmp/"]);
        assert_eq!(implied_of(Syntax::Regex, "^/tmp/"), (vec![tmp()], true));
        assert_eq!(implied_of(Syntax::Regex, "abc"), (vec![any(TextTest::Contains, &["abc"])], true));
        assert_eq!(implied_of(Syntax::Regex, "^abc$"), (vec![any(TextTest::Equals, &["abc"])], true));
        let (implied, is_implied) = implied_of(Syntax::Regex, "^/tmp/.*x$");
        assert!(!is_implied && implied.contains(&tmp()) && implied.contains(&any(TextTest::EndsWith, &["x"])));
        let (implied, is_implied) = implied_of(Syntax::Glob, "/tmp/*.é");
        assert!(!is_implied && implied.contains(&tmp()) && implied.contains(&any(TextTest::EndsWith, &[".é"])));
        assert_eq!(implied_of(Syntax::Regex, "[^0-9]+[a-z]+").0, vec![]);
    }

    #[test]
    fn a_pattern_without_a_literal_of_its_own_implies_one_of_several() {
        let implies = |regex: &str, test, literals: &[&str]| {
            let (implied, is_implied) = implied_of(Syntax::Regex, regex);
            assert!(!is_implied && implied.contains(&any(test, literals)), "{regex}: {implied:?}");
        };
        implies("a|b", TextTest::Contains, &["a", "b"]);
        implies("(curl|wget) .*[|] *(ba)?sh", TextTest::Contains, &["curl ", "wget "]);
        implies("[a-z]+77[.](sh|py)$", TextTest::EndsWith, &["77.sh", "77.py"]);
        implies("^/(tmp|var/tmp)/[^/]*$", TextTest::StartsWith, &["/tmp/", "/var/tmp/"]);
        implies("(?i)nc +-e", TextTest::Contains, &["NC ", "Nc ", "nC ", "nc "]);
    }

    #[test]
    fn what_cannot_be_an_automaton_is_refused() {
        let refused = |syntax, text: &str| Pattern::new(syntax, text).unwrap_err().0;
        assert!(refused(Syntax::Regex, "(a{1000}){1000}").contains("automaton of more than"));
        assert!(refused(Syntax::Regex, "[ab]*a[ab]{20}").contains("automaton of more than"));
        assert!(refused(Syntax::Regex, r"(a)\1").contains("backreferences are not supported"));
        assert!(refused(Syntax::Regex, "(?=a)").contains("look-around"));
        assert!(refused(Syntax::Regex, "(").contains("unclosed group"));
        assert!(refused(Syntax::Regex, "[é]").contains("Unicode not allowed"));
        assert!(
            refused(Syntax::Regex, r"(?u:\b)a").contains("Unicode word bound"),
            "{}",
            refused(Syntax::Regex, r"(?u:\b)a")
        );
        assert!(refused(Syntax::Glob, "[é]").contains("holds bytes"));
        assert!(refused(Syntax::Glob, "[a").contains("unclosed"));
    }

    proptest! {
        #[test]
        fn the_table_says_what_the_library_says(regex in "[ab.$^|*?+()\\[\\]é-]{0,12}", text in "[ab\n\\-é\u{80}]{0,12}") {
            if let Ok(pattern) = Pattern::new(Syntax::Regex, &regex) {
                let expected = regex::bytes::RegexBuilder::new(&regex).unicode(false).build().unwrap();
                let bytes: Vec<u8> = text.chars().flat_map(|c| if c == '\u{80}' { vec![0xff] } else { c.to_string().into_bytes() }).collect();
                prop_assert_eq!(walk(&pattern.automaton, &bytes), expected.is_match(&bytes), "{:?}", regex);
                let holds = |(test, literals): &Implied| literals.iter().any(|literal| match test {
                    TextTest::Equals => bytes == *literal,
                    TextTest::StartsWith => bytes.starts_with(literal),
                    TextTest::EndsWith => bytes.ends_with(literal),
                    TextTest::Contains => bytes.windows(literal.len()).any(|part| part == literal),
                });
                prop_assert!(!expected.is_match(&bytes) || pattern.implied.iter().all(holds));
                prop_assert!(!pattern.is_implied || holds(&pattern.implied[0]) == expected.is_match(&bytes));
            }
        }
    }
}

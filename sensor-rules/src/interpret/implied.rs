//! Patterns that say no more than `==`, `startsWith`, `endsWith` or `contains` with one literal.

use std::{cell::RefCell, collections::HashMap};

use crate::{
    pattern::{Pattern, Syntax},
    text_test::TextTest,
};

/// A test, and how long its literal is.
type Test = (TextTest, usize);

/// The test that a pattern is, and how long its literal is; `None` for any other.
pub fn implied(is_glob: bool, text: &str) -> Option<Test> {
    thread_local! {
        /// Those that were looked at: an automaton is made for each.
        static KNOWN: RefCell<HashMap<(bool, String), Option<Test>>> = RefCell::new(HashMap::new());
    }
    KNOWN.with_borrow_mut(|known| {
        if known.len() > 10_000 {
            known.clear();
        }
        *known.entry((is_glob, text.to_owned())).or_insert_with(|| find(is_glob, text))
    })
}

fn find(is_glob: bool, source: &str) -> Option<Test> {
    let bytes: Vec<u8> = source.chars().filter_map(|c| u8::try_from(c).ok()).collect();
    let syntax = if is_glob { Syntax::Glob } else { Syntax::Regex };
    let pattern = Pattern::new(syntax, &String::from_utf8_lossy(&bytes)).ok()?;
    match (pattern.is_implied, pattern.implied.as_slice()) {
        (true, [(kind, literals)]) if literals.len() == 1 => Some((*kind, literals[0].len())),
        _ => None,
    }
}

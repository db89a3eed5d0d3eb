//! Several patterns of one field as one automaton: a walk finds all of them that a string has, in one step per byte.
//!
//! What is found on the way is not kept in the states, of which there would be too many, but told where it is found.

use std::collections::{BTreeSet, HashMap};

use regex_automata::{
    Anchored, MatchKind,
    dfa::{Automaton as _, StartKind, dense},
    nfa::thompson,
    util::{primitives::StateID, start},
};

use crate::pattern::{Pattern, Syntax, parse};

/// Most cells of one automaton.
const CELLS_MAX: usize = 1 << 16;
/// Most memory for making one, bytes.
const MEMORY_MAX: usize = 1 << 19;
/// Most patterns of one: with more, making it takes long.
const PATTERNS_MAX: usize = 32;
/// How often it is tried to make one, for the patterns of one field. Some patterns cannot stand together: in
/// the worst case the states of all are multiplied.
const ATTEMPTS: usize = 40;

/// What tells patterns apart.
pub type Name<'a> = (Syntax, &'a str);

/// The automaton, as a table of cells: the cell at `state + classes[byte]` holds the next state, that at
/// `state + end` the last, and the one behind it what is found there: a number, with which to look into
/// `found`. A state is the number of its first cell. State 0 is the one from which nothing is found any more.
#[derive(Clone, Debug)]
pub struct Union {
    /// Which of the patterns it finds, by their indices.
    pub patterns: Vec<usize>,
    /// The class of each byte.
    pub classes: [u8; 256],
    /// The class of the end.
    pub end: u8,
    /// The cells.
    pub cells: Vec<u32>,
    /// The first state.
    pub start: u32,
    /// In this state and those behind it something is found, in the others nothing.
    pub first_found: u32,
    /// What is found: some of the patterns, by their places in `patterns`.
    pub found: Vec<BTreeSet<usize>>,
}

impl Union {
    /// As few automata as are easily found, for as many of the patterns as go together with others.
    pub fn all(patterns: &[&Pattern]) -> Vec<Self> {
        let mut open: Vec<Vec<usize>> =
            (0..patterns.len()).collect::<Vec<_>>().chunks(PATTERNS_MAX).rev().map(<[usize]>::to_vec).collect();
        let mut all = Vec::new();
        for _ in 0..ATTEMPTS {
            let Some(mut group) = open.pop() else { break };
            if group.len() < 2 {
                continue;
            }
            if let Some(union) = Self::new(patterns, &group) {
                all.push(union);
            } else {
                let behind = group.split_off(group.len() / 2);
                open.extend([behind, group]);
            }
        }
        all
    }

    /// The automaton of a group of the patterns; `None` where it would be too large.
    fn new(patterns: &[&Pattern], group: &[usize]) -> Option<Self> {
        let parsed = group.iter().filter_map(|index| patterns.get(*index));
        let parsed: Vec<_> =
            parsed.map(|pattern| parse(pattern.syntax, &pattern.text)).collect::<Result<_, _>>().ok()?;
        let nfa = thompson::Config::new().utf8(false).nfa_size_limit(Some(MEMORY_MAX));
        let nfa = thompson::Compiler::new().configure(nfa).build_many_from_hir(&parsed).ok()?;
        let dfa = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Unanchored)
            .dfa_size_limit(Some(MEMORY_MAX))
            .determinize_size_limit(Some(MEMORY_MAX));
        let dfa = dense::Builder::new().configure(dfa).build_from_nfa(&nfa).ok()?;
        Self::table(&dfa, group.to_vec())
    }

    fn table(dfa: &dense::DFA<Vec<u32>>, patterns: Vec<usize>) -> Option<Self> {
        let mut classes = [0; 256];
        let mut bytes = Vec::new();
        for byte in 0..=255 {
            let class = usize::from(dfa.byte_classes().get(byte));
            classes[usize::from(byte)] = u8::try_from(class).ok()?;
            if class == bytes.len() {
                bytes.push(byte);
            }
        }
        let end = u8::try_from(bytes.len()).ok()?;
        let width = bytes.len() + 2;
        let next = |state: StateID| {
            bytes.iter().map(move |byte| dfa.next_state(state, *byte)).chain([dfa.next_eoi_state(state)])
        };
        let first = dfa.start_state(&start::Config::new().anchored(Anchored::No)).ok()?;
        let (mut order, mut known) = (vec![first], BTreeSet::from([first]));
        let mut at = 0;
        while let Some(state) = order.get(at).copied() {
            order.extend(next(state).filter(|next| known.insert(*next)));
            at += 1;
            if order.len() * width > CELLS_MAX {
                return None;
            }
        }
        // First the one from which nothing is found, last those in which something is.
        order.sort_by_key(|state| (!dfa.is_dead_state(*state), dfa.is_match_state(*state)));
        let dead = usize::from(order.first().is_none_or(|state| !dfa.is_dead_state(*state)));
        let place = |number: usize| u32::try_from((dead + number) * width).ok();
        let numbers: HashMap<StateID, usize> =
            order.iter().enumerate().map(|(number, state)| (*state, number)).collect();
        let (mut cells, mut found) = (vec![0; dead * width], Vec::new());
        for state in &order {
            for next in next(*state) {
                cells.push(numbers.get(&next).and_then(|number| place(*number))?);
            }
            let set: BTreeSet<usize> = if dfa.is_match_state(*state) {
                (0..dfa.match_len(*state)).map(|index| dfa.match_pattern(*state, index).as_usize()).collect()
            } else {
                BTreeSet::new()
            };
            let known = found.iter().position(|known| *known == set);
            cells.push(u32::try_from(known.unwrap_or(found.len())).ok()?);
            if known.is_none() {
                found.push(set);
            }
        }
        let first_found = order.iter().filter(|state| !dfa.is_match_state(**state)).count();
        let start = numbers.get(&first).and_then(|number| place(*number))?;
        Some(Self { patterns, classes, end, cells, start, first_found: place(first_found)?, found })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the emitted code does.
    fn walk(union: &Union, text: &[u8]) -> BTreeSet<usize> {
        let (mut state, mut all) = (union.start, BTreeSet::new());
        let cell = |state: u32, class: u8| union.cells[state as usize + usize::from(class)];
        let mut look = |state: u32| {
            if state >= union.first_found {
                let found = &union.found[cell(state, union.end + 1) as usize];
                all.extend(found.iter().map(|place| union.patterns[*place]));
            }
        };
        for byte in text {
            state = cell(state, union.classes[usize::from(*byte)]);
            look(state);
        }
        look(cell(state, union.end));
        all
    }

    fn patterns(texts: &[String]) -> Vec<Pattern> {
        texts.iter().filter_map(|text| Pattern::new(Syntax::Regex, text).ok()).collect()
    }

    #[test]
    fn many_patterns_stand_in_few_automata() {
        let texts: Vec<_> = (0..100).map(|number| format!("[a-f]{{{}}}[0-9]{{2,}}[g-z]", 1 + number)).collect();
        let patterns = patterns(&texts);
        let unions = Union::all(&patterns.iter().collect::<Vec<_>>());
        let found: BTreeSet<_> = unions.iter().flat_map(|union| union.patterns.clone()).collect();
        assert_eq!((unions.len(), found.len()), (4, 100));
    }

    #[test]
    fn patterns_whose_states_would_be_multiplied_stand_apart() {
        let texts: Vec<_> = (0..8).map(|number| format!("[a-f]{number}.*[g-k]{number}.*[0-9]")).collect();
        let patterns = patterns(&texts);
        let unions = Union::all(&patterns.iter().collect::<Vec<_>>());
        assert!(unions.len() > 1 && unions.iter().all(|union| union.cells.len() <= CELLS_MAX));
    }

    proptest! {
        #[test]
        fn what_a_walk_finds_are_the_patterns_that_match(
            texts in prop::collection::vec("[ab.$^|*?+()é-]{0,8}", 2..8),
            text in "[ab\n\\-é\u{80}]{0,12}",
        ) {
            let patterns = patterns(&texts);
            let bytes: Vec<u8> = text.chars().flat_map(|c| if c == '\u{80}' { vec![0xff] } else { c.to_string().into_bytes() }).collect();
            for union in Union::all(&patterns.iter().collect::<Vec<_>>()) {
                let found = walk(&union, &bytes);
                for index in &union.patterns {
                    let expected = regex::bytes::RegexBuilder::new(&patterns[*index].text).unicode(false).build().unwrap();
                    prop_assert_eq!(found.contains(index), expected.is_match(&bytes), "{:?}", patterns[*index].text);
                }
            }
        }
    }
}

//! What a program does before it tries its rules: by a few look-ups it finds those that an event can match at all.
//!
//! ```text
//! condition ─► key            a test that holds whenever the rule matches          /tmp/f, …/nc, "no job control"
//! keys of one field ─► trie ─► table    one walk finds all that hold
//!                                │
//!                                ▼
//! row: the blocks of rules to wake      or-ed into the marks, on the stack
//!                                │
//!                                ▼
//! sweep, in rule order: a marked block's rules are tried whole
//! ```
//!
//! A key that holds says only that its rules *may* match, and a walk may even find too much; what a rule says
//! is decided by its whole condition. Only literals that are searched for (`contains`) are found exactly, and
//! then that is their answer. A rule without a key is in a block that is woken by every event.

pub mod blocks;
pub mod filter;
pub mod key;
pub mod perfect;
pub mod rows;
pub mod set;
pub mod table;
pub mod trie;
pub mod union;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use sensor_common::{event::Event, maps::Stage};

use self::{
    blocks::{BLOCKS_MAX, Block, Grain, blocks},
    key::{Cover, How, Key, Look, cover, search},
    rows::{Lookup, MemoryBuilder, Walk, Walked},
};
use crate::{
    early::weakened,
    expr::{Cond, CondKind},
    fold::fold,
    kleene::{Both, both},
    pattern::Pattern,
    rule::{Rule, RuleSet},
    state::Effect,
    text_test::TextTest,
};

/// A look-up costs about as much as this many rules that are tried and do not match.
pub const KEYS_MIN: usize = 4;
/// A search costs about as much as this many `contains` of their own, and the verifier much less.
pub const SEARCHES_MIN: usize = 2;
/// From so many patterns of a field on, rules that are always tried do not walk their own automata.
const PATTERNS_MIN: usize = 4;
/// Most rules without any look-up: more do not fit the verifier's memory of jumps (8,192) in straight code.
const STRAIGHT_MAX: usize = 200;

/// A rule of one program.
#[derive(Clone)]
pub struct PlannedRule<'a> {
    /// Its number in the rule set.
    pub number: u32,
    /// The rule.
    pub rule: &'a Rule,
    /// Its condition without constants, or a constant.
    pub cond: Cond,
    /// Where that says only what may be: where it certainly is. Without constants, or a constant.
    pub sure: Option<Cond>,
    /// What is done where it holds.
    pub effect: Effect<'a>,
}

impl PlannedRule<'_> {
    /// All that is asked.
    pub fn conds(&self) -> impl Iterator<Item = &Cond> {
        [&self.cond].into_iter().chain(&self.sure)
    }
}

/// What one program judges, and how.
pub struct Plan<'a> {
    /// The event.
    pub event: Event,
    /// Whether by whole conditions, or early, by what is known early of them, or of texts that were not seen whole.
    pub stage: Stage,
    /// The rules for it, in their order.
    pub rules: Vec<PlannedRule<'a>>,
    /// The look-ups before them; `None` where trying every rule is cheaper.
    pub index: Option<Index>,
    /// How many rules that are always tried stand together.
    grain: Grain,
    /// Where it stands in a chain of programs.
    pub link: Link,
}

/// Where a program stands among those that judge one event after each other, each the rules that the one
/// before had no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number, from 0.
    pub part: u32,
    /// Where the program before reaches it: index in the object's array of parts. `None` for the first.
    pub reached: Option<u32>,
    /// Where it reaches the next; `None` for the last, which goes on to finish.
    pub next: Option<u32>,
}

/// The look-ups of one program.
pub struct Index {
    /// The rules in blocks.
    pub blocks: Vec<Block>,
    /// The look-ups.
    pub lookups: Vec<Lookup>,
    /// Walks for the patterns of rules that are always tried.
    pub walks: Vec<Walk>,
    /// Where the answer to a search is: which of the marks.
    pub searched: BTreeMap<Key, usize>,
    /// Where it is said whether a field has a pattern: which of the marks.
    pub walked: BTreeMap<Walked, usize>,
    /// How many programs there have to be so that each has marks for the answers to all its searches.
    pub answered_in: usize,
    /// Number of words of marks: one that says which of the others are worth a look, then bits of blocks, then answers.
    pub words: usize,
    /// What look-ups read: the content of a map.
    pub memory: Vec<u8>,
}

impl<'a> Plan<'a> {
    /// The plans for `event`: none where no rule is for it. `words` says how many words of marks there is
    /// room for, given the conditions.
    pub fn all(rules: &'a RuleSet, event: Event, words: &impl Fn(&[PlannedRule<'_>]) -> usize) -> Vec<Self> {
        type Halves = (Cond, Option<Cond>);
        let plan = |stage, condition: &dyn Fn(&Cond, Effect<'_>) -> Halves| {
            let planned: Vec<_> = rules
                .judging(event)
                .map(|(number, rule, checked, effect)| {
                    let (cond, sure) = condition(&checked.cond, effect);
                    PlannedRule { number, rule, cond, sure, effect }
                })
                .collect();
            Self::of(event, stage, planned, Grain::Coarse, words)
        };
        let rules_plan = plan(Stage::Rules, &|cond, _| (fold(cond), None));
        if rules_plan.rules.is_empty() {
            return Vec::new();
        }
        let early = rules.early(event).map(|early| plan(Stage::Early, &|cond, _| (weakened(cond, early.late), None)));
        let doubts = rules.judging(event).any(|(_, _, checked, _)| both(&checked.cond).is_some());
        let unseen = doubts.then(|| plan(Stage::Unseen, &in_doubt));
        early.into_iter().chain([rules_plan]).chain(unseen).collect()
    }

    fn of(
        event: Event,
        stage: Stage,
        planned: Vec<PlannedRule<'a>>,
        grain: Grain,
        words: &impl Fn(&[PlannedRule<'_>]) -> usize,
    ) -> Self {
        let index = Index::new(&planned, words(&planned), grain);
        Self { event, stage, rules: planned, index, grain, link: Link::default() }
    }

    /// The same with smaller blocks; `None` where they are small already.
    pub fn finer(&self, words: &impl Fn(&[PlannedRule<'_>]) -> usize) -> Option<Self> {
        let is_coarse = self.grain == Grain::Coarse && self.index.is_some();
        is_coarse.then(|| Self::of(self.event, self.stage, self.rules.clone(), Grain::Fine, words))
    }

    /// Up to `count` plans of about equal size, with all rules in their order. `sizes` are those of the rules.
    pub fn parts(&self, count: usize, sizes: &[usize], words: &impl Fn(&[PlannedRule<'_>]) -> usize) -> Vec<Self> {
        let of = |planned: &[PlannedRule<'a>]| Self::of(self.event, self.stage, planned.to_vec(), Grain::Coarse, words);
        evenly(count, sizes).into_iter().filter_map(|part| self.rules.get(part)).map(of).collect()
    }

    /// The program's symbol.
    pub fn name(&self) -> String {
        let kind = match self.stage {
            Stage::Early => "early",
            Stage::Rules => "rules",
            Stage::Unseen => "unseen",
        };
        let name = format!("{kind}_{}", self.event.name().replace('.', "_"));
        if self.link.part == 0 { name } else { format!("{name}_{}", self.link.part + 1) }
    }
}

/// A condition on an event of which some text was not seen whole: where it may hold, and for one that
/// matches, where it certainly does. What may be a step for a count or sequence is one.
fn in_doubt(cond: &Cond, effect: Effect<'_>) -> (Cond, Option<Cond>) {
    match (both(cond), effect) {
        (None, _) => (fold(cond), None),
        (Some(Both { may, .. }), Effect::Note(..)) => (fold(&may), None),
        (Some(Both { must, may }), Effect::Match) => (fold(&may), Some(fold(&must))),
    }
}

/// Up to `count` ranges, none of them empty, that cover all of `sizes` in their order and have about equal sums.
fn evenly(count: usize, sizes: &[usize]) -> Vec<Range<usize>> {
    let sizes = || sizes.iter().map(|size| (*size).max(1));
    let total: usize = sizes().sum();
    let (mut parts, mut last, mut before): (Vec<Range<usize>>, _, _) = (Vec::new(), None, 0);
    for (index, size) in sizes().enumerate() {
        // Its middle says to which part it belongs.
        let part = (2 * before + size) * count / (2 * total);
        match parts.last_mut() {
            Some(range) if last == Some(part) => range.end = index + 1,
            _ => parts.push(index..index + 1),
        }
        (last, before) = (Some(part), before + size);
    }
    parts
}

impl Index {
    fn new(planned: &[PlannedRule<'_>], words: usize, grain: Grain) -> Option<Self> {
        let keys: Vec<_> = entries(planned).into_iter().map(Entry::into_keys).collect();
        let sought: BTreeSet<Key> = planned.iter().flat_map(|planned_rule| searches(&planned_rule.cond)).collect();
        let mut looks: BTreeSet<Look> = keys.iter().flatten().flatten().map(|key| key.look).collect();
        looks.extend(common_searches(&sought));
        let patterns = common_patterns(
            planned.iter().zip(&keys).filter(|(_, keys)| keys.is_none()).map(|(planned_rule, _)| planned_rule),
        );
        if words < 3 || looks.is_empty() && patterns.is_empty() && planned.len() <= STRAIGHT_MAX {
            return None;
        }
        let always: Vec<_> = keys.iter().map(Option::is_none).collect();
        let blocks = blocks(&always, BLOCKS_MAX.min(64 * (words / 2)), grain);
        let mut wakes: BTreeMap<Key, BTreeSet<usize>> = BTreeMap::new();
        for (block, rules) in blocks.iter().enumerate() {
            for key in keys[rules.rules.clone()].iter().flatten().flatten() {
                wakes.entry(key.clone()).or_default().insert(block);
            }
        }
        let asked: BTreeSet<_> = sought.into_iter().filter(|key| looks.contains(&key.look)).collect();
        for key in &asked {
            wakes.entry(key.clone()).or_default();
        }
        let mut memory = MemoryBuilder::new(&blocks, words);
        let lookups = looks.iter().map(|look| {
            let of: Vec<_> = wakes.iter().filter(|(key, _)| key.look == *look).collect();
            memory.lookup(*look, &of, &asked)
        });
        let lookups = lookups.collect::<Option<Vec<_>>>()?;
        let walks = patterns.iter().flat_map(|(offset, patterns)| memory.walks(*offset, patterns)).collect();
        let answered_in = memory.searches.div_ceil(memory.searched.len().max(1)).max(1);
        let MemoryBuilder { bytes: memory, words, searched, walked, .. } = memory;
        Some(Self { blocks, lookups, walks, searched, walked, answered_in, words, memory })
    }
}

/// How a rule is found.
#[derive(Clone, Debug)]
pub enum Entry {
    /// By these keys: tried only where one of them holds.
    Found(Cover),
    /// It has keys, of a kind of which there are too few to be worth a look-up: tried on every event.
    Rare(Cover),
    /// It has none: tried on every event.
    Always,
}

impl Entry {
    /// The keys by which it is looked up.
    fn keys(&self) -> impl Iterator<Item = &Key> {
        let keys = match self {
            Self::Found(cover) => Some(&cover.keys),
            Self::Rare(_) | Self::Always => None,
        };
        keys.into_iter().flatten()
    }

    fn into_keys(self) -> Option<BTreeSet<Key>> {
        match self {
            Self::Found(cover) => Some(cover.keys),
            Self::Rare(_) | Self::Always => None,
        }
    }
}

/// How each rule of one program is found. Only look-ups that are worth their cost are made.
pub fn entries(planned: &[PlannedRule<'_>]) -> Vec<Entry> {
    let entry = |planned_rule: &PlannedRule<'_>| cover(&planned_rule.cond, true).map_or(Entry::Always, Entry::Found);
    let mut entries: Vec<_> = planned.iter().map(entry).collect();
    loop {
        let mut counts: BTreeMap<Look, BTreeSet<&[u8]>> = BTreeMap::new();
        for key in entries.iter().flat_map(Entry::keys) {
            counts.entry(key.look).or_default().insert(&key.bytes);
        }
        let rare = |look: &Look, count: usize| {
            count < if matches!(look.how, How::Anywhere(_)) { SEARCHES_MIN } else { KEYS_MIN }
        };
        let rare: BTreeSet<Look> =
            counts.iter().filter(|(look, keys)| rare(look, keys.len())).map(|(look, _)| *look).collect();
        if rare.is_empty() {
            return entries;
        }
        for entry in &mut entries {
            if entry.keys().any(|key| rare.contains(&key.look))
                && let Entry::Found(cover) = std::mem::replace(entry, Entry::Always)
            {
                *entry = Entry::Rare(cover);
            }
        }
    }
}

/// The patterns in the conditions of rules that are always tried, by the field's offset in the record, each
/// once; only of fields with so many that one walk for all is worth it.
fn common_patterns<'a>(planned: impl Iterator<Item = &'a PlannedRule<'a>>) -> BTreeMap<usize, Vec<&'a Pattern>> {
    fn of<'a>(cond: &'a Cond, all: &mut BTreeMap<usize, BTreeMap<union::Name<'a>, &'a Pattern>>) {
        if let CondKind::Pattern(field, pattern) = &cond.kind {
            all.entry(field.offset).or_default().insert((pattern.syntax, &pattern.text), pattern);
        }
        cond.parts().into_iter().for_each(|part| of(part, all));
    }
    let mut all = BTreeMap::new();
    planned.for_each(|planned_rule| of(&planned_rule.cond, &mut all));
    let enough = all.into_iter().filter(|(_, patterns)| patterns.len() >= PATTERNS_MIN);
    enough.map(|(offset, patterns)| (offset, patterns.into_values().collect())).collect()
}

/// Where so much is searched for that one search for all is worth it, whether rules are found by it or are
/// always tried.
fn common_searches(sought: &BTreeSet<Key>) -> impl Iterator<Item = Look> {
    let mut counts: BTreeMap<Look, usize> = BTreeMap::new();
    for key in sought {
        *counts.entry(key.look).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count >= SEARCHES_MIN).map(|(look, _)| look)
}

/// All searches in a condition.
fn searches(cond: &Cond) -> Vec<Key> {
    match &cond.kind {
        CondKind::Text(TextTest::Contains, field, literal) => search(field, literal).into_iter().collect(),
        _ => cond.parts().into_iter().flat_map(searches).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_all_in_order_and_are_about_equal() {
        for (count, sizes) in [
            (3, vec![5; 100]),
            (7, vec![1; 7]),
            (4, vec![1, 1, 1, 97, 1, 1]),
            (5, vec![3]),
            (2, vec![0; 10]),
            (3, vec![]),
        ] {
            let parts = evenly(count, &sizes);
            assert!(parts.len() <= count, "{parts:?}");
            assert_eq!(parts.iter().cloned().flatten().collect::<Vec<_>>(), (0..sizes.len()).collect::<Vec<_>>());
            let (total, most) = (sizes.iter().sum::<usize>(), sizes.iter().max().copied().unwrap_or(0));
            for part in parts {
                assert!(!part.is_empty() && sizes[part].iter().sum::<usize>() <= total / count + most + 1);
            }
        }
    }
}

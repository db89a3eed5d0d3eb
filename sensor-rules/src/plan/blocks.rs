//! Blocks: neighbouring rules that are woken together, so that a bit for each fits the stack however many
//! rules there are.

use std::ops::Range;

/// Most blocks: as many as a word of 32 bits can say of 32 words of 32 bits whether there is one to wake.
pub const BLOCKS_MAX: usize = 1024;

/// How many rules that are always tried go together, at least as many as others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// As many as the verifier can keep the jumps of in mind.
    Coarse,
    /// Not more than others: where rules are so long that jumps over blocks of many would be too far.
    Fine,
}

impl Grain {
    const fn at_least(self) -> usize {
        match self {
            Self::Coarse => 32,
            Self::Fine => 1,
        }
    }
}

/// Rules next to each other, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which of the program's rules.
    pub rules: Range<usize>,
    /// Whether one of them has to be tried on every event.
    pub always: bool,
}

/// At most `max` blocks of all rules. `always` says of each rule whether it is tried on every event: those
/// keep to themselves, as far as `max` allows.
pub fn blocks(always: &[bool], max: usize, grain: Grain) -> Vec<Block> {
    let max = max.clamp(1, BLOCKS_MAX);
    let mut size = 1;
    while size < always.len() {
        let blocks = apart(always, size, grain);
        if blocks.len() <= max {
            return blocks;
        }
        size += size.div_ceil(4);
    }
    let size = always.len().div_ceil(max).max(1);
    let starts = (0..always.len()).step_by(size);
    let block = |start: usize| {
        let rules = start..(start + size).min(always.len());
        Block { always: always[rules.clone()].contains(&true), rules }
    };
    starts.map(block).collect()
}

/// Blocks of at most `size` rules, each of one kind; of those that are always tried, as many as `grain` says
/// go together at least.
fn apart(always: &[bool], size: usize, grain: Grain) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (rule, always) in always.iter().copied().enumerate() {
        match blocks.last_mut() {
            Some(last)
                if last.always == always
                    && last.rules.len() < if always { size.max(grain.at_least()) } else { size } =>
            {
                last.rules.end = rule + 1;
            }
            _ => blocks.push(Block { rules: rule..rule + 1, always }),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_in_one_block_and_in_order() {
        for (count, max, often) in
            [(1, 1, 1), (5, 1024, 2), (5, 2, 2), (3000, 1024, 7), (3000, 1024, 1), (10_000, 1024, 3)]
        {
            let always: Vec<_> = (0..count).map(|rule| rule % often == 1).collect();
            let blocks = blocks(&always, max, Grain::Coarse);
            assert!(blocks.len() <= max, "{count} {max} {often}: {}", blocks.len());
            let rules: Vec<_> = blocks.iter().flat_map(|block| block.rules.clone()).collect();
            assert_eq!(rules, (0..count).collect::<Vec<_>>());
            for block in &blocks {
                assert_eq!(block.always, always[block.rules.clone()].contains(&true));
            }
        }
    }

    #[test]
    fn rules_that_are_always_tried_wake_no_others() {
        let always = [false, false, true, true, false];
        let blocks = blocks(&always, 8, Grain::Coarse);
        assert_eq!(blocks.iter().map(|block| block.rules.clone()).collect::<Vec<_>>(), [0..1, 1..2, 2..4, 4..5]);
    }
}

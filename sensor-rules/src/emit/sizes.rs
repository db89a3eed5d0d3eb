//! How long the code of each rule is.

use super::{asm::Code, program::Mark};
use crate::plan::Plan;

/// How long the code of a rule is, instructions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sizes {
    /// All of it.
    pub all: usize,
    /// The parts of its condition that have no parts, in the order in which they are tried.
    pub leaves: Vec<usize>,
}

/// The sizes of all rules in the code of `plan`.
pub(crate) fn sizes(plan: &Plan<'_>, code: &Code<Mark>) -> Vec<Sizes> {
    let mut sizes = vec![Sizes::default(); plan.rules.len()];
    let ends = code.origins.iter().skip(1).map(|(first, _)| *first).chain([code.bytes.len() / 8]);
    let mut before = None;
    for ((first, mark), end) in code.origins.iter().zip(ends) {
        let Some((planned_rule, _)) = *mark else {
            before = None;
            continue;
        };
        // Where a rule begins, nothing has been emitted yet.
        let begins = before != Some(planned_rule);
        before = Some(planned_rule);
        if let Some(sizes) = sizes.get_mut(planned_rule) {
            sizes.all += end - first;
            if !begins {
                sizes.leaves.push(end - first);
            }
        }
    }
    sizes
}

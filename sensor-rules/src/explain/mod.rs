//! What the compiler makes of rules, for people: the plan in words, the instructions, the cost.

pub mod cost;
pub(crate) mod names;
pub(crate) mod predicate;
mod programs;
mod table;
mod words;

use sensor_common::event::Event;

pub use cost::{EventCost, LookupCost, RuleCost, costs};
pub use table::table;
pub use words::plan;

use crate::{
    diagnostic::Diagnostics,
    emit::{self, Part},
    rule::RuleSet,
};

/// The instructions of all programs, as the verifier's log spells them, each with the rule, the predicate and
/// the memory that it is about. Of rules only those whose id `shown` accepts.
///
/// # Errors
/// As for [`compile`](crate::compile).
pub fn assembly(rules: &RuleSet, shown: &dyn Fn(&str) -> bool) -> Result<String, Diagnostics> {
    let mut listings = Vec::new();
    for event in Event::ALL {
        for Part { plan, code } in programs::of(rules, *event)? {
            if plan.rules.iter().any(|planned_rule| shown(&planned_rule.rule.id)) {
                listings.push(emit::listing(&plan, &code, shown));
            }
        }
    }
    Ok(listings.join("\n"))
}

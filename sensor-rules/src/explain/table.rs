//! Costs as a table.

use std::fmt::{self, Write};

use super::{
    cost::{EventCost, LENGTHS, LookupCost, RuleCost},
    words::counted,
};

/// How many rules of one event are listed one by one.
const LISTED: usize = 50;

/// What the rules for each event cost, the dearest first. Of rules only those whose id `shown` accepts; the
/// sums are of all.
pub fn table(costs: &[EventCost], shown: &dyn Fn(&str) -> bool) -> String {
    let mut out = String::new();
    for cost in costs {
        let mut rules: Vec<_> = cost.rules.iter().filter(|rule| shown(&rule.id)).collect();
        if rules.is_empty() {
            continue;
        }
        rules.sort_by(|one, other| other.time().total_cmp(&one.time()));
        if !out.is_empty() {
            out.push('\n');
        }
        // Writing to a string does not fail.
        let _ = event(&mut out, cost, &rules);
    }
    out
}

/// What the event costs by how long its strings are, where that makes a difference.
fn by_length(cost: &EventCost) -> String {
    let [short, long] = cost.by_length;
    if long - short < 1.0 {
        return String::new();
    }
    format!(" ({short:.0} with {} bytes in each string, {long:.0} with {})", LENGTHS[0], LENGTHS[1])
}

/// How fast a look-up goes through a string, where it goes through all of it.
fn by_step(lookup: &LookupCost) -> String {
    match lookup.step {
        Some(step) if step < 2.0 => ", byte by byte".to_owned(),
        Some(step) => format!(", some {step:.0} bytes a step"),
        None => String::new(),
    }
}

fn event(out: &mut String, cost: &EventCost, rules: &[&RuleCost]) -> fmt::Result {
    let name = cost.event.name();
    writeln!(
        out,
        "{name}: {}, about {:.0} ns per event that matches none{}",
        counted(cost.rules.len(), "rule"),
        cost.time(),
        by_length(cost)
    )?;
    writeln!(out, "{:>10}  what", "ns")?;
    writeln!(out, "{:>10.2}  whatever the rules are", cost.base)?;
    for lookup in &cost.lookups {
        let finds = counted(lookup.finds, lookup.of);
        writeln!(out, "{:>10.2}  looking up {}, for {finds}{}", lookup.time, lookup.what, by_step(lookup))?;
    }
    for rule in rules.iter().take(LISTED) {
        writeln!(
            out,
            "{:>10.2}  rule {} ({}): {}; {:.0} of {} then",
            rule.time(),
            rule.id,
            rule.place,
            rule.why,
            rule.executed,
            counted(rule.instructions, "instruction")
        )?;
    }
    if let Some(rest) = rules.get(LISTED..).filter(|rest| !rest.is_empty()) {
        let time: f64 = rest.iter().map(|rule| rule.time()).sum();
        writeln!(out, "{time:>10.2}  {} more, none of them dearer than these", counted(rest.len(), "rule"))?;
    }
    Ok(())
}

//! What one bundle has and another has not.

use std::{collections::BTreeMap, fmt::Write};

use sensor_rules::Source;
use similar::TextDiff;

use super::{
    manifest::{Manifest, RuleFacts},
    verify::Unverified,
};

/// The differences from `old` to `new` as text, empty where there are none. Bundles for other field tables
/// can be compared too. Every line of it must still be made printable: nobody vouches for what stands in the
/// bundles.
pub fn diff(old: &Unverified, new: &Unverified) -> String {
    let mut text = facts(old.claims(), new.claims());
    text += &rules(&old.claims().rules, &new.claims().rules);
    let (old, new) = (by_name(old.claimed_sources()), by_name(new.claimed_sources()));
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        let (before, after) = (old.get(name).copied().unwrap_or(""), new.get(name).copied().unwrap_or(""));
        if before != after || !old.contains_key(name) || !new.contains_key(name) {
            let header = |has: bool| if has { *name } else { "/dev/null" };
            let (from, to) = (header(old.contains_key(name)), header(new.contains_key(name)));
            text += &TextDiff::from_lines(before, after).unified_diff().header(from, to).to_string();
        }
    }
    text
}

fn by_name(sources: &[Source]) -> BTreeMap<&str, &str> {
    sources.iter().filter_map(|source| Some((source.name.as_str(), std::str::from_utf8(&source.text).ok()?))).collect()
}

/// Differences between what two manifests say in single values.
fn facts(old: &Manifest, new: &Manifest) -> String {
    let values = |manifest: &Manifest| {
        let Manifest { generation, category, contract, interfaces, architecture, soak, budget, .. } = manifest;
        [
            ("generation", generation.to_string()),
            ("category", category.to_string()),
            ("contract", contract.to_string()),
            ("interfaces", format!("{} to {}", interfaces.from, interfaces.to)),
            ("architecture", architecture.clone()),
            ("minimum soak", format!("{soak} s")),
            ("budget", format!("{} ns per event", budget.nanoseconds_per_event)),
            ("budget", format!("{} alerts per hour", budget.alerts_per_hour)),
            ("changelog", format!("{:?}", manifest.changelog)),
        ]
    };
    let mut text = String::new();
    for ((name, before), (_, after)) in
        values(old).iter().zip(values(new)).filter(|((_, one), (_, other))| one != other)
    {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name}: {before} -> {after}");
    }
    text
}

fn rules(old: &[RuleFacts], new: &[RuleFacts]) -> String {
    let by_id = |rules: &[RuleFacts]| -> BTreeMap<String, String> {
        rules.iter().map(|rule| (rule.id.clone(), format!("{} on {}", rule.action, rule.events.join(", ")))).collect()
    };
    let (old, new) = (by_id(old), by_id(new));
    let mut text = String::new();
    for (id, facts) in &new {
        let _ = match old.get(id) {
            None => writeln!(text, "rule added: {id} ({facts})"),
            Some(before) if before != facts => writeln!(text, "rule changed: {id} ({before} -> {facts})"),
            Some(_) => Ok(()),
        };
    }
    for (id, facts) in old.iter().filter(|(id, _)| !new.contains_key(*id)) {
        let _ = writeln!(text, "rule removed: {id} ({facts})");
    }
    text
}

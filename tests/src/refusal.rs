//! What is refused changes nothing, and is refused in words that help.

use anyhow::{Result, ensure};
use sensor_rules::Source;
use sensor_user::api::protocol::{Refused, Refuser};

use crate::{
    fifo,
    rules::{self, Draft},
    sensor::{Sensor, names_rule},
    shared,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "refusal::the_verifier_stops_a_rule_that_reads_too_far", boot: Boot::Plain, run: reads_too_far },
    Test { name: "refusal::one_bad_rule_of_ten_refuses_all", boot: Boot::Plain, run: one_of_ten },
];

/// A rule that reads a field which this sensor does not supply: field 21 of 20. Everybody's file is guarded by it.
pub const FIELD_21: Draft<'_> =
    Draft { unchecked: &["field21"], ..Draft::alert("reads-field-21", &["fifo.create"], "field21 == 21") };

/// What is in force while bad rules are pushed: [`unchanged`] looks for its reports.
pub const GOOD: Draft<'_> = Draft::alert("watches", &["fifo.create"], "path.startsWith('/tmp/watched')");

fn reads_too_far() -> Result<()> {
    let sensor = shared::sensor(vec![rules::file("good.yaml", &[GOOD])])?;
    let refused = unchanged(&sensor, vec![rules::file("field21.yaml", &[FIELD_21])], true)?;
    ensure!(refused.by == Refuser::Verifier, "refused by {:?}: {}", refused.by, refused.message);
    for words in ["reads-field-21", "field21.yaml:", "invalid access to map value"] {
        ensure!(refused.message.contains(words), "the message does not say {words:?}: {}", refused.message);
    }
    // Not even a field's first byte behind the record: the kernel's figures say how far it would have read.
    ensure!(refused.message.contains("value_size="), "the verifier's own figures are missing: {}", refused.message);
    shared::park(sensor);
    Ok(())
}

fn one_of_ten() -> Result<()> {
    let ids: Vec<_> = (0..9).map(|number| format!("good-{number}")).collect();
    let mut ten: Vec<_> = ids.iter().map(|id| Draft { id, ..GOOD }).collect();
    let sensor = shared::sensor(vec![rules::file("good.yaml", &[GOOD])])?;

    ten.insert(4, Draft::alert("bad", &["fifo.create"], "pth == '/tmp/f'"));
    let refused = unchanged(&sensor, vec![rules::file("ten.yaml", &ten)], false)?;
    ensure!(refused.by == Refuser::Checks, "refused by {:?}", refused.by);
    ensure!(refused.message.contains("did you mean `path`?"), "no suggestion: {}", refused.message);

    ten[4] = FIELD_21;
    let refused = unchanged(&sensor, vec![rules::file("ten.yaml", &ten)], true)?;
    ensure!(refused.by == Refuser::Verifier, "refused by {:?}", refused.by);
    ensure!(refused.message.contains("reads-field-21"), "the bad rule is not named: {}", refused.message);

    ten.remove(4);
    let before = sensor.status()?.generation;
    let pushed = sensor.push(vec![rules::file("ten.yaml", &ten)])?;
    ensure!((pushed.rules, pushed.previous) == (9, before), "without the bad one: {pushed:?}");
    shared::park(sensor);
    Ok(())
}

/// Pushes what must be refused: generation, rules and judgement stay as they were.
///
/// # Errors
/// Where it is accepted, or anything changed.
pub fn unchanged(sensor: &Sensor, sources: Vec<Source>, skip_checks: bool) -> Result<Refused> {
    let before = sensor.status()?;
    let refused = sensor.refused(sources, skip_checks)?;
    let after = sensor.status()?;
    let same = (before.generation, before.previous, before.rules) == (after.generation, after.previous, after.rules);
    ensure!(same, "a refused push changed the status from {before:#?} to {after:#?}");
    ensure!(refused.active == before.generation, "the refusal speaks of generation {:?}", refused.active);
    let earlier = sensor.lines()?.len();
    fifo::remake("/tmp/watched-still")?;
    let reports = sensor.reports()?;
    let judged = reports.len() == earlier + 1 && reports.last().is_some_and(|report| names_rule(report, "watches"));
    ensure!(judged, "after the refused push the old rules do not judge: {reports:#?}");
    Ok(refused)
}

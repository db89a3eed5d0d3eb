//! What was not seen whole is no "no match": a rule is undecided, says so, and does what it says for that.

use std::fs;

use anyhow::{Result, ensure};
use sensor_rules::Source;

use crate::{
    fifo,
    sensor::{Sensor, names_rule},
    shared,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] =
    &[Test { name: "undecided::a_path_too_long_to_be_kept_is_denied_and_named", boot: Boot::Plain, run: long_path }];

/// A rule for the opening of FIFOs.
fn rule(condition: &str, more: &str) -> Vec<Source> {
    let text = format!(
        "rules:\n- id: guard\n  title: x\n  severity: low\n  on: fifo.open\n  action: block\n  condition: {condition}\n{more}"
    );
    vec![Source { name: "undecided.yaml".into(), text: text.into_bytes() }]
}

fn long_path() -> Result<()> {
    let directory = format!("/tmp/undecided/{}/{}", "a".repeat(200), "b".repeat(100));
    fs::create_dir_all(&directory)?;
    let path = format!("{directory}/fifo");
    fifo::remake(&path)?;
    let hidden = "path.contains('hidden')";
    let sensor = shared::enforcing(rule(hidden, ""))?;
    let before = sensor.status()?.undecided;
    let refused = fifo::is_refused(&fifo::open(&path).map(drop));
    ensure!(refused, "a rule that is undecided and blocks did not");
    ensure!(said(&sensor)? == "denied", "not reported as denied");
    sensor.push(rule(hidden, "  undecided: alert\n"))?;
    fifo::open(&path)?;
    ensure!(said(&sensor)? == "allowed", "not reported as allowed");
    // What is certain is decided.
    sensor.push(rule("path.contains('hidden') && path.startsWith('/run/')", ""))?;
    fifo::open(&path)?;
    sensor.push(rule("path.startsWith('/tmp/undecided/')", "  exceptions:\n    known: path.contains('a/b')\n"))?;
    ensure!(fifo::is_refused(&fifo::open(&path).map(drop)), "an exception was granted on what was not seen");
    ensure!(said(&sensor)? == "denied", "not reported as denied");
    let counted = sensor.status()?.undecided - before;
    ensure!(counted == 3, "{counted} events undecided, not 3");
    shared::park(sensor);
    fs::remove_dir_all("/tmp/undecided")?;
    Ok(())
}

/// The outcome of the last event, which is undecided by its path.
fn said(sensor: &Sensor) -> Result<String> {
    let reports = sensor.reports()?;
    let last = reports.last().cloned().unwrap_or_default();
    let named = last["undecided_rules"][0]["id"] == "guard" && last["undecided"][0] == "path";
    ensure!(named && names_rule(&last, "guard"), "{last:#}");
    Ok(last["outcome"].as_str().unwrap_or_default().to_owned())
}

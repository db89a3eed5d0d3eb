//! What the language has beyond comparisons, on this kernel's hooks: patterns, arithmetic, ancestors, counts
//! and sequences.

use std::process::Command;

use anyhow::{Result, ensure};
use sensor_rules::Source;

use crate::{
    fifo,
    sensor::{Sensor, names_rule},
    shared,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "language::every_construct_is_judged_in_the_kernel", boot: Boot::Plain, run: constructs },
    Test { name: "language::a_count_blocks_what_is_too_much", boot: Boot::Plain, run: count },
    Test { name: "language::a_sequence_is_seen_in_its_tree", boot: Boot::Plain, run: sequence },
];

const FIFO: &str = "/tmp/language/counted.fifo";

/// A rule for `fifo.open` on [`FIFO`].
fn rule(id: &str, action: &str, more: &str) -> String {
    format!(
        "- id: {id}\n  title: x\n  severity: low\n  on: fifo.open\n  action: {action}\n  condition: path == \"{FIFO}\"\n{more}"
    )
}

fn source(rules: &[String]) -> Vec<Source> {
    vec![Source { name: "language.yaml".into(), text: format!("rules:\n{}", rules.concat()).into_bytes() }]
}

/// How many reports name the rule.
fn reports(sensor: &Sensor, id: &str) -> Result<usize> {
    Ok(sensor.reports()?.iter().filter(|report| names_rule(report, id)).count())
}

/// Each of these holds of an open of [`FIFO`] by this process.
const CONDITIONS: &[(&str, &str)] = &[
    ("regex", r#"path.matches("^/tmp/[a-z]+/c.*d\\.fifo$") && !path.matches("[0-9]")"#),
    ("glob", r#"path.glob("/tmp/*/counted.{fifo,pipe}") && !path.glob("/tmp/*")"#),
    ("arithmetic", "process.pid * 6 / 3 % 7 == process.pid * 2 % 7 && -process.pid / 2 < 0 && inode % 10 >= 0"),
    ("ancestors", "ancestors.exists(a, a.pid == parent.pid) && ancestors.all(a, a.pid != process.pid)"),
    ("constants", "mode.has(S_IFIFO) && process.capabilities.has(CAP_SYS_ADMIN)"),
];

fn constructs() -> Result<()> {
    let all: Vec<_> = CONDITIONS
        .iter()
        .map(|(id, condition)| {
            rule(id, "alert", "").replace(&format!("path == \"{FIFO}\""), &format!("|-\n    {condition}"))
        })
        .collect();
    let sensor = shared::sensor(source(&all))?;
    fifo::remake(FIFO)?;
    drop(fifo::open(FIFO)?);
    for (id, condition) in CONDITIONS {
        ensure!(reports(&sensor, id)? == 1, "not 1 report by {condition}: {:#?}", sensor.reports()?);
    }
    shared::park(sensor);
    Ok(())
}

fn count() -> Result<()> {
    let counts = rule("counts", "block", "  count: {by: process.pid, within: 1h, more_than: 20}\n");
    let sensor = shared::enforcing(source(std::slice::from_ref(&counts)))?;
    fifo::remake(FIFO)?;
    let refused = || (0..25).filter(|_| fifo::is_refused(&fifo::open(FIFO))).count();
    let first = refused();
    ensure!(first == 5, "{first} of 25 opens were refused, and not 5");
    ensure!(reports(&sensor, "counts")? == 5, "not one report for each open that was refused");
    // A new generation begins to count anew.
    sensor.push(source(&[counts]))?;
    let second = refused();
    ensure!(second == 5, "{second} of 25 opens were refused under the next generation, and not 5");
    shared::park(sensor);
    Ok(())
}

fn sequence() -> Result<()> {
    let after = |by: &str| {
        format!(
            "  after:\n    on: process.exec\n    condition: path == \"/bin/busybox\"\n    by: {by}\n    within: 1h\n"
        )
    };
    let rules = [rule("tree", "alert", &after("tree")), rule("same", "alert", &after("process.pid"))];
    let sensor = shared::sensor(source(&rules))?;
    fifo::remake(FIFO)?;
    drop(fifo::open(FIFO)?);
    ensure!(sensor.reports()?.is_empty(), "reports before the first event: {:#?}", sensor.reports()?);
    let status = Command::new("/bin/busybox").arg("true").status()?;
    ensure!(status.success(), "busybox ended with {status}");
    drop(fifo::open(FIFO)?);
    ensure!(reports(&sensor, "tree")? == 1, "the parent of who did the first is in its tree: {:#?}", sensor.reports()?);
    ensure!(reports(&sensor, "same")? == 0, "another process is not the same process");
    shared::park(sensor);
    Ok(())
}

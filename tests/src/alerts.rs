//! The shipped rules tell a reverse shell from everyday work.

use anyhow::{Context, Result, ensure};

use crate::{
    rules,
    sensor::{Sensor, field},
    shared, shell,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "alerts::benign_work_gives_none", boot: Boot::Plain, run: benign },
    Test { name: "alerts::a_reverse_shell_through_a_fifo_gives_some", boot: Boot::Plain, run: reverse_shell },
];

fn benign() -> Result<()> {
    let sensor = shared::sensor(rules::shipped()?)?;
    let before = judged(&sensor)?;
    for (name, script) in shell::BENIGN {
        let output = shell::run(script)?;
        ensure!(
            output.status.success(),
            "{name} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    ensure!(judged(&sensor)? > before, "nothing was judged: no alert means nothing");
    let reports = sensor.lines()?;
    ensure!(reports.is_empty(), "alerts: {}", reports.join("\n"));
    shared::park(sensor);
    Ok(())
}

fn judged(sensor: &Sensor) -> Result<u64> {
    Ok(sensor.status()?.events.values().map(|counted| counted.judged).sum())
}

fn reverse_shell() -> Result<()> {
    let sensor = shared::sensor(rules::shipped()?)?;
    let attack = shell::attack()?;
    ensure!(attack.obeyed, "the attack did not work, so nothing is proved: {:?} {:?}", attack.seen, attack.complaints);
    let reports = sensor.reports()?;
    let report = reports
        .iter()
        .find(|report| field(report, "path") == "/tmp/f")
        .with_context(|| format!("no alert names /tmp/f: {reports:#?}"))?;
    for name in ["process.comm", "process.exe", "parent.comm", "parent.exe"] {
        let value = field(report, name);
        ensure!(value.as_str().is_some_and(|text| !text.is_empty()), "{name} is {value} in {report:#}");
    }
    ensure!(report["outcome"] != "denied", "denied, but the sensor was not to enforce: {report:#}");
    let of_the_script = reports
        .iter()
        .any(|report| field(report, "parent.pid") == attack.pid || field(report, "process.pid") == attack.pid);
    ensure!(of_the_script, "no alert is for the script's process {} or its children: {reports:#?}", attack.pid);
    shared::park(sensor);
    Ok(())
}

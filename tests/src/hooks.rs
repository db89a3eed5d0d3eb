//! Each hook: accepted by this kernel, attached while a rule needs it, and only then.

use anyhow::{Result, ensure};
use sensor_common::event::{Attach, Event, Hook};

use crate::{
    protocol::Table,
    report,
    rules::{self, Draft},
    sensor::Sensor,
    shared,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] =
    &[Test { name: "hooks::each_is_attached_while_a_rule_needs_it", boot: Boot::Plain, run: each }];

fn each() -> Result<()> {
    let sensor = shared::sensor(vec![rules::file("none.yaml", &[rules::NONE])])?;
    let mut problems = Vec::new();
    let mut sizes = Vec::new();
    for hook in Hook::ALL {
        match alone(&sensor, *hook) {
            Ok(size) => sizes.push(format!("{} {size}", hook.name())),
            Err(error) => problems.push(format!("{}: {error:#}", hook.name())),
        }
    }
    report::say(format!("verified instructions: {}", sizes.join(", ")));
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    shared::park(sensor);
    Ok(())
}

/// Pushes a rule for all events of one hook; how many instructions the verifier looked at to accept the hook.
fn alone(sensor: &Sensor, hook: Hook) -> Result<u32> {
    let events: Vec<_> = Event::of(hook).map(Event::name).collect();
    sensor.push(vec![rules::file("one.yaml", &[Draft::alert("one", &events, "process.comm == 'nobody'")])])?;
    let hooks = sensor.status()?.hooks;
    let attached: Vec<_> = hooks.iter().filter(|state| state.attached).collect();
    ensure!(attached.len() == 1 && attached[0].hook == hook.name(), "attached is not it alone: {attached:?}");
    let way = match hook.attach() {
        Attach::Lsm => "LSM".to_owned(),
        Attach::Fentry(_) => format!("fentry `{}`", attached[0].function),
    };
    report::fact(Table::Hooks, hook.name(), &way);
    Ok(attached[0].verified_instructions.unwrap_or(0))
}

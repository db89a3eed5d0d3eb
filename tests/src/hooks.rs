//! Each hook: accepted by this kernel, attached while a rule needs it, and only then.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

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
    let attached: BTreeMap<&str, _> =
        hooks.iter().filter(|state| state.attached).map(|state| (state.hook.as_str(), state)).collect();
    let needed = needed(hook);
    ensure!(attached.keys().eq(needed.iter()), "attached is {:?}, and needed {needed:?}", attached.keys());
    let own = attached[hook.name()];
    let way = match hook.attach() {
        Attach::Lsm => "LSM".to_owned(),
        Attach::Fentry(_) => format!("fentry `{}`", own.function),
        Attach::Fexit(_) => format!("fexit `{}`", own.function),
    };
    report::fact(Table::Hooks, hook.name(), &way);
    Ok(own.verified_instructions.unwrap_or(0))
}

/// The programs that a rule for all events of one hook needs: of the hook, of those of the events that go
/// with them, and beside these.
pub fn needed(hook: Hook) -> BTreeSet<&'static str> {
    // A rule that reads no payload is not for what is copied.
    let events = Event::of(hook).flat_map(|event| [Some(event), event.companion()]).flatten();
    let beside = |hook: Hook| hook.notes().iter().map(|(program, _)| *program);
    events.flat_map(|event| iter::once(event.hook().name()).chain(beside(event.hook()))).collect()
}

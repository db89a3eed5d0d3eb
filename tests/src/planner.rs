//! The planner on real hooks: rules that are looked up, and that every rule set is accepted.

use std::fs::File;

use anyhow::{Context as _, Result, ensure};
use sensor_common::event::Event;
use sensor_proof::{
    accepted::{large, random_sets},
    largest, realistic,
};

use crate::{
    accepted::Hooks,
    fifo, report,
    rules::{self, Draft},
    sensor::{Launch, names_rule},
    shared,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "planner::a_rule_that_is_looked_up_finds_its_path_and_no_other", boot: Boot::Plain, run: looked_up },
    Test { name: "planner::random_rule_sets_are_accepted", boot: Boot::Plain, run: random },
    Test { name: "planner::a_thousand_rules_fit_thirty_mebibytes", boot: Boot::Plain, run: memory },
    Test { name: "planner::ten_thousand_rules_that_cannot_be_looked_up", boot: Boot::Long, run: unindexable },
];

/// How many random rule sets each test run loads.
const SETS: u64 = 20;

/// Paths that tell rules apart by their last byte, in their middle, and by where they end.
const PATHS: [&str; 6] =
    ["/tmp/planned/a", "/tmp/planned/b", "/tmp/planned/ab", "/tmp/planned/other/a", "/tmp/planned", "/tmp/planned-a/a"];

fn looked_up() -> Result<()> {
    let ids: Vec<_> = (0..PATHS.len()).map(|number| format!("path-{number}")).collect();
    let conditions: Vec<_> = PATHS.iter().map(|path| format!("path == '{path}/fifo'")).collect();
    let events = ["fifo.open"];
    let drafts: Vec<_> =
        ids.iter().zip(&conditions).map(|(id, condition)| Draft::alert(id, &events, condition)).collect();
    let sensor = shared::sensor(vec![rules::file("planned.yaml", &drafts)])?;
    for path in PATHS {
        // The path itself, one byte more, one byte less, another byte.
        for name in ["fifo", "fifo1", "fif", "fifp"] {
            let path = format!("{path}/{name}");
            fifo::remake(&path)?;
            drop::<File>(fifo::open(&path)?);
        }
    }
    let reports = sensor.reports()?;
    for (id, path) in ids.iter().zip(PATHS) {
        let found: Vec<_> = reports.iter().filter(|report| names_rule(report, id)).collect();
        ensure!(found.len() == 1, "{id} alerted {} times", found.len());
        ensure!(found[0]["path"] == format!("{path}/fifo"), "{id} alerted on {}", found[0]["path"]);
    }
    ensure!(reports.len() == PATHS.len(), "{} reports", reports.len());
    shared::park(sensor);
    Ok(())
}

fn random() -> Result<()> {
    let verdicts = random_sets(&mut Hooks::start()?, 4, SETS)?;
    ensure!(verdicts.are_fine(), "{verdicts:?}");
    Ok(())
}

/// Most memory that a daemon with a thousand rules takes for itself, its ring buffer included, KiB. The pages
/// of its program come beside it: they are those of a file, shared by all who run it, and the kernel takes
/// them back when it needs room.
const MEMORY_MAX: u64 = 30 * 1024;
/// The ring buffer, as the daemon makes it where nobody says otherwise, KiB.
const RING: u64 = 4 * 1024;

fn memory() -> Result<()> {
    let sources = realistic::rules(Event::FifoOpen, 1000);
    let sensor = Launch::rules(&[rules::file("none.yaml", &[rules::NONE])])?.start()?;
    let pid = sensor.status()?.pid;
    let before = resident(pid)?;
    let pushed = sensor.push(sources)?;
    let after = resident(pid)?;
    let text = format!(
        "{before:?} KiB with 1 rule, {after:?} KiB with {} (its own, resident, most ever resident), and {RING} KiB of ring buffer",
        pushed.rules
    );
    report::say(text);
    let own = after[0] + RING;
    ensure!(own <= MEMORY_MAX, "{own} KiB are the daemon's with {} rules", pushed.rules);
    sensor.stop()
}

/// How much memory a process has that is of no file, how much with that of files, and the most it ever had,
/// KiB: `RssAnon`, `VmRSS` and `VmHWM` of `/proc/PID/status`.
fn resident(pid: u32) -> Result<[u64; 3]> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    Ok([value("RssAnon:")?, value("VmRSS:")?, value("VmHWM:")?])
}

fn unindexable() -> Result<()> {
    large(&mut Hooks::start()?, &largest::unindexable(10_000))
}

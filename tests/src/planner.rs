//! The planner on real hooks: rules that are looked up, and that every rule set is accepted.

use std::fs::File;

use anyhow::{Result, ensure};
use sensor_proof::largest;

use crate::{
    accepted, fifo,
    rules::{self, Draft},
    sensor::names_rule,
    shared,
    suite::{Boot, Test},
};

/// See the [module](self).
pub const TESTS: &[Test] = &[
    Test { name: "planner::a_rule_that_is_looked_up_finds_its_path_and_no_other", boot: Boot::Plain, run: looked_up },
    Test { name: "planner::random_rule_sets_are_accepted", boot: Boot::Plain, run: random_sets },
    Test { name: "planner::ten_thousand_rules_that_cannot_be_looked_up", boot: Boot::Plain, run: unindexable },
];

/// How many random rule sets each test run loads.
const SETS: u64 = 200;

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

fn random_sets() -> Result<()> {
    let verdicts = accepted::random_sets(&mut accepted::sensor()?, 4, SETS)?;
    ensure!(verdicts.refused == 0 && verdicts.accepted > SETS / 2, "{verdicts:?}");
    Ok(())
}

fn unindexable() -> Result<()> {
    accepted::large(&mut accepted::sensor()?, &largest::unindexable(10_000))
}

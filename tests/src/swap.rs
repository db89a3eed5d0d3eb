//! Rules are replaced while their events go on: each event is judged once, by one generation.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{
    fifo,
    rules::{self, Draft},
    shared,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "swap::two_hundred_swaps_judge_each_write_once", boot: Boot::Plain, run: two_hundred },
    Test { name: "swap::each_write_is_judged_once_by_modify_return", boot: Boot::WithoutBpf, run: two_hundred },
    Test { name: "swap::rollback_returns_to_the_generation_before", boot: Boot::Plain, run: rollback },
];

/// How many times the rules are replaced.
const SWAPS: u64 = 200;
const NUMBERED: &str = "/tmp/numbered";
/// A number each 200 µs or so: the pipe is busy, and the reports of 200 swaps fit into the ring.
pub const PAUSE: Duration = Duration::from_micros(200);

/// A task that writes 1, 2, 3 … into a FIFO and reads each back, until told to stop.
pub struct NumberedWrites {
    stop: Arc<AtomicBool>,
    writer: JoinHandle<std::io::Result<u64>>,
}

impl NumberedWrites {
    /// Starts to write into the FIFO at `path`, which is made, with a pause behind each number.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn start(path: &str, pause: Duration) -> Result<Self> {
        fifo::remake(path)?;
        let mut both = fifo::open(path)?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let writer = thread::spawn(move || {
            let mut number = 0;
            while !told.load(Ordering::Relaxed) {
                number += 1;
                let line = format!("{number:>12}\n");
                both.write_all(line.as_bytes())?;
                both.read_exact(&mut [0; 13])?;
                thread::sleep(pause);
            }
            Ok(number)
        });
        Ok(Self { stop, writer })
    }

    /// Stops, and says which number was the last.
    ///
    /// # Errors
    /// Where a write failed.
    pub fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let last = self.writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        last.context("the writer failed")
    }
}

/// As much of a report as counts here.
#[derive(Deserialize)]
struct Judged {
    generation: u64,
    payload: String,
}

/// Which generation judged each number.
///
/// # Errors
/// Where a number was judged twice or not at all, or by a generation older than that of a number before it.
pub fn generations(lines: &[String], last: u64) -> Result<BTreeMap<u64, u64>> {
    let mut judged = BTreeMap::new();
    for line in lines {
        let report: Judged = serde_json::from_str(line).with_context(|| line.clone())?;
        let number: u64 = report.payload.trim().parse().with_context(|| line.clone())?;
        let before = judged.insert(number, report.generation);
        ensure!(before.is_none(), "{number} was judged by generation {before:?} and again by {}", report.generation);
    }
    let missing: Vec<_> = (1..=last).filter(|number| !judged.contains_key(number)).take(5).collect();
    ensure!(missing.is_empty(), "of {last} numbers some were judged by no generation, the first are {missing:?}");
    ensure!(judged.len() as u64 == last, "{} numbers were judged and {last} written", judged.len());
    ensure!(judged.values().is_sorted(), "a later number was judged by an earlier generation");
    Ok(judged)
}

fn two_hundred() -> Result<()> {
    let every_write = |id| rules::file("swap.yaml", &[Draft::alert(id, &["fifo.payload"], "path == '/tmp/numbered'")]);
    let sensor = shared::sensor(vec![every_write("first")])?;
    let before = sensor.status()?;
    let first = before.generation.context("no generation is in force")?;
    let writes = NumberedWrites::start(NUMBERED, PAUSE)?;
    let mut client = sensor.client()?;
    for swap in 0..SWAPS {
        let pushed = client.push(vec![every_write(if swap % 2 == 0 { "even" } else { "odd" })], false)?;
        ensure!(pushed.generation == first + swap + 1, "swap {swap} made generation {}", pushed.generation);
    }
    let last = writes.stop()?;
    let lines = sensor.lines()?;
    let judged = generations(&lines, last)?;
    let mut used: Vec<_> = judged.values().copied().collect();
    used.dedup();
    ensure!(used.len() as u64 > SWAPS / 2, "only {} generations judged anything: the writer was too slow", used.len());
    let status = sensor.status()?;
    let [was, is] = [&before, &status].map(|status| status.events["fifo.payload"]);
    let counted = (is.judged - was.judged, is.matched - was.matched);
    ensure!(counted == (last, last), "{last} writes, and judged and matched {counted:?}");
    ensure!(status.losses == before.losses, "losses: {:?}", status.losses);
    shared::park(sensor);
    Ok(())
}

fn rollback() -> Result<()> {
    let only = |path: &str| {
        let condition = format!("path == '{path}'");
        rules::file("only.yaml", &[Draft::alert("only", &["fifo.create"], &condition)])
    };
    let sensor = shared::sensor(vec![only("/tmp/one")])?;
    let second = sensor.push(vec![only("/tmp/two")])?;
    let first = second.previous.context("there is no generation before")?;
    let create_both = || -> Result<()> {
        fifo::remake("/tmp/one")?;
        Ok(fifo::remake("/tmp/two")?)
    };
    create_both()?;
    ensure!(sensor.client()?.rollback()? == first, "not back to generation {first}");
    create_both()?;
    let seen: Vec<_> =
        sensor.reports()?.iter().map(|report| (report["generation"].clone(), report["path"].clone())).collect();
    ensure!(seen == [(second.generation.into(), "/tmp/two".into()), (first.into(), "/tmp/one".into())], "{seen:?}");
    ensure!(sensor.status()?.generation == Some(first), "status does not say generation {first}");
    shared::park(sensor);
    Ok(())
}

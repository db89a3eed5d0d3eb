//! Ten million operations on pipes: the daemon is as it was.

use std::{
    fs,
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use sensor_common::{event::Hook, maps::Loss};

use crate::{
    fifo, report,
    rules::{self, Draft},
    sensor::{Launch, Sensor},
    suite::{Boot, Test},
    work,
};

/// The tests of this file.
pub const TESTS: &[Test] =
    &[Test { name: "endurance::ten_million_pipe_operations_leave_nothing_behind", boot: Boot::Long, run: endures }];

/// Operations of one round, reads and writes together, and how many rounds.
const OPERATIONS: u64 = 1_000_000;
const ROUNDS: u64 = 10;
/// One write of so many matches a rule.
const MATCHES: u64 = 10_000;
/// By how much the daemon's memory may move: its allocator gives pages back late.
const SLACK: u64 = 2 << 20;

/// The role: writes a byte and reads it back, until so many operations are done. Some bytes match a rule.
///
/// # Errors
/// The kernel's.
pub fn pump(operations: u64) -> Result<()> {
    let (mut reader, mut writer) = fifo::pipe()?;
    let mut byte = [0];
    for number in 0..operations / 2 {
        // On the stack, which is there: what lies in the program's file may not have been read yet, and then
        // has no payload.
        byte[0] = if number % MATCHES == 0 { b'!' } else { b'.' };
        writer.write_all(&byte)?;
        reader.read_exact(&mut byte)?;
    }
    Ok(())
}

/// What it says of writes to pipes.
#[derive(Debug)]
struct Told {
    judged: u64,
    /// Not judged: skipped by the kernel, or for want of a record or a stage.
    skipped: u64,
    /// Judged without their data.
    unread: u64,
}

impl Told {
    fn by(sensor: &Sensor) -> Result<Self> {
        let status = sensor.status()?;
        let lost = |loss: Loss| status.losses.get(loss.name()).copied().unwrap_or_default();
        let hook = status.hooks.iter().find(|hook| hook.hook == Hook::PipeWrite.name()).context("no such hook")?;
        Ok(Self {
            judged: status.events["pipe.payload"].judged,
            skipped: hook.recursion_misses + lost(Loss::NoRecord) + lost(Loss::NoRecordDenied) + lost(Loss::NoStage),
            unread: lost(Loss::PayloadUnread),
        })
    }

    const fn since(&self, before: &Self) -> Self {
        Self {
            judged: self.judged - before.judged,
            skipped: self.skipped - before.skipped,
            unread: self.unread - before.unread,
        }
    }
}

/// What the daemon holds.
#[derive(Debug)]
struct Held {
    /// Bytes.
    memory: u64,
    descriptors: usize,
    /// BPF maps and programs among them, and the bytes that the kernel says they take: with every entry.
    objects: usize,
    locked: u64,
    quarantine: usize,
}

impl Held {
    fn by(sensor: &Sensor) -> Result<Self> {
        let pid = sensor.status()?.pid;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident = number(&status, "VmRSS:").context("no resident size")?;
        let (mut descriptors, mut objects, mut locked) = (0, 0, 0);
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
            // A connection of ours may be closed meanwhile.
            let Ok(info) = fs::read_to_string(entry?.path()) else { continue };
            descriptors += 1;
            if let Some(bytes) = number(&info, "memlock:") {
                objects += 1;
                locked += bytes;
            }
        }
        let quarantine = sensor.client()?.quarantine()?.len();
        Ok(Self { memory: resident * 1024, descriptors, objects, locked, quarantine })
    }
}

fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn endures() -> Result<()> {
    let mut sources = rules::shipped()?;
    sources.push(rules::file("some.yaml", &[Draft::alert("some", &["pipe.payload"], "payload == '!'")]));
    let sensor = Launch::rules(&named(sources))?.start()?;
    let before = Told::by(&sensor)?;
    let started = Instant::now();
    let mut first = None;
    for round in 1..=ROUNDS {
        let mut pump = Command::new(work::PROGRAM);
        let status = pump.args(["work", "pump", &OPERATIONS.to_string()]).stdin(Stdio::null()).status()?;
        ensure!(status.success(), "the pump ended with {status}");
        let matched = sensor.lines()?.len() as u64;
        let (told, writes) = (Told::by(&sensor)?.since(&before), round * OPERATIONS / 2);
        ensure!(told.judged + told.skipped >= writes, "{writes} writes, and {told:?}");
        ensure!(matched + told.skipped + told.unread >= writes / MATCHES, "{matched} matches reported, and {told:?}");
        let held = Held::by(&sensor)?;
        let seconds = started.elapsed().as_secs();
        let text = format!("{} operations, {seconds} s, {matched} matches, {told:?}, {held:?}", round * OPERATIONS);
        report::say(text);
        // The first million warms up what is allocated once.
        let first = first.get_or_insert(held);
        let held = Held::by(&sensor)?;
        ensure!(held.memory <= first.memory + SLACK, "memory grows: {first:?}, then {held:?}");
        ensure!(held.descriptors == first.descriptors, "descriptors: {first:?}, then {held:?}");
        ensure!(held.objects == first.objects && held.locked == first.locked, "maps grow: {first:?}, then {held:?}");
        ensure!(held.quarantine == 0, "something is in quarantine: {held:?}");
    }
    sensor.stop()
}

/// The same, by names that are no paths.
fn named(sources: Vec<sensor_rules::Source>) -> Vec<sensor_rules::Source> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    sources.into_iter().map(|source| sensor_rules::Source { name: name(&source.name), ..source }).collect()
}

//! A flood of matches: what is left out is counted exactly, and one noisy rule does not drown the others.

use std::{
    io::{Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::Command,
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use sensor_rules::Source;

use crate::{
    fifo, report,
    rules::{self, Draft},
    sensor::{Launch, Sensor, names_rule},
    suite::{Boot, Test},
    user, wait, work,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "flood::a_noisy_rule_leaves_room_for_the_others", boot: Boot::Plain, run: limited },
    Test { name: "flood::many_processes_of_one_user_leave_room_for_another", boot: Boot::Plain, run: crowd },
    Test { name: "flood::a_noisy_rule_leaves_room_here_too", boot: Boot::Tracepoints, run: limited },
    Test { name: "flood::what_the_ring_buffer_here_does_not_take_is_counted", boot: Boot::Tracepoints, run: full },
    Test { name: "flood::what_the_ring_buffer_does_not_take_is_counted", boot: Boot::Plain, run: full },
];

/// How many threads write, and how often each.
const WRITERS: u64 = 2;
const WRITES: u64 = 100_000;
/// Less than a FIFO holds: 64 KiB.
const ROOM: usize = 32 << 10;
/// How often the quiet rule matches meanwhile.
const QUIET: u64 = 10;

/// Two rules: one for the FIFOs of the flood, one for another FIFO.
fn rules() -> Source {
    rules::file(
        "flood.yaml",
        &[
            Draft::alert("noisy", &["fifo.payload"], "path.startsWith('/tmp/flood-')"),
            Draft::alert("quiet", &["fifo.payload"], "path == '/tmp/quiet'"),
        ],
    )
}

/// What became of the flood.
#[derive(Debug)]
struct Counts {
    offered: u64,
    delivered: u64,
    limited: u64,
    full: u64,
    quiet: u64,
    /// Skipped by the kernel, and counted by it: where one writer preempts the other inside a program.
    missed: u64,
}

fn limited() -> Result<()> {
    let counts = flood(&["--report-limit", "20"])?;
    ensure!(counts.limited > counts.offered / 2, "only {} reports of {} were left out", counts.limited, counts.offered);
    ensure!(counts.full == 0, "the ring buffer was full {} times", counts.full);
    ensure!(
        counts.quiet <= QUIET && counts.quiet + counts.missed >= QUIET,
        "of {QUIET} matches of the quiet rule {} were reported, {} skipped",
        counts.quiet,
        counts.missed
    );
    Ok(())
}

/// Processes that keep to the limit each, and together report more than fits into the ring buffer: some
/// thousand reports.
const CROWD: u32 = 32;
const OPENS: usize = 100;
const CROWDED: [&str; 4] = ["--report-limit", "50", "--ring-size", "4194304"];
/// Ordinary users.
const FLOODER: u32 = 1000;
const OTHER: u32 = 1001;
const FIRST_OF_MANY: u32 = 2000;

/// The role: a process of the crowd.
pub fn opener(path: &str) -> Result<()> {
    Ok((0..OPENS).try_for_each(|_| fifo::open(path).map(drop))?)
}

fn crowd() -> Result<()> {
    let one = crowded(|_| FLOODER)?;
    ensure!(one.limited > 0 && one.full == 0, "one user's processes filled the ring buffer: {one:?}");
    ensure!(one.quiet == QUIET, "of {QUIET} matches of another user {} were reported", one.quiet);
    let many = crowded(|number| FIRST_OF_MANY + number)?;
    ensure!(many.full > 0, "so many reports fit into the ring buffer: nothing is proved: {many:?}");
    Ok(())
}

/// What becomes of a flood by processes of these users, and of what another user does after it, while nobody
/// takes out of the ring buffer.
fn crowded(user: impl Fn(u32) -> u32) -> Result<Counts> {
    let opened = rules::file(
        "crowd.yaml",
        &[
            Draft::alert("noisy", &["fifo.open"], "path.startsWith('/tmp/flood-')"),
            Draft::alert("quiet", &["fifo.open"], "path == '/tmp/quiet'"),
        ],
    );
    let sensor = Launch::rules(&[opened])?.with(&CROWDED).start()?;
    user::fifo_for_all("/tmp/quiet")?;
    sensor.signal(libc::SIGSTOP)?;
    let mut openers = Vec::new();
    for number in 0..CROWD {
        let path = format!("/tmp/flood-{number}");
        user::fifo_for_all(&path)?;
        openers.push(Command::new(work::PROGRAM).args(["work", "opener", &path]).uid(user(number)).spawn()?);
    }
    for mut opener in openers {
        ensure!(opener.wait()?.success(), "an opener failed");
    }
    user::opens(OTHER, "/tmp/quiet", usize::try_from(QUIET)?)?;
    sensor.signal(libc::SIGCONT)?;
    let counts = counts(&sensor, "fifo.open")?;
    report::say(format!("{counts:?}"));
    if user(0) == user(1) {
        let named = format!("user {} made rules match most", user(0));
        wait::until("the log to name who floods", || Ok(sensor.words().contains(&named).then_some(())))?;
    }
    sensor.stop()?;
    Ok(counts)
}

fn full() -> Result<()> {
    let counts = flood(&["--report-limit", "0", "--ring-size", "65536"])?;
    ensure!(counts.full > 0, "{} reports fit into 64 KiB", counts.offered);
    ensure!(counts.limited == 0, "{} reports were left out without a limit", counts.limited);
    Ok(())
}

/// Floods a daemon with these arguments. Whatever they are: each match is delivered, left out by the limit,
/// or found no room.
fn flood(arguments: &[&str]) -> Result<Counts> {
    let sensor = Launch::rules(&[rules()])?.with(arguments).start()?;
    let started = Instant::now();
    let writers: Vec<_> =
        (0..WRITERS).map(|number| thread::spawn(move || write(&format!("/tmp/flood-{number}"), WRITES))).collect();
    write("/tmp/quiet", QUIET)?;
    for writer in writers {
        writer.join().map_err(|_| anyhow!("a writer panicked"))??;
    }
    let seconds = started.elapsed().as_secs_f64();
    let counts = counts(&sensor, "fifo.payload")?;
    let Counts { offered, delivered, limited, full, missed, .. } = counts;
    let made = WRITERS * WRITES + QUIET;
    // The hook also misses other files' events, which are nobody's loss: so at most, and at least.
    ensure!(offered <= made && offered + missed >= made, "{offered} matches were counted of {made}, {missed} skipped");
    ensure!(
        offered == delivered + limited + full,
        "{offered} matches are not {delivered} delivered, {limited} limited and {full} without room"
    );
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
    let rate = (offered as f64 / seconds) as u64;
    let text = format!(
        "{rate} matches/s: {offered} = {delivered} delivered + {limited} limited + {full} ring full; {missed} skipped"
    );
    report::say(text);
    sensor.stop()?;
    Ok(counts)
}

/// Writes so many single bytes into a FIFO, and empties it before it is full: nearly every system call is a match.
fn write(path: &str, times: u64) -> Result<()> {
    fifo::remake(path)?;
    let mut both = fifo::open(path)?;
    let mut room = vec![0; ROOM];
    for start in (0..times).step_by(ROOM) {
        let batch = usize::try_from(times - start)?.min(ROOM);
        (0..batch).try_for_each(|_| both.write_all(b"x"))?;
        both.read_exact(&mut room[..batch])?;
    }
    Ok(())
}

fn counts(sensor: &Sensor, event: &str) -> Result<Counts> {
    // Waits until each match is accounted for.
    let reports = sensor.reports()?;
    let status = sensor.status()?;
    let lost =
        |reason: &str| status.losses.get(reason).copied().with_context(|| format!("status does not say {reason}"));
    Ok(Counts {
        offered: status.events[event].matched,
        delivered: reports.len() as u64,
        limited: lost("rate_limited")?,
        full: lost("ring_full")?,
        missed: status.hooks.iter().map(|hook| hook.recursion_misses).sum(),
        quiet: reports.iter().filter(|report| names_rule(report, "quiet")).count() as u64,
    })
}

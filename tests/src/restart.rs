//! The daemon is killed, comes back, and is replaced by another version: what is in force stays in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    fifo, report,
    rules::{self, Draft},
    sensor::{Launch, Sensor, names_rule},
    shared,
    suite::{Boot, Test},
    swap::{NumberedWrites, PAUSE},
    wait,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "restart::kill_9_again_and_again_lets_nothing_through", boot: Boot::Plain, run: || killed(10, PAUSE) },
    // So slow that a thousand starts of a daemon make no more events than the VM's memory holds.
    Test {
        name: "kills::a_thousand_let_nothing_through",
        boot: Boot::Long,
        run: || killed(1000, Duration::from_millis(20)),
    },
    Test { name: "restart::another_version_takes_over_without_a_gap", boot: Boot::Plain, run: replaced },
    Test { name: "restart::where_the_owner_wants_it_nothing_stays", boot: Boot::Plain, run: detached },
];

const PINS: &str = "/sys/fs/bpf/creance";
const FORBIDDEN: &str = "/tmp/forbidden";
/// The file that all daemons of a test write, one after the other.
const WRITTEN: &str = "/tmp/restart-events";

/// Rules that block what [`Prober`] tries, and note what [`NumberedWrites`] writes.
fn rules() -> Result<Launch> {
    let block = Draft {
        budget: Some((1_000_000, 86_400)),
        ..Draft::block("forbidden", &["fifo.create"], "path == '/tmp/forbidden'")
    };
    let note = Draft::alert("numbered", &["fifo.payload"], "path == '/tmp/restart'");
    Launch::rules(&[rules::file("restart.yaml", &[block, note])])
}

/// As a test wants it: a slow machine may need long to start a daemon.
fn patient(launch: Launch) -> Launch {
    launch.enforcing().roomy().with(&["--heartbeat-limit", "600", "--report-limit", "0"])
}

/// A task that tries what is forbidden, again and again, until told to stop.
struct Prober {
    stop: Arc<AtomicBool>,
    attempts: JoinHandle<(u64, u64)>,
}

impl Prober {
    fn start(pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let attempts = thread::spawn(move || {
            let (mut attempts, mut passed) = (0, 0);
            while !told.load(Ordering::Relaxed) {
                attempts += 1;
                if !fifo::is_refused(&fifo::make(FORBIDDEN)) {
                    passed += 1;
                    fs::remove_file(FORBIDDEN).ok();
                }
                thread::sleep(pause);
            }
            (attempts, passed)
        });
        Self { stop, attempts }
    }

    /// How many attempts there were; none may have got through.
    fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let (attempts, passed) = self.attempts.join().map_err(|_| anyhow::anyhow!("the prober panicked"))?;
        ensure!(passed == 0, "{passed} of {attempts} forbidden operations got through");
        Ok(attempts)
    }
}

/// How often each number was reported; half a line stands at most where a daemon is writing now.
fn reported(texts: &[String]) -> Result<BTreeMap<u64, u64>> {
    let mut numbers = BTreeMap::new();
    let lines = texts.iter().flat_map(|text| text.split_inclusive('\n')).filter(|line| line.ends_with('\n'));
    for line in lines {
        let report: Value = serde_json::from_str(line).with_context(|| format!("half a line: {line}"))?;
        if names_rule(&report, "numbered") {
            let number = report["payload"].as_str().context("no payload")?.trim().parse()?;
            *numbers.entry(number).or_insert(0) += 1;
        }
    }
    Ok(numbers)
}

/// What daemons that were killed have written, one after the other.
#[derive(Default)]
struct Written {
    /// The numbers that the daemons gave.
    events: BTreeSet<u64>,
    /// Those that [`NumberedWrites`] wrote.
    writes: BTreeSet<u64>,
}

impl Written {
    /// Reads the file, in which no event is twice, and half a line at most where a daemon is writing now.
    fn read() -> Result<Self> {
        #[derive(Deserialize)]
        struct Line {
            seq: u64,
            event: String,
            payload: Option<String>,
        }
        let mut written = Self::default();
        let (mut reader, mut text) = (BufReader::new(File::open(WRITTEN)?), String::new());
        while reader.read_line(&mut text)? > 0 && text.ends_with('\n') {
            let line: Line = serde_json::from_str(&text).with_context(|| format!("half a line: {text}"))?;
            text.clear();
            ensure!(written.events.insert(line.seq), "event {} is written twice", line.seq);
            if line.event == "fifo.payload" {
                let number = line.payload.context("no payload")?.trim().parse()?;
                ensure!(written.writes.insert(number), "write {number} is reported twice, at last as {}", line.seq);
            }
        }
        Ok(written)
    }
}

/// How many events the daemon before was killed with in its hands, as this one counts them.
fn unwritten(sensor: &Sensor) -> Result<u64> {
    Ok(sensor.status()?.reports.unwritten)
}

fn killed(kills: u64, pause: Duration) -> Result<()> {
    fs::remove_file(WRITTEN).ok();
    let launch = |launch: Launch| patient(launch).with(&["--events", WRITTEN]);
    let mut sensor = launch(rules()?).start()?;
    let (prober, writes) = (Prober::start(5 * pause), NumberedWrites::start("/tmp/restart", pause)?);
    let mut missing = 0;
    // The first daemon may have come to nothing in a file that does not tell that.
    wait::until("an event to be written", || Ok(fs::read_to_string(WRITTEN)?.contains('\n').then_some(())))?;
    for kill in 1..=kills {
        // Somewhere in its work: each time it has read a few more events.
        wait::until("events to be reported", || Ok((sensor.status()?.reports.received > 20).then_some(())))?;
        sensor.signal(libc::SIGKILL)?;
        sensor.ended()?;
        fs::remove_file(sensor.events())?;
        sensor = launch(Launch::default()).start().with_context(|| format!("after kill {kill}"))?;
        missing += unwritten(&sensor)?;
        if kill % 100 == 0 {
            report::say(format!("{kill} kills: {missing} events were in the hands of a killed daemon"));
        }
    }
    let (attempts, last) = (prober.stop()?, writes.stop()?);
    let status = sensor.status()?;
    ensure!(
        status.generation == Some(1) && status.rules == 2,
        "generation 1 is not in force with its 2 rules: {status}"
    );
    for (event, happened) in [("fifo.create", attempts + 1), ("fifo.payload", last)] {
        let counted = status.events[event];
        ensure!(counted.judged == happened, "{happened} times {event}, and {} judged", counted.judged);
    }
    ensure!(status.outcomes["denied"] == attempts, "{attempts} attempts, denied: {:?}", status.outcomes);
    let happened = attempts + last;
    // A slow machine may need so long for a daemon that the ring buffer fills.
    let reported = happened - status.losses["ring_full"];
    let written = wait::until("every report to be written", || {
        let written = Written::read()?;
        Ok(written.events.contains(&reported).then_some(written))
    })?;
    let there = written.events.len() as u64;
    ensure!(
        there + missing == reported && written.events.last() == Some(&reported),
        "of {reported} reports {there} are written, and {missing} are said to be missing"
    );
    report::say(format!(
        "{kills} kills: {attempts} forbidden operations, all denied; {happened} events: {there} written once, {missing} \
         counted as lost with a killed daemon, {} counted as too many for the ring buffer",
        happened - reported
    ));
    sensor.stop()?;
    ensure!(!Path::new(PINS).exists(), "{PINS} is left");
    Ok(())
}

/// A ring buffer of another size makes another version of the kernel side.
fn replaced() -> Result<()> {
    let mut old = patient(rules()?).start()?;
    // Seldom enough that the ring buffer holds what happens while the new version is verified.
    let (prober, writes) = (Prober::start(20 * PAUSE), NumberedWrites::start("/tmp/restart", 4 * PAUSE)?);
    wait::until("events to be reported", || Ok((old.status()?.reports.received > 20).then_some(())))?;
    old.signal(libc::SIGUSR2)?;
    let ended = old.ended()?;
    ensure!(ended.success(), "after SIGUSR2 the daemon ended with {ended}: {}", old.words());
    let new = Launch::default()
        .enforcing()
        .with(&["--heartbeat-limit", "600", "--report-limit", "0", "--ring-size", "33554432"])
        .start()?;
    wait::until("events to be reported", || Ok((new.status()?.reports.received > 20).then_some(())))?;
    prober.stop()?;
    let last = writes.stop()?;
    let status = new.status()?;
    ensure!(status.generation == Some(2) && status.rules == 2, "the rules did not go on: {status}");
    ensure!(fs::read_dir(PINS)?.count() == 1, "the old version is left in {PINS}");
    wait::until("every report to come", || {
        let text = fs::read_to_string(new.events())?;
        Ok(reported(&[text])?.contains_key(&last).then_some(()))
    })?;
    let numbers = reported(&[fs::read_to_string(old.events())?, fs::read_to_string(new.events())?])?;
    let missing: Vec<_> = (1..=last).filter(|number| !numbers.contains_key(number)).take(5).collect();
    ensure!(missing.is_empty(), "of {last} events some were reported by neither version, the first are {missing:?}");
    let twice = numbers.values().filter(|times| **times > 1).count();
    println!("{last} events, none missed; {twice} judged by both versions while both were attached");
    new.stop()?;
    ensure!(!Path::new(PINS).exists(), "{PINS} is left");
    Ok(())
}

fn detached() -> Result<()> {
    shared::stop()?;
    let mut sensor: Sensor = rules()?.enforcing().with(&["--when-gone", "detach"]).start()?;
    ensure!(fifo::is_refused(&fifo::make(FORBIDDEN)), "nothing is blocked");
    sensor.signal(libc::SIGKILL)?;
    sensor.ended()?;
    wait::until("the hooks to be detached", || {
        let made = fifo::make(FORBIDDEN);
        fs::remove_file(FORBIDDEN).ok();
        Ok((!fifo::is_refused(&made)).then_some(()))
    })?;
    let sensor = rules()?.enforcing().start()?;
    ensure!(fifo::is_refused(&fifo::make(FORBIDDEN)), "after a restart nothing is blocked");
    sensor.stop()
}

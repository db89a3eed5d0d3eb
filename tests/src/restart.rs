//! The daemon is killed, comes back, and is replaced by another version: what is in force stays in force.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    fifo,
    rules::{self, Draft},
    sensor::{Launch, Sensor, names_rule},
    shared,
    suite::{Boot, Test},
    swap::NumberedWrites,
    wait,
};

/// See the [module](self).
pub const TESTS: &[Test] = &[
    Test { name: "restart::kill_9_again_and_again_lets_nothing_through", boot: Boot::Plain, run: killed },
    Test { name: "restart::another_version_takes_over_without_a_gap", boot: Boot::Plain, run: replaced },
    Test { name: "restart::where_the_owner_wants_it_nothing_stays", boot: Boot::Plain, run: detached },
];

const PINS: &str = "/sys/fs/bpf/creance";
const FORBIDDEN: &str = "/tmp/forbidden";
/// How often the daemon is killed; a kernel argument `creance.kills=` says otherwise.
const KILLS: usize = 10;

fn kills() -> usize {
    let arguments = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let asked = arguments.split_whitespace().find_map(|argument| argument.strip_prefix("creance.kills="));
    asked.and_then(|number| number.parse().ok()).unwrap_or(KILLS)
}

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
    fn start() -> Self {
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
                thread::sleep(std::time::Duration::from_millis(1));
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

/// How often each number was reported.
fn reported(texts: &[String]) -> Result<BTreeMap<u64, u64>> {
    let mut numbers = BTreeMap::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        // A killed daemon may have left half a line behind.
        let Ok(report) = serde_json::from_str::<Value>(line) else { continue };
        if names_rule(&report, "numbered") {
            let number = report["payload"].as_str().context("no payload")?.trim().parse()?;
            *numbers.entry(number).or_insert(0) += 1;
        }
    }
    Ok(numbers)
}

fn killed() -> Result<()> {
    let mut sensor = patient(rules()?).start()?;
    let (prober, writes) = (Prober::start(), NumberedWrites::start("/tmp/restart")?);
    let mut texts = Vec::new();
    for kill in 0..kills() {
        // Somewhere in its work: each time it has read a few more events.
        wait::until("events to be reported", || Ok((sensor.status()?.reports.received > 20).then_some(())))?;
        sensor.signal(libc::SIGKILL)?;
        sensor.ended()?;
        texts.push(fs::read_to_string(sensor.events())?);
        sensor = patient(Launch::default()).start().with_context(|| format!("after kill {kill}"))?;
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
    wait::until("every report to come", || {
        let text = fs::read_to_string(sensor.events())?;
        Ok(reported(&[text])?.contains_key(&last).then_some(()))
    })?;
    texts.push(fs::read_to_string(sensor.events())?);
    let numbers = reported(&texts)?;
    let twice: Vec<_> = numbers.iter().filter(|(_, times)| **times > 1).collect();
    ensure!(twice.is_empty(), "reported twice: {twice:?}");
    println!(
        "{} kills, {attempts} forbidden operations, all denied; {last} events, {} reported",
        kills(),
        numbers.len()
    );
    sensor.stop()?;
    ensure!(!Path::new(PINS).exists(), "{PINS} is left");
    Ok(())
}

/// A ring buffer of another size makes another version of the kernel side.
fn replaced() -> Result<()> {
    let mut old = patient(rules()?).start()?;
    let (prober, writes) = (Prober::start(), NumberedWrites::start("/tmp/restart")?);
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

//! What the daemon writes while it is told to open its files anew, their disk is full, and it is killed.

use std::{
    collections::BTreeSet,
    ffi::CString,
    fs, io,
    path::{Path, PathBuf},
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
    case::{Boot, Test},
    conformance::call::call,
    report,
    rules::{self, Draft},
    sensor::{Launch, Sensor},
    swap::NumberedWrites,
    wait,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test {
        name: "output::hangups_and_a_full_disk_lose_nothing_uncounted",
        boot: Boot::Tracepoints,
        run: || full(false),
    },
    Test { name: "output::hangups_full_disks_and_kills_lose_nothing_uncounted", boot: Boot::Plain, run: || full(true) },
    Test { name: "output::what_is_not_mounted_is_mounted", boot: Boot::Plain, run: || mounts(&[BPF]) },
    Test {
        name: "output::what_is_not_mounted_here_is_mounted",
        boot: Boot::Tracepoints,
        run: || mounts(&[BPF, TRACEFS]),
    },
];

const BPF: &str = "/sys/fs/bpf";
const TRACEFS: &str = "/sys/kernel/tracing";
const DISK: &str = "/tmp/output";
const FIFO: &str = "/tmp/output-numbers";
/// How large the disk is, bytes, and each file at most: some thousand events, and some hundred.
const ROOM: &str = "size=2m";
const SIZE: &str = "131072";
/// How often the disk is full.
const ROUNDS: u32 = 4;

fn launch(launch: Launch) -> Launch {
    let events = format!("{DISK}/events");
    launch.roomy().with(&["--events", &events, "--rotate-size", SIZE, "--rotate-keep", "1000"]).with(&[
        "--heartbeat-limit",
        "600",
        "--report-limit",
        "0",
    ])
}

fn rules() -> Result<Launch> {
    let note = Draft::alert("numbered", &["fifo.payload"], "path == '/tmp/output-numbers'");
    Launch::rules(&[rules::file("output.yaml", &[note])])
}

/// Sends whatever daemon runs, also one that is starting, signals that must not end it.
struct Hangups {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u32>,
}

impl Hangups {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let sender = thread::spawn(move || {
            let mut sent = 0;
            while !told.load(Ordering::Relaxed) {
                sent += u32::from(daemon().is_some_and(|pid| {
                    [libc::SIGHUP, libc::SIGUSR1].into_iter().all(|signal| call!(kill(pid, signal)).is_ok())
                }));
                thread::sleep(Duration::from_millis(500));
            }
            sent
        });
        Self { stop, sender }
    }

    fn stop(self) -> Result<u32> {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))
    }
}

/// The daemon that holds the lock, from its first moments on.
fn daemon() -> Option<i32> {
    let pid: i32 = fs::read_to_string("/run/creance/control.lock").ok()?.trim().parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (name.trim() == "creance").then_some(pid)
}

/// What was written, and what daemons said of what was not.
#[derive(Default)]
struct Account {
    there: BTreeSet<u64>,
    files: usize,
    words: String,
}

impl Account {
    /// Reads a file: every line is whole, and no event is twice.
    fn read(&mut self, path: &Path) -> Result<()> {
        #[derive(Deserialize)]
        struct Line {
            seq: u64,
        }
        let text = fs::read_to_string(path)?;
        ensure!(text.is_empty() || text.ends_with('\n'), "{} ends in half a line", path.display());
        for line in text.lines() {
            let Line { seq } = serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))?;
            ensure!(self.there.insert(seq), "event {seq} is written twice");
        }
        self.files += 1;
        Ok(())
    }

    /// Makes room: the files that were put aside are taken away, but for the last.
    fn make_room(&mut self, sensor: &Sensor) -> Result<()> {
        sensor.signal(libc::SIGSTOP)?;
        // It may be in the middle of a rotation: it stands still when all its threads do.
        let (pid, mut status) = (daemon().context("no daemon runs")?, 0);
        call!(waitpid(pid, &raw mut status, libc::WUNTRACED))?;
        for path in files()? {
            let number = path.extension().and_then(|end| end.to_str()?.parse::<u32>().ok());
            if number.is_some_and(|number| number > 1) {
                self.read(&path)?;
                fs::remove_file(path)?;
            }
        }
        sensor.signal(libc::SIGCONT)
    }

    /// The events that daemons said to be missing, for this reason. A killed daemon may have said what the next
    /// one finds too, and of several that could write nothing each says it of all after the last line.
    fn missing(&self, why: &str) -> BTreeSet<u64> {
        let lines = self.words.lines().filter(|line| line.contains("are not in /tmp/output/") && line.contains(why));
        let numbers = lines.map(|line| line.split(' ').filter_map(|word| word.parse().ok()).collect::<Vec<u64>>());
        numbers.filter(|numbers| numbers.len() > 2).flat_map(|numbers| numbers[1]..=numbers[2]).collect()
    }
}

fn files() -> Result<Vec<PathBuf>> {
    let paths = fs::read_dir(DISK)?.map(|entry| Ok(entry?.path()));
    paths.collect()
}

fn full(kills: bool) -> Result<()> {
    fs::create_dir_all(DISK)?;
    let (kind, place, room) = (CString::new("tmpfs")?, CString::new(DISK)?, CString::new(ROOM)?);
    call!(mount(kind.as_ptr(), place.as_ptr(), kind.as_ptr(), 0, room.as_ptr().cast()))?;
    let hangups = Hangups::start();
    let mut account = Account::default();
    let mut sensor = launch(rules()?).start()?;
    let writes = NumberedWrites::start(FIFO, Duration::from_micros(200))?;
    for round in 1..=ROUNDS {
        wait::until("the disk to be full, and that to be said", || {
            let status = sensor.status()?;
            let is_said = status.warnings.iter().any(|words| words.contains("cannot be written to /tmp/output/events"));
            Ok((status.reports.sink_lost > 0 && is_said).then_some(()))
        })?;
        if kills {
            sensor.signal(libc::SIGKILL)?;
            sensor.ended()?;
            account.words += &sensor.words();
            account.words.push('\n');
            // Killed between the two halves of a rotation, it leaves none.
            match fs::remove_file(sensor.events()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            // On the full disk.
            sensor = launch(Launch::default()).start().with_context(|| format!("after kill {round}"))?;
        }
        account.make_room(&sensor)?;
        let before = sensor.status()?.reports.received;
        wait::until("more events", || Ok((sensor.status()?.reports.received > before + 500).then_some(())))?;
    }
    let (last, sent) = (writes.stop()?, hangups.stop()?);
    let status = wait::until("every report to come", || {
        let status = sensor.status()?;
        let matched = status.events["fifo.payload"].matched;
        Ok((matched == last && status.reports.received > 0).then_some(status))
    })?;
    // What lies in the ring buffer is read at the end, and what cannot be written is said.
    let log = sensor.log().to_owned();
    sensor.stop()?;
    account.words += &fs::read_to_string(log)?;
    for path in files()? {
        account.read(&path)?;
    }
    let reported = last - status.losses["ring_full"];
    let (said, killed) = (account.missing("they could not be written"), account.missing("the daemon before"));
    let (there, missing) = (&account.there, &said | &killed);
    report::say(format!(
        "{reported} events, {sent} times SIGHUP and SIGUSR1: {} written once in {} files, {} said to be missing by the daemon \
         that lost them, {} by the next one",
        there.len(),
        account.files,
        said.len(),
        killed.len()
    ));
    ensure!((there & &missing).is_empty(), "said to be missing, and there: {}", account.words);
    ensure!((there | &missing) == (1..=reported).collect(), "neither there nor counted: {}", account.words);
    ensure!(!said.is_empty() && account.files > 10 && sent > 1, "too little happened");
    if !kills {
        // A start on a full disk.
        fs::write(format!("{DISK}/fill"), vec![0; 4 << 20]).err().context("4 MiB fit on the disk")?;
        launch(rules()?).start()?.stop()?;
    }
    call!(umount2(place.as_ptr(), libc::MNT_DETACH)).map(drop)
}

/// The daemon mounts what it needs.
fn mounts(places: &[&str]) -> Result<()> {
    crate::shared::stop()?;
    for place in places {
        let place = CString::new(*place)?;
        while call!(umount2(place.as_ptr(), libc::MNT_DETACH)).is_ok() {}
    }
    let sensor = rules()?.start()?;
    let words = sensor.words();
    for place in places {
        ensure!(words.contains(&format!("was not mounted on {place}, and is now")), "{words}");
    }
    sensor.stop()
}

//! What is written of events while files are put aside, opened anew, disks are full and daemons killed: every
//! number is there or counted, every line is whole, and the next daemon starts.
//!
//! The daemons are processes with the output side of the real one; how many events were taken out of the ring
//! buffer, which the kernel keeps, stands in a file. Each runs on a file system of its own, in a mount
//! namespace of its own.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    num::NonZeroU32,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{WaitId, WaitIdOptions};
use sensor_user::{
    daemon::events::{journal::Journal, rotation::Rotation, sink::Sink},
    event::Clock,
    kernel::Numbers,
};
use support::record;

/// How many events there are.
const EVENTS: u64 = 60_000;
/// Names the directory of a test to a daemon of it.
const DIRECTORY: &str = "CREANCE_TEST_OUTPUT";
/// The longest file, bytes: some hundred events.
const SIZE: u64 = 256 << 10;
/// How long a daemon lives.
const LIFE: Duration = Duration::from_millis(700);

fn rotation() -> Rotation {
    Rotation { size: Some(SIZE), age: None, keep: NonZeroU32::new(1000).unwrap() }
}

/// Where things are in the directory of a test.
fn events(directory: &Path) -> PathBuf {
    directory.join("disk/events.jsonl")
}

fn taken(directory: &Path) -> u64 {
    let bytes = fs::read(directory.join("taken")).unwrap();
    u64::from_ne_bytes(bytes.try_into().unwrap())
}

/// A daemon, where this program was started as one. A line on its standard input stands for SIGHUP.
#[test]
fn daemon() {
    let Ok(directory) = std::env::var(DIRECTORY).map(PathBuf::from) else { return };
    let mut taken = taken(&directory);
    let ring = File::options().write(true).open(directory.join("taken")).unwrap();
    let sink = Sink::open(&events(&directory), rotation()).unwrap();
    let journal = Arc::new(Journal::new(vec![sink]).going_on(Numbers { before: 0, taken }));
    File::create(directory.join("started")).unwrap();
    let reopened = Arc::clone(&journal);
    thread::spawn(move || std::io::stdin().lines().for_each(|_| reopened.reopen()));
    let record = record(1, &[b'x'; 200]);
    while taken < EVENTS {
        taken += 1;
        ring.write_all_at(&taken.to_ne_bytes(), 0).unwrap();
        journal.accept(record.as_bytes(), Clock::now());
        if taken.is_multiple_of(40) {
            thread::sleep(Duration::from_millis(2));
        }
    }
    journal.close();
}

/// What is known of the events so far.
struct Account {
    directory: PathBuf,
    /// Read in files that were removed since.
    removed: BTreeSet<u64>,
    files: usize,
    kills: u32,
    /// So many events happen before the daemon lives to its end.
    killed_until: u64,
    /// How often daemons said that they cannot write.
    full: usize,
}

impl Account {
    fn start(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.directory.join("log")).unwrap();
        let _ = fs::remove_file(self.directory.join("started"));
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "daemon", "--nocapture"])
            .env(DIRECTORY, &self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Lets a daemon live for a while, or to its end; whether it ended well.
    fn live(&mut self) -> bool {
        let mut daemon = self.start();
        let begun = Instant::now();
        // A slow machine may take its time to start it.
        while taken(&self.directory) >= self.killed_until
            || begun.elapsed() < LIFE
            || !self.directory.join("started").exists()
        {
            assert!(begun.elapsed() < Duration::from_mins(3), "the daemon does not start, or does not end");
            if let Some(status) = daemon.try_wait().unwrap() {
                assert!(status.success(), "{status}: {}", fs::read_to_string(self.directory.join("log")).unwrap());
                return true;
            }
            writeln!(daemon.stdin.as_ref().unwrap()).unwrap();
            thread::sleep(Duration::from_millis(50));
            self.make_room_now_and_then(&daemon);
        }
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        self.kills += 1;
        false
    }

    /// On a full disk its owner makes room now and then.
    fn make_room_now_and_then(&mut self, daemon: &Child) {
        let log = fs::read_to_string(self.directory.join("log")).unwrap();
        let full = log.matches("events cannot be written").count();
        if full == self.full {
            return;
        }
        self.full = full;
        // Some events are lost until then.
        thread::sleep(Duration::from_millis(50));
        let pid = rustix::process::Pid::from_child(daemon);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        // It may be in the middle of a rotation: it stands still when all its threads do.
        // It may also have ended: whoever waits for it later must still find out.
        let (stopped, kept) = (WaitIdOptions::STOPPED | WaitIdOptions::EXITED, WaitIdOptions::NOWAIT);
        rustix::process::waitid(WaitId::Pid(pid), stopped | kept).unwrap();
        for path in self.files() {
            let number = path.extension().and_then(|end| end.to_str()?.parse::<u32>().ok());
            if number.is_some_and(|number| number > 1) {
                self.read(&path);
                fs::remove_file(path).unwrap();
            }
        }
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.join("disk")).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
    }

    /// Every line is whole, and no event is twice.
    fn read(&mut self, path: &Path) {
        self.files += 1;
        let mut reader = BufReader::new(File::open(path).unwrap());
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 0 {
            assert!(line.ends_with('\n'), "{}: {line}", path.display());
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert!(self.removed.insert(event["seq"].as_u64().unwrap()), "twice: {line}");
            line.clear();
        }
    }

    /// The events that daemons said to be missing, for this reason. A killed daemon may have said what the next
    /// one finds too, and of several that could write nothing each says it of all after the last line.
    fn missing(&self, why: &str) -> BTreeSet<u64> {
        let log = fs::read_to_string(self.directory.join("log")).unwrap();
        let lines = log.lines().filter(|line| line.contains("are not in") && line.contains(why));
        let numbers = lines.map(|line| line.split(' ').filter_map(|word| word.parse().ok()).collect::<Vec<u64>>());
        numbers.flat_map(|numbers| numbers[1]..=numbers[2]).collect()
    }
}

/// Runs `commands`, which mount the file system on the directory `disk`, and daemons until all events have happened.
fn every_number_is_there_or_counted(mount: &str, is_full: bool) {
    // SAFETY: takes a number; this thread alone gets a namespace.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        println!("not run: needs root, to mount: {}", std::io::Error::last_os_error());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("disk")).unwrap();
    fs::write(directory.path().join("taken"), 0u64.to_ne_bytes()).unwrap();
    let script = format!("mount --make-rprivate / && cd {} && {mount}", directory.path().display());
    let mounted = Command::new("sh").args(["-c", &script]).output().unwrap();
    if !mounted.status.success() {
        println!("not run: {mount}: {}", String::from_utf8_lossy(&mounted.stderr));
        return;
    }
    let mut account = Account {
        directory: directory.path().to_owned(),
        removed: BTreeSet::new(),
        files: 0,
        kills: 0,
        // What comes then finds the disk full, too.
        killed_until: if is_full { EVENTS / 2 } else { u64::MAX },
        full: 0,
    };
    while !account.live() {}
    account.files().iter().for_each(|path| account.read(path));
    let (lost, killed) = (account.missing("they could not be written"), account.missing("the daemon before"));
    let (there, missing) = (&account.removed, &lost | &killed);
    println!(
        "{mount}: {EVENTS} events: {} in {} files, {} said to be missing by the daemon that lost them, {} by the next \
         after {} kills; full {} times",
        there.len(),
        account.files,
        lost.len(),
        killed.len(),
        account.kills,
        account.full
    );
    assert_eq!(there & &missing, BTreeSet::new(), "said to be missing, and there");
    let unknown: Vec<_> = (1..=EVENTS).filter(|number| !there.contains(number) && !missing.contains(number)).collect();
    assert_eq!(unknown, [0; 0], "neither there nor counted");
    assert!(account.files > 10 && account.kills > 0, "{} files, {} kills", account.files, account.kills);
    assert_eq!(!lost.is_empty(), is_full, "{} lost", lost.len());
    assert_eq!(account.full > 0, is_full);
    Command::new("umount").arg(directory.path().join("disk")).status().unwrap();
}

#[test]
fn over_many_rotations() {
    every_number_is_there_or_counted("mount -t tmpfs -o size=200m none disk", false);
}

#[test]
fn on_a_full_tmpfs() {
    every_number_is_there_or_counted("mount -t tmpfs -o size=3m none disk", true);
}

#[test]
fn on_a_full_ext4() {
    let mount = "truncate -s 6M image && mkfs.ext4 -q image && mount -o loop image disk";
    every_number_is_there_or_counted(mount, true);
}

#[test]
fn on_a_full_xfs() {
    // None smaller than 300 MB can be made: what fills it is in a directory of its own, where nobody reads it.
    let mount = "truncate -s 300M image && mkfs.xfs -q image && mount -o loop image disk && mkdir disk/fill && \
                 fallocate -l $(($(stat -f -c '%a * %S' disk) - 6000000)) disk/fill/fill";
    every_number_is_there_or_counted(mount, true);
}

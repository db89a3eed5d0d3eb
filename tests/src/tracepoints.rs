//! The mode that observes tracepoints of system calls: what it says of itself, and what becomes of rules that
//! ask for more.

use std::{
    fs,
    os::fd::AsRawFd as _,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, ensure};
use sensor_common::event::{Event, Mode};

use crate::{
    fifo,
    rules::{self, Draft},
    sensor::{CREANCE, Launch, Sensor},
    shared,
    suite::{Boot, Test},
    work,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "tracepoints::blocking_rules_are_alerts_that_say_so", boot: Boot::Tracepoints, run: alerts },
    Test { name: "tracepoints::rules_for_unseen_events_are_accepted_and_told", boot: Boot::Tracepoints, run: unseen },
    Test { name: "tracepoints::the_daemon_says_what_it_cannot_see", boot: Boot::Tracepoints, run: words },
    Test { name: "tracepoints::failed_calls_are_no_events", boot: Boot::Tracepoints, run: failed },
    Test { name: "tracepoints::the_daemons_own_work_is_none", boot: Boot::Tracepoints, run: own_work },
    Test { name: "tracepoints::what_a_call_pointed_to_may_have_changed", boot: Boot::Tracepoints, run: changed },
];

const ALL_ACTIONS: &[(&str, &str)] = &[("block", "fifo.create"), ("kill", "fifo.open"), ("quarantine", "fifo.payload")];

fn alerts() -> Result<()> {
    let path = "/tmp/only-observed";
    let condition = format!("path == '{path}'");
    let drafts: Vec<_> = ALL_ACTIONS
        .iter()
        .map(|(action, event)| Draft { action, ..Draft::alert(action, std::slice::from_ref(event), &condition) })
        .collect();
    let sensor = shared::sensor(vec![rules::file("all.yaml", &drafts)])?;
    ensure!(sensor.client()?.enforce(true).is_err(), "the daemon says that it enforces");
    fifo::make(path)?;
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    std::io::Write::write_all(&mut &file, b"still readable")?;
    let mut read = [0; 14];
    std::io::Read::read_exact(&mut &file, &mut read)?;
    ensure!(&read == b"still readable", "the reader got {read:?}");
    let reports = sensor.reports()?;
    let came: Vec<_> = reports
        .iter()
        .map(|report| (report["action"].as_str(), report["event"].as_str(), report["outcome"].as_str()))
        .collect();
    let wanted: Vec<_> =
        ALL_ACTIONS.iter().map(|(action, event)| (Some(*action), Some(*event), Some("not_enforcing"))).collect();
    ensure!(came == wanted, "{came:?}");
    ensure!(!sensor.status()?.enforcing, "status says that verdicts are carried out");
    fs::remove_file(path)?;
    shared::park(sensor);
    Ok(())
}

fn unseen() -> Result<()> {
    let sensor = shared::sensor(vec![rules::file("none.yaml", &[rules::NONE])])?;
    let problems: Vec<_> = Event::ALL
        .iter()
        .filter_map(|event| told_of(&sensor, *event).err().map(|error| format!("{}: {error:#}", event.name())))
        .collect();
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    // What we ship has rules for events that are not seen here.
    let pushed = sensor.push(rules::shipped()?)?;
    ensure!(!pushed.unseen.is_empty() && !pushed.programs.is_empty(), "{pushed:?}");
    shared::park(sensor);
    Ok(())
}

fn words() -> Result<()> {
    let sensor = Launch::rules(&[rules::file("none.yaml", &[rules::NONE])])?.enforcing().start()?;
    let status = sensor.status()?;
    ensure!(status.mode == Mode::Tracepoints.name() && !status.enforcing, "{status}");
    for words in [sensor.words(), status.to_string()] {
        for part in ["cannot block", "NOT seen: ", "32-bit", "io_uring", "have been changed"] {
            ensure!(words.contains(part), "{part:?} is not said: {words}");
        }
        for event in Event::ALL {
            let (_, unseen) = words.split_once("NOT seen: ").context("nothing is unseen")?;
            let unseen = unseen.split(". ").next().unwrap_or_default();
            let told = unseen.split(", ").any(|name| name == event.name());
            ensure!(told != event.hook().is_seen_in(Mode::Tracepoints), "{}: {words}", event.name());
        }
    }
    sensor.stop()?;
    let output = Command::new(CREANCE).arg("doctor").output()?;
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = words.lines().find(|line| line.starts_with("tracepoints "));
    ensure!(line.is_some_and(|line| line.contains(" yes ")), "doctor says {words}");
    Ok(())
}

fn failed() -> Result<()> {
    let path = "/tmp/fails";
    let condition = format!("path == '{path}'");
    let watch = Draft::alert("watch", &["fifo.create", "fifo.open"], &condition);
    let sensor = shared::sensor(vec![rules::file("watch.yaml", &[watch])])?;
    fifo::make(path)?;
    ensure!(fifo::make(path).is_err(), "the same FIFO was made twice");
    let writer = fs::OpenOptions::new();
    // Without a reader, a writer that does not wait is refused.
    let refused =
        std::os::unix::fs::OpenOptionsExt::custom_flags(writer.clone().write(true), libc::O_NONBLOCK).open(path);
    ensure!(refused.is_err(), "a FIFO without a reader was opened");
    let reports = sensor.reports()?;
    let came: Vec<_> = reports.iter().map(|report| report["event"].as_str()).collect();
    ensure!(came == [Some("fifo.create")], "{came:?}");
    fs::remove_file(path)?;
    shared::park(sensor);
    Ok(())
}

/// Pushes a rule for one event, which is either judged from then on or said not to be.
fn told_of(sensor: &Sensor, event: Event) -> Result<()> {
    let events = [event.name()];
    let draft = Draft::alert("one", &events, "process.comm == 'nobody'");
    let pushed = sensor.push(vec![rules::file("one.yaml", &[draft])])?;
    let told: Vec<_> = pushed.unseen.iter().map(|unseen| unseen.event.as_str()).collect();
    let status = sensor.status()?;
    ensure!(status.unseen == pushed.unseen, "status says {:?}, the push said {:?}", status.unseen, pushed.unseen);
    let attached = status.hooks.iter().filter(|hook| hook.attached).count();
    if event.hook().is_seen_in(Mode::Tracepoints) {
        // What goes with it is told, where only that is not seen.
        let beside: Vec<_> =
            event.companion().into_iter().filter(|beside| !beside.hook().is_seen_in(Mode::Tracepoints)).collect();
        let is_told = told.iter().copied().eq(beside.iter().map(|beside| beside.name()));
        ensure!(is_told && attached == 1, "{told:?}, {attached} hooks attached");
    } else {
        ensure!(told == [event.name()] && attached == 0, "{told:?}, {attached} hooks attached");
        ensure!(status.to_string().contains(&format!("not seen     {}", event.name())), "{status}");
    }
    Ok(())
}

/// A client of the daemon is the same program, and is seen.
fn own_work() -> Result<()> {
    let events: Vec<_> = Event::ALL.iter().map(|event| event.name()).filter(|name| name.starts_with("unix.")).collect();
    let watch = Draft::alert("watch", &events, "process.exe == '/bin/creance'");
    let sensor = shared::sensor(vec![rules::file("watch.yaml", &[watch])])?;
    let client = Command::new(CREANCE).arg("status").stdout(Stdio::piped()).spawn()?;
    let pid = client.id();
    ensure!(client.wait_with_output()?.status.success(), "creance status fails");
    let reports = sensor.reports()?;
    let connects = reports.iter().filter(|report| report["event"] == "unix.connect").count();
    ensure!(connects == 1, "the client connects once, and {connects} times was seen");
    // The daemon accepted it, read the question and answered.
    let others = reports.iter().find(|report| report["process"]["pid"] != pid);
    ensure!(others.is_none(), "the daemon watches itself: {others:#?}");
    shared::park(sensor);
    Ok(())
}

/// A write that waits in a full pipe while another thread changes what is still to be written: the kernel has
/// taken the bytes as they were, and what is judged are those of the end.
fn changed() -> Result<()> {
    const SIZE: usize = 4096;
    let watch = Draft::alert("watch", &["pipe.payload"], "process.comm == 'changes'");
    let sensor = shared::sensor(vec![rules::file("watch.yaml", &[watch])])?;
    let (mut reader, writer) = fifo::pipe()?;
    let data = Arc::new([const { AtomicU8::new(b'a') }; 2 * SIZE]);
    let fd = writer.as_raw_fd();
    // SAFETY: a number, and an open descriptor.
    let room = unsafe { libc::fcntl(fd, libc::F_SETPIPE_SZ, SIZE) };
    ensure!(room >= 0, "F_SETPIPE_SZ: {}", std::io::Error::last_os_error());
    let shared_data = Arc::clone(&data);
    let thread = thread::spawn(move || {
        work::name_thread("changes")?;
        // SAFETY: atomics are as many bytes, and others may change them while the kernel reads.
        let written = unsafe { libc::write(fd, shared_data.as_ptr().cast(), 2 * SIZE) };
        ensure!(usize::try_from(written) == Ok(2 * SIZE), "{written} bytes were written");
        Ok(())
    });
    // The first half has been taken, and the pipe is full: the writer waits.
    let mut read = vec![0; SIZE];
    std::io::Read::read_exact(&mut reader, &mut read[..1])?;
    data[0].store(b'b', Ordering::Relaxed);
    std::io::Read::read_exact(&mut reader, &mut read[1..])?;
    std::io::Read::read_exact(&mut reader, &mut read)?;
    thread.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    let reports = sensor.reports()?;
    ensure!(reports.len() == 1 && reports[0]["size"] == 2 * SIZE, "{reports:#?}");
    let payload = reports[0]["payload"].as_str().context("no payload")?;
    ensure!(
        payload.starts_with("ba"),
        "what came into the pipe was judged, and docs/gaps.md says otherwise: {payload}"
    );
    shared::park(sensor);
    Ok(())
}

//! The mode that observes tracepoints of system calls: what it says of itself, and what becomes of rules that ask for more.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use sensor_common::event::{Event, Mode};

use crate::{
    fifo,
    rules::{self, Draft},
    sensor::{CREANCE, Launch},
    shared,
    suite::{Boot, Test},
};

/// See the [module](self).
pub const TESTS: &[Test] = &[
    Test { name: "tracepoints::blocking_rules_are_alerts_that_say_so", boot: Boot::Tracepoints, run: alerts },
    Test { name: "tracepoints::rules_for_unseen_events_are_accepted_and_told", boot: Boot::Tracepoints, run: unseen },
    Test { name: "tracepoints::the_daemon_says_what_it_cannot_see", boot: Boot::Tracepoints, run: words },
    Test { name: "tracepoints::failed_calls_are_no_events", boot: Boot::Tracepoints, run: failed },
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
    for event in Event::ALL {
        let events = [event.name()];
        let draft = Draft::alert("one", &events, "process.comm == 'nobody'");
        let pushed = sensor.push(vec![rules::file("one.yaml", &[draft])])?;
        let told: Vec<_> = pushed.unseen.iter().map(|unseen| unseen.event.as_str()).collect();
        let status = sensor.status()?;
        ensure!(status.unseen == pushed.unseen, "status says {:?}, the push said {:?}", status.unseen, pushed.unseen);
        let attached = status.hooks.iter().filter(|hook| hook.attached).count();
        if event.hook().is_seen_in(Mode::Tracepoints) {
            ensure!(told.is_empty() && attached == 1, "{}: {told:?}, {attached} hooks attached", event.name());
        } else {
            ensure!(told == [event.name()] && attached == 0, "{}: {told:?}, {attached} hooks attached", event.name());
            ensure!(status.to_string().contains(&format!("not seen     {}", event.name())), "{status}");
        }
    }
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
    ensure!(words.contains("tracepoints      yes"), "doctor says {words}");
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

//! The daemon starts once, stops cleanly, and comes back after a kill.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use sensor_user::{
    api::protocol::Refuser,
    control::{self},
};
use serde_json::Value;

use crate::{
    fifo, refusal,
    rules::{self, Draft},
    sensor::{CREANCE, Launch, Sensor},
    shared,
    suite::{Boot, Test},
    wait, work,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "daemon::sigterm_stops_it_and_leaves_nothing", boot: Boot::Plain, run: stops },
    Test { name: "daemon::a_second_one_is_refused_with_words", boot: Boot::Plain, run: second },
    Test { name: "daemon::after_kill_9_it_starts_again", boot: Boot::Plain, run: killed },
    Test { name: "daemon::lets_nobody_past_the_checks_unless_told_to", boot: Boot::Plain, run: permission },
    Test { name: "daemon::the_commands_speak_to_it", boot: Boot::Plain, run: commands },
    Test { name: "daemon::in_a_pid_namespace_it_knows_its_own_work", boot: Boot::Plain, run: namespaced },
];

const PINS: &str = "/sys/fs/bpf/creance";

fn guarding() -> Result<Launch> {
    let rules =
        rules::file("guard.yaml", &[Draft::block("guard", &["fifo.create"], "path == '/tmp/guarded-by-daemon'")]);
    Ok(Launch::rules(&[rules])?.enforcing())
}

fn guarded() -> bool {
    let made = fifo::remake("/tmp/guarded-by-daemon");
    fifo::is_refused(&made)
}

/// Waits until nothing guards any more: the kernel lets go of what was pinned a moment after the daemon.
fn freed() -> Result<()> {
    wait::until("what has gone to guard no more", || Ok((!guarded()).then_some(())))
}

fn stops() -> Result<()> {
    let sensor = guarding()?.start()?;
    ensure!(guarded(), "the sensor does not guard");
    sensor.stop()?;
    freed()?;
    for left in [PINS, control::SOCKET] {
        ensure!(!Path::new(left).exists(), "{left} is left");
    }
    Ok(())
}

fn second() -> Result<()> {
    let sensor = guarding()?.start()?;
    let output = guarding()?.command(Path::new("/tmp/events-second")).output()?;
    ensure!(output.status.code() == Some(1), "the second ended with {}", output.status);
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(words.contains("already") || words.contains("another"), "it does not say why: {words:?}");
    ensure!(guarded() && sensor.status()?.generation == Some(1), "the second disturbed the first");
    sensor.stop()
}

fn killed() -> Result<()> {
    let mut first = guarding()?.start()?;
    first.signal(libc::SIGKILL)?;
    first.ended()?;
    let sensor = guarding()?.start()?;
    ensure!(guarded(), "after the restart the sensor does not guard");
    let attached: Vec<_> =
        sensor.status()?.hooks.iter().filter(|hook| hook.attached).map(|hook| hook.hook.clone()).collect();
    ensure!(attached.len() == 1, "one rule for fifo.create attaches {attached:?}");
    sensor.stop()?;
    freed()?;
    Ok(())
}

fn permission() -> Result<()> {
    let sensor = Launch::rules(&[rules::file("good.yaml", &[refusal::GOOD])])?.start()?;
    let refused = refusal::unchanged(&sensor, vec![rules::file("field21.yaml", &[refusal::FIELD_21])], true)?;
    ensure!(refused.by == Refuser::Daemon, "refused by {:?}", refused.by);
    ensure!(refused.message.contains("--allow-skip-checks"), "{}", refused.message);
    let refused = refusal::unchanged(&sensor, vec![rules::file("field21.yaml", &[refusal::FIELD_21])], false)?;
    ensure!(refused.by == Refuser::Checks && refused.message.contains("field21"), "{}", refused.message);
    sensor.stop()
}

/// Each command, as a user would type it, against a daemon.
fn commands() -> Result<()> {
    shared::stop()?;
    ensure!(creance(&["status"])?.status.code() == Some(3), "status without a daemon does not end with 3");
    let sensor = guarding()?.start()?;
    ensure!(guarded(), "the sensor does not guard");
    let (status, _) = spoken(&sensor, &["status"])?;
    ensure!(status.contains("generation   1, 1 rules"), "status says {status}");
    let (status, _) = spoken(&sensor, &["status", "--json"])?;
    let status: serde_json::Value = serde_json::from_str(&status)?;
    ensure!(status["events"]["fifo.create"]["matched"] == 1, "status --json says {status:#}");
    let figures = scrape(&Path::new(control::SOCKET).with_file_name("metrics.sock"))?;
    let matched = "creance_matched_total{event=\"fifo.create\"} 1";
    ensure!(figures.lines().any(|line| line == matched), "the metrics say {figures}");
    let (events, _) = spoken(&sensor, &["events", "--json"])?;
    let event: serde_json::Value = serde_json::from_str(events.trim()).with_context(|| events.clone())?;
    ensure!(event["path"] == "/tmp/guarded-by-daemon", "events --json says {event:#}");

    let directory = crate::sensor::write(&[rules::file("none.yaml", &[Draft::alert("no", &["pipe.read"], "false")])])?;
    spoken(&sensor, &["push", &directory.to_string_lossy()])?;
    ensure!(!guarded(), "after the push the old rule still guards");
    spoken(&sensor, &["rollback"])?;
    ensure!(guarded(), "after the rollback the old rule does not guard");
    spoken(&sensor, &["enforce", "off"])?;
    ensure!(!guarded(), "enforce off still guards");
    fs::remove_file("/tmp/guarded-by-daemon")?;
    sensor.stop()
}

/// What Prometheus would read.
fn scrape(socket: &Path) -> Result<String> {
    let mut stream = UnixStream::connect(socket).with_context(|| format!("nobody listens on {}", socket.display()))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn spoken(sensor: &Sensor, arguments: &[&str]) -> Result<(String, String)> {
    let output = creance(arguments)?;
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complained) = (words(&output.stdout), words(&output.stderr));
    ensure!(output.status.success(), "{arguments:?}: {}, {complained}; daemon: {}", output.status, sensor.words());
    Ok((said, complained))
}

fn creance(arguments: &[&str]) -> Result<Output> {
    Command::new(CREANCE).args(arguments).output().context("cannot start creance")
}

/// Its own number is another process's on the host: it would watch itself, and not the other.
fn namespaced() -> Result<()> {
    shared::stop()?;
    fs::remove_file(work::NAMESPACED).ok();
    let events = Path::new("/tmp/namespaced-events");
    let watch =
        Draft::alert("watch", &["unix.connect", "unix.accept", "unix.receive"], "process.exe == '/bin/creance'");
    let daemon = Launch::rules(&[rules::file("watch.yaml", &[watch])])?.command(events);
    let arguments: Vec<_> = daemon.get_args().collect();
    let mut role = Command::new(work::PROGRAM).args(["work", "first", CREANCE]).args(arguments).spawn()?;
    wait::until("the daemon to answer", || {
        ensure!(role.try_wait()?.is_none(), "the daemon ended");
        Ok(control::Client::connect(control::SOCKET).is_ok().then_some(()))
    })?;
    let client = Command::new(CREANCE).arg("status").stdout(Stdio::null()).spawn()?;
    let pid = client.id();
    ensure!(client.wait_with_output()?.status.success(), "creance status fails");
    // The connection comes first; what the daemon did with it would be there by the second.
    let seen = || -> Result<Vec<Value>> {
        fs::read_to_string(events)?
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
            .collect()
    };
    wait::until("the client to be seen", || {
        Ok(seen()?.iter().any(|event| event["process"]["pid"] == pid).then_some(()))
    })?;
    control::Client::connect(control::SOCKET)?.status()?;
    let id: i32 = fs::read_to_string(work::NAMESPACED)?.parse()?;
    // SAFETY: takes two numbers.
    ensure!(unsafe { libc::kill(id, libc::SIGTERM) } == 0, "kill: {}", std::io::Error::last_os_error());
    wait::until("the daemon to end", || role.try_wait().map_err(Into::into))?;
    let own: Vec<_> = seen()?.into_iter().filter(|event| event["process"]["pid"] == id).collect();
    ensure!(own.is_empty(), "the daemon watches itself: {own:#?}");
    Ok(())
}

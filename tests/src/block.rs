//! What a rule blocks does not happen, and everything else does.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    sync::mpsc,
    thread,
};

use anyhow::{Result, bail, ensure};

use crate::{
    conformance::call::call,
    fifo,
    protocol::Table,
    report,
    rules::{self, Draft},
    sensor::{Sensor, names_rule},
    shared, shell,
    suite::{Boot, Test},
    wait,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "block::the_reverse_shell_gets_no_shell", boot: Boot::Plain, run: reverse_shell },
    Test { name: "block::each_hook_that_can_deny_answers_eperm", boot: Boot::Plain, run: every_hook },
    Test { name: "block::kill_ends_the_process", boot: Boot::Plain, run: kill },
    Test { name: "block::who_sends_to_a_sleeping_receiver_is_not_killed", boot: Boot::Plain, run: sleeping_receiver },
    Test { name: "block::only_where_enforced", boot: Boot::Plain, run: only_where_enforced },
    Test { name: "block::the_reverse_shell_gets_none_by_modify_return", boot: Boot::WithoutBpf, run: reverse_shell },
    Test { name: "block::each_hook_answers_eperm_by_modify_return", boot: Boot::WithoutBpf, run: every_hook },
    Test { name: "block::kill_ends_the_process_by_modify_return", boot: Boot::WithoutBpf, run: kill },
    Test { name: "block::only_where_enforced_by_modify_return", boot: Boot::WithoutBpf, run: only_where_enforced },
];

fn reverse_shell() -> Result<()> {
    let sensor = shared::enforcing(rules::shipped()?)?;
    let attack = shell::attack()?;
    ensure!(!attack.obeyed, "a shell obeyed the attacker, who saw {:?}", attack.seen);
    let words = attack.complaints.to_lowercase();
    ensure!(words.contains("operation not permitted"), "nothing was refused; the script says {:?}", attack.complaints);
    let denied = sensor.reports()?.iter().filter(|report| report["outcome"] == "denied").count();
    ensure!(denied > 0, "no report says denied");
    for (name, script) in shell::BENIGN {
        let output = shell::run(script)?;
        ensure!(output.status.success(), "{name} is hindered: {}", String::from_utf8_lossy(&output.stderr));
    }
    shared::park(sensor);
    Ok(())
}

const GUARDED: &str = "/tmp/guarded";

fn every_hook() -> Result<()> {
    fifo::remake(GUARDED)?;
    let (mut both, (mut reader, mut writer)) = (fifo::open(GUARDED)?, fifo::pipe()?);
    both.write_all(b"before")?;
    writer.write_all(b"before")?;
    let condition = |event: &'static str| match event {
        "pipe.read" | "pipe.write" => "process.comm == 'blocked'",
        "fifo.create" => "path == '/tmp/guarded-new'",
        _ => "path == '/tmp/guarded'",
    };
    let sensor = shared::enforcing(vec![rules::file("none.yaml", &[rules::NONE])])?;
    for event in ["fifo.create", "fifo.open", "fifo.read", "fifo.write", "pipe.read", "pipe.write"] {
        let operation: &mut dyn FnMut() -> io::Result<()> = match event {
            "fifo.create" => &mut || fifo::make("/tmp/guarded-new"),
            "fifo.open" => &mut || fifo::open(GUARDED).map(drop),
            "fifo.read" => &mut || both.read_exact(&mut [0; 1]),
            "fifo.write" => &mut || both.write_all(b"x"),
            "pipe.read" => &mut || reader.read_exact(&mut [0; 1]),
            _ => &mut || writer.write_all(b"x"),
        };
        let guard = |condition| vec![rules::file("block.yaml", &[Draft::block("guard", &[event], condition)])];
        sensor.push(guard(condition(event)))?;
        named("blocked", || refused(&sensor, event, operation))?;
        report::fact(Table::Stops, &format!("block `{event}`"), "denied");
        sensor.push(guard("false"))?;
        operation().map_err(|error| anyhow::anyhow!("{event} fails when no rule blocks it any more: {error}"))?;
    }
    std::fs::remove_file("/tmp/guarded-new")?;
    shared::park(sensor);
    Ok(())
}

/// The operation is refused, reported as denied, and nothing else is.
fn refused(sensor: &Sensor, event: &str, operation: &mut dyn FnMut() -> io::Result<()>) -> Result<()> {
    let before = sensor.lines()?.len();
    let result = operation();
    ensure!(fifo::is_refused(&result), "{event} ended with {result:?}, not EPERM");
    let reports = sensor.reports()?.split_off(before);
    ensure!(reports.len() == 1, "{event}: {} reports, not 1: {reports:#?}", reports.len());
    let fits = reports[0]["event"] == event && reports[0]["outcome"] == "denied" && names_rule(&reports[0], "guard");
    ensure!(fits, "{:#}", reports[0]);
    Ok(())
}

/// Does something under another name of the thread, so that a rule can mean this thread only.
fn named<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let old = std::fs::read_to_string("/proc/thread-self/comm")?;
    std::fs::write("/proc/thread-self/comm", name)?;
    let result = work();
    std::fs::write("/proc/thread-self/comm", old.trim())?;
    result
}

fn kill() -> Result<()> {
    let rules = [Draft { action: "kill", ..Draft::alert("deadly", &["fifo.create"], "path == '/tmp/deadly'") }];
    let sensor = shared::enforcing(vec![rules::file("kill.yaml", &rules)])?;
    let output = shell::run("exec mkfifo /tmp/deadly")?;
    ensure!(output.status.signal() == Some(libc::SIGKILL), "mkfifo ended with {}", output.status);
    ensure!(!std::path::Path::new("/tmp/deadly").exists(), "the FIFO was made all the same");
    let reports = sensor.reports()?;
    ensure!(reports.len() == 1 && reports[0]["outcome"] == "killed", "{reports:#?}");
    report::fact(Table::Stops, "kill", "killed");
    shared::park(sensor);
    Ok(())
}

/// The kernel hands a message to a receiver that sleeps in the name of the sender, who has not received anything.
fn sleeping_receiver() -> Result<()> {
    let rule = Draft { action: "kill", ..Draft::alert("deadly", &["sysv.msg_receive"], "message_type == 4242") };
    let sensor = shared::enforcing(vec![rules::file("kill.yaml", &[rule])])?;
    let queue = i32::try_from(call!(msgget(libc::IPC_PRIVATE, 0o600))?)?;
    let message = [4242_i64, 0];
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let receiver = scope.spawn(move || {
            // SAFETY: takes nothing.
            tell.send(unsafe { libc::gettid() }.cast_unsigned()).ok();
            let mut room = [0_i64; 2];
            call!(msgrcv(queue, room.as_mut_ptr().cast(), 8, 0, 0))
        });
        wait::asleep_in(told.recv()?, libc::SYS_msgrcv)?;
        call!(msgsnd(queue, message.as_ptr().cast(), 8, 0))?;
        let reports = sensor.reports()?;
        ensure!(reports.len() == 1 && reports[0]["outcome"] == "denied", "{reports:#?}");
        call!(msgctl(queue, libc::IPC_RMID, std::ptr::null_mut()))?;
        let result = receiver.join().unwrap_or_else(|_| bail!("the receiver panicked"));
        ensure!(result.is_err(), "the message was received all the same");
        Ok(())
    })?;
    shared::park(sensor);
    Ok(())
}

fn only_where_enforced() -> Result<()> {
    let rules =
        rules::file("block.yaml", &[Draft::block("guard", &["fifo.create"], "path.startsWith('/tmp/unenforced')")]);
    let sensor = shared::sensor(vec![rules])?;
    fifo::make("/tmp/unenforced-1")?;
    ensure!(sensor.client()?.enforce(true)?, "it does not enforce");
    ensure!(fifo::is_refused(&fifo::make("/tmp/unenforced-2")), "not refused after `enforce on`");
    ensure!(!sensor.client()?.enforce(false)?, "it still enforces");
    fifo::make("/tmp/unenforced-3")?;
    let outcomes: Vec<_> = sensor.reports()?.iter().map(|report| report["outcome"].clone()).collect();
    ensure!(outcomes == ["not_enforcing", "denied", "not_enforcing"], "{outcomes:?}");
    shared::park(sensor);
    Ok(())
}

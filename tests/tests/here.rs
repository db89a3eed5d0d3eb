//! The tests of [`Boot::Tracepoints`](creance_tests::suite::Boot) on the kernel of this machine: without a VM, in a
//! [`room`](creance_tests::room).

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result};
use creance_tests::protocol::Message;
use sensor_user::kernel::probe::{Finding, Host};

fn main() -> ExitCode {
    if let Some(why) = forbidden() {
        println!("not run: the daemon on tracepoints of this machine: {why}");
        println!("test result: ok. 0 passed; 0 failed; 1 ignored");
        return ExitCode::SUCCESS;
    }
    // What cargo passes for its own harness is none of ours.
    let only = env::args().skip(1).find(|argument| !argument.starts_with('-'));
    match run(only.as_deref()) {
        Ok((passed, 0)) if passed > 0 || only.is_some() => {
            println!("test result: ok. {passed} passed; 0 failed");
            ExitCode::SUCCESS
        }
        Ok((passed, failed)) => {
            println!("test result: FAILED. {passed} passed; {failed} failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error:#}\ntest result: FAILED. 0 passed; 1 failed");
            ExitCode::FAILURE
        }
    }
}

/// Why this machine does not let the tests run, if it does not.
fn forbidden() -> Option<String> {
    let host = Host::probe();
    let needed = [("root", &host.root), ("BTF", &host.btf), ("ring buffer", &host.ring_buffer)];
    let missing = needed.into_iter().find_map(|(what, finding)| match finding {
        Finding::No(why) => Some(format!("{what}: {why}")),
        Finding::Yes(_) | Finding::Unknown(_) => None,
    });
    // Whether tracefs is mounted does not matter: the room mounts its own.
    missing.or_else(|| match host.tracepoints {
        Finding::No(why) => Some(format!("tracepoint programs: {why}")),
        _ => None,
    })
}

/// How many passed and failed.
fn run(only: Option<&str>) -> Result<(usize, usize)> {
    let directory = env::temp_dir().join(format!("creance-room-{}", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_vm-init"));
    command.arg("make-room").arg(&directory).args(only).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut room = command.spawn().context("cannot start vm-init")?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(room.stdout.take().context("vm-init has no output")?).lines() {
        let line = line?;
        match Message::parse(&line) {
            Some(Message::Passed { test, millis }) => {
                passed += 1;
                println!("test {test} ... ok ({millis} ms)");
            }
            Some(Message::Failed { test, millis, why }) => {
                failed += 1;
                println!("test {test} ... FAILED ({millis} ms)\n{why}");
            }
            Some(Message::Say { text }) => println!("{text}"),
            Some(_) => {}
            None => println!("{line}"),
        }
    }
    let status = room.wait()?;
    std::fs::remove_dir(&directory).ok();
    anyhow::ensure!(status.success(), "the room ended with {status}");
    Ok((passed, failed))
}

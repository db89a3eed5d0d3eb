//! What this VM was booted to do, from the kernel's command line.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    process::{Command, ExitCode},
};

use anyhow::Result;

use crate::{
    accepted, fleet, overhead,
    protocol::Message,
    replay, report, rules,
    sensor::{Launch, Sensor},
    session, suite,
};

/// Does it, and reports that it is done.
pub fn run() -> ExitCode {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let job = argument(&line, "creance.job");
    let ok = match job {
        Some("tests") => {
            suite::run(argument(&line, "creance.boot").unwrap_or_default(), argument(&line, "creance.only"));
            true
        }
        Some("session") => attempt(session::play()),
        Some("accepted") => {
            let number = |name| argument(&line, name).and_then(|value| value.parse().ok());
            let (seed, sets) = (number("creance.seed").unwrap_or(4), number("creance.sets").unwrap_or(0));
            attempt(accepted::long_run(seed, sets, argument(&line, "creance.random_only") == Some("1")))
        }
        Some("fleet") => attempt(fleet::live(argument(&line, "creance.host").unwrap_or_default()).map(|()| true)),
        Some("replay") => attempt(replay::live(argument(&line, "creance.only"))),
        Some("channel-module") => attempt(replay::module::live()),
        Some("overhead") => attempt(overhead::measure().map(|()| true)),
        Some("crash") => attempt(fs::write("/proc/sysrq-trigger", "c").map(|()| false).map_err(Into::into)),
        Some("shell") => attempt(shell().map(|()| true)),
        other => {
            report::say(format!("no such job: {other:?}"));
            false
        }
    };
    // In the shell's case the port is the user's terminal.
    if job != Some("shell") {
        report::send(&Message::Done { ok });
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The answer of a job; an error is told, and is a failure.
fn attempt(result: Result<bool>) -> bool {
    result.unwrap_or_else(|error| {
        report::say(format!("{error:#}"));
        false
    })
}

/// A shell on the second serial port, which is then the user's terminal, with the sensor running.
fn shell() -> Result<()> {
    let sensor = Launch::directory(rules::SHIPPED).start();
    let port = OpenOptions::new().read(true).write(true).open(report::PORT)?;
    Command::new("/bin/stty").args(["-F", report::PORT, "sane", "rows", "40", "columns", "120"]).status()?;
    match &sensor {
        Ok(_) => writeln!(&port, "\nThe sensor runs with the shipped rules. Try `creance status`, `creance events`,")?,
        Err(error) => writeln!(&port, "\nThe sensor did NOT start: {error:#}\nWith a sensor you could try")?,
    }
    writeln!(&port, "`creance enforce on`, `mkfifo /tmp/f`. The machine goes with this shell: `exit`.\n")?;
    let mut shell = Command::new("/bin/setsid");
    shell.args(["-c", "/bin/bash", "-i"]).current_dir("/root");
    shell.env("PATH", "/bin").env("HOME", "/root").env("TERM", "vt100").env("PS1", r"creance-vm:\w# ");
    shell.stdin(port.try_clone()?).stdout(port.try_clone()?).stderr(port).status()?;
    sensor.map_or(Ok(()), Sensor::stop)
}

/// The value of `name=value` on a kernel command line.
pub fn argument<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_found_by_their_whole_name() {
        let line = "console=ttyS0 creance.jobs=no creance.job=tests quiet\n";
        assert_eq!(argument(line, "creance.job"), Some("tests"));
        assert_eq!(argument(line, "creance.only"), None);
    }
}

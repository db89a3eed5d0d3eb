//! What is tested on a real Debian root with systemd: the package, and the way back from every fault.
//!
//! `vm-init debian` is started there by a unit (`tests/debian-image.sh`), after each boot.

mod faults;
mod fifos;
mod host;
mod package;
mod progress;

use std::{fs, process::ExitCode};

use anyhow::{Result, bail};

use self::progress::Step;
use crate::{init, job::argument, protocol::Message, report};

/// Does what the kernel's command line asks for; powers off when that is done.
pub fn run() -> ExitCode {
    report::raw();
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    match attempt(argument(&line, "creance.job"), argument(&line, "creance.only")) {
        Ok(Step::Reboot) => return ExitCode::SUCCESS,
        Ok(Step::Done(ok)) => report::send(&Message::Done { ok }),
        Err(error) => {
            report::say(format!("{error:#}\n{}", host::words()));
            report::send(&Message::Done { ok: false });
        }
    }
    init::power_off()
}

fn attempt(job: Option<&str>, only: Option<&str>) -> Result<Step> {
    match job {
        Some("package") => package::all().map(Step::Done),
        Some("faults") => faults::go_on(only),
        other => bail!("no such job: {other:?}"),
    }
}

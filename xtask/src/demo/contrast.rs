//! The VM with the content interpreter in the kernel: built, booted, and looked at while it goes down.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{disk, row::Row};
use crate::{
    command, console,
    project::{self, KernelSeries},
    protocol::Message,
    setup,
    vm::{Clock, Failure, LSM, Machine, Root},
};

/// How long it may say nothing.
const LIMIT: Duration = Duration::from_mins(5);
/// Windows stops at every fault in the kernel, and so does a Linux host that is told to. Without this, the task
/// that met the fault dies with the interpreter's lock held, and the processors follow one after the other.
const STOP_AT_A_FAULT: &str = "oops=panic";

/// What was seen.
pub struct Contrast {
    /// What the console showed of each time that the kernel went down.
    pub falls: Vec<String>,
    /// Why it did not go as expected.
    pub failure: Option<Failure>,
}

/// Builds the module, and lets a VM with this kernel load it; hands on what it says and sees.
///
/// # Errors
/// Where there are no headers of this kernel, or no VM.
pub fn run(kernel: KernelSeries, archive: &Path, hear: impl FnMut(Message)) -> Result<Contrast> {
    let disk = disk::make("channel-module", &[&module(kernel)?])?;
    let machine = Machine {
        kernel,
        name: "channel-module",
        arguments: format!("{LSM} {STOP_AT_A_FAULT} creance.job=channel-module"),
        root: Root::Host { archive, disk: &disk, ports: &[], trouble: console::OOPS },
        clock: Clock::Real,
        limit: LIMIT,
    };
    let (ending, log) = machine.watched(hear)?;
    fs::remove_file(&disk).ok();
    Ok(Contrast { falls: falls(&log), failure: ending.err() })
}

/// The module of `tests/contrast` for this kernel.
fn module(kernel: KernelSeries) -> Result<PathBuf> {
    let headers = setup::headers(kernel)?;
    let place = project::target("contrast").join(kernel.name());
    fs::create_dir_all(&place)?;
    for name in ["channel.c", "template.h", "Kbuild"] {
        let file = project::root().join("tests/contrast").join(name);
        fs::copy(&file, place.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    let mut make = Command::new("make");
    // Type information of the module would need one more program, and nobody reads it.
    make.arg("-C").arg(&headers).arg(format!("M={}", place.display()));
    command::output(make.args(["CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"])).context("the module does not build")?;
    let module = place.join("channel.ko");
    command::run(Command::new("strip").arg("--strip-debug").arg(&module))?;
    Ok(module)
}

/// What was let in, by the name of the test in the VM.
pub fn mistake(test: &str) -> &'static str {
    if test.ends_with("by_hand_only") { "the file is deleted by a person" } else { "none: four files with a wildcard" }
}

impl Contrast {
    /// What the console said, as rows: the kernel went down, and again at the next start, and no third time.
    pub fn rows(&self) -> Vec<Row> {
        let row = |test: &str, mistake: &str, index: usize| {
            let words = self.falls.get(index).cloned().unwrap_or_default();
            let ok = self.falls.len() == 2 && WORDS.iter().all(|part| words.contains(part));
            let first = words.lines().next().and_then(|line| line.split("] ").nth(1)).unwrap_or("no such words");
            Row {
                test: test.to_owned(),
                mistake: mistake.to_owned(),
                stopped_by: "nothing: the kernel goes down".to_owned(),
                seen: if ok {
                    first.to_owned()
                } else {
                    format!("NOT AS EXPECTED: {} falls, {first}", self.falls.len())
                },
                words,
                ok,
                took: Duration::ZERO,
            }
        };
        vec![
            row("module::the_fifth_file_takes_the_kernel_down", "the fifth file asks for field 21", 0),
            row("module::the_next_start_goes_down_too", "the same file is still on the disk", 1),
        ]
    }
}

/// Whether a line of the console is one of those that tell what happened.
pub fn is_telling(line: &str) -> bool {
    ["BUG:", "#PF", "Oops:", "RIP: 0010", "[channel]", "Kernel panic"].iter().any(|part| line.contains(part))
        && !line.contains("Modules linked")
}

/// From each first word of trouble to the end of the panic, as the console shows it.
fn falls(log: &str) -> Vec<String> {
    let mut falls: Vec<String> = Vec::new();
    let mut inside = false;
    for line in log.lines().map(str::trim_end) {
        if !inside && line.contains("BUG:") {
            inside = true;
            falls.push(String::new());
        }
        if let (true, Some(fall)) = (inside, falls.last_mut()) {
            fall.push_str(line);
            fall.push('\n');
        }
        inside &= !line.contains("Kernel panic");
    }
    falls
}

/// What must be in the console's words: the fault, where it was, and the end. The address is what lay behind the
/// 20 inputs, taken for a pointer: the length of the path `/tmp/july/agent_1`, 17.
const WORDS: &[&str] =
    &["BUG: kernel NULL pointer dereference, address: 0000000000000011", "interpret+0x", "Kernel panic - not syncing"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fall_is_cut_out_of_the_console() {
        let log = "[ 1.0] fine\n[ 2.0] BUG: kernel NULL\n[ 2.1] interpret+0x1\n[ 2.2] Kernel panic - not \
        syncing\n[ 2.3] x\n\
                   [ 1.0] fine\n[ 3.0] BUG: kernel NULL\n";
        assert_eq!(
            falls(log),
            [
                "[ 2.0] BUG: kernel NULL\n[ 2.1] interpret+0x1\n[ 2.2] Kernel panic - not syncing\n",
                "[ 3.0] BUG: kernel NULL\n"
            ]
        );
    }
}

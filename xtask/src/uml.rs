//! What is proved on another kernel than this machine's, without a VM: the kernel is a process here
//! ([`setup::user_mode_linux`]), and sees the files of this machine. It needs no rights.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
    process::{self, Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    console,
    project::{self, KernelSeries},
    setup,
};

/// Memory of such a machine.
const MEMORY: &str = "mem=1G";
/// What its init says before the task, and behind it with the task's exit code.
const BEGINS: &str = "the task begins";
const ENDED: &str = "the task ended: ";

/// Runs a program of this machine, with these arguments, under the kernel of the series; `hear` gets each
/// line that it says. Returns whether it succeeded; `None` where Debian has no sources of the kernel.
///
/// # Errors
/// Where the kernel cannot be had otherwise, or ends before the program has.
pub fn run(series: KernelSeries, program: &Path, arguments: &[String], hear: impl FnMut(&str)) -> Result<Option<bool>> {
    let Some(kernel) = setup::user_mode_linux(series)? else { return Ok(None) };
    let init = project::target("uml").join(format!("init-{}", process::id()));
    fs::write(&init, script(program, arguments)).with_context(|| format!("cannot write {}", init.display()))?;
    fs::set_permissions(&init, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut linux = Command::new(&kernel);
    linux.args([MEMORY, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"]);
    linux.args(["con=null", "con0=fd:0,fd:1"]).arg(format!("init={}", init.display()));
    // Its processes begin as copies of itself, but without the memory in which the C library lets this
    // machine's kernel write.
    linux.env("GLIBC_TUNABLES", "glibc.pthread.rseq=0");
    let complaints = init.with_extension("log");
    linux.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&complaints)?);
    let mut child = linux.spawn().with_context(|| format!("cannot start {}", kernel.display()))?;
    let ended = listen(BufReader::new(child.stdout.take().context("the kernel has no output")?), hear);
    child.wait()?;
    let complained = fs::read_to_string(&complaints).unwrap_or_default();
    fs::remove_file(init)?;
    fs::remove_file(complaints)?;
    ended.map(Some).with_context(|| format!("Linux {series} as a process:\n{}", console::tail(&complained, 20)))
}

/// Process 1 of such a machine.
fn script(program: &Path, arguments: &[String]) -> String {
    let quoted: Vec<_> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
    format!(
        "#!/bin/sh\nmount -t proc proc /proc\nmount -t sysfs sysfs /sys\necho '{BEGINS}'\n'{}' {}\necho \"{ENDED}$?\"\nexec busybox poweroff -f\n",
        program.display(),
        quoted.join(" ")
    )
}

/// Hands on what the task says; returns how it ended.
fn listen(console: impl BufRead, mut hear: impl FnMut(&str)) -> Result<bool> {
    let (mut begun, mut ended, mut said) = (false, None, String::new());
    for line in console.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if let Some(code) = line.strip_prefix(ENDED) {
            ended = Some(code == "0");
        } else if ended.is_none() && begun {
            hear(line);
        }
        begun |= line == BEGINS;
        said.extend([line, "\n"]);
    }
    ended.with_context(|| format!("it ended before its task did:\n{}", console::tail(&said, 20)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(console: &str) -> (Option<bool>, Vec<String>) {
        let mut lines = Vec::new();
        (listen(console.as_bytes(), |line| lines.push(line.to_owned())).ok(), lines)
    }

    #[test]
    fn what_the_task_says_is_told_from_what_the_kernel_says() {
        let console = format!("Linux is up\r\n{BEGINS}\r\none\r\ntwo\r\n{ENDED}0\r\nreboot: System halted\r\n");
        assert_eq!(heard(&console), (Some(true), vec!["one".to_owned(), "two".to_owned()]));
        assert_eq!(heard(&console.replace("ended: 0", "ended: 1")).0, Some(false));
        assert_eq!(heard("Linux is up\nKernel panic\n"), (None, vec![]));
    }
}

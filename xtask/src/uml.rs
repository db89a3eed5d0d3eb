//! What is proved on another kernel than this machine's, without a VM: the kernel is a process here ([`setup::user_mode`]), and sees the
//! files of this machine. It needs no rights.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
    process::{self, Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};

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

/// Runs a program of this machine, with these arguments, under the kernel of the series.
///
/// # Errors
/// Where the kernel cannot be had, or ends before the task has.
pub fn run(series: KernelSeries, program: &Path, arguments: &[String]) -> Result<ExitCode> {
    let kernel = setup::user_mode(series)?;
    let init = project::target("uml").join(format!("init-{}", process::id()));
    fs::write(&init, script(program, arguments)).with_context(|| format!("cannot write {}", init.display()))?;
    fs::set_permissions(&init, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut linux = Command::new(&kernel);
    linux.args([
        MEMORY,
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "quiet",
        "con=null",
        "con0=fd:0,fd:1",
    ]);
    linux.arg(format!("init={}", init.display()));
    // Its processes begin as copies of itself, but without the memory in which the C library lets this machine's kernel write.
    linux.env("GLIBC_TUNABLES", "glibc.pthread.rseq=0");
    let complaints = init.with_extension("log");
    linux.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&complaints)?);
    let mut child = linux.spawn().with_context(|| format!("cannot start {}", kernel.display()))?;
    let ended = listen(series, BufReader::new(child.stdout.take().context("the kernel has no output")?));
    child.wait()?;
    fs::remove_file(init)?;
    let ended = ended.with_context(|| console::tail(&fs::read_to_string(&complaints).unwrap_or_default(), 20));
    fs::remove_file(complaints)?;
    ended
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

/// Prints what the task says; returns how it ended.
fn listen(series: KernelSeries, console: impl BufRead) -> Result<ExitCode> {
    let (mut begun, mut ended, mut said) = (false, None, String::new());
    for line in console.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if let Some(code) = line.strip_prefix(ENDED) {
            ended = Some(code == "0");
        } else if ended.is_none() && begun {
            println!("{series} {line}");
        }
        begun |= line == BEGINS;
        said = format!("{said}{line}\n");
    }
    match ended {
        Some(true) => Ok(ExitCode::SUCCESS),
        Some(false) => Ok(ExitCode::FAILURE),
        None => bail!("Linux {series} as a process ended before its task did:\n{}", console::tail(&said, 20)),
    }
}

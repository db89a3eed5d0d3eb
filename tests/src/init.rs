//! Process 1: makes the machine usable, starts the job, reaps whatever is orphaned, powers off.

use std::{
    ffi::CString,
    fs, io,
    process::{Command, Stdio},
    ptr, thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{protocol::Message, report};

/// What is mounted where, in this order.
pub const MOUNTS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/dev/shm"),
    ("mqueue", "/dev/mqueue"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
    ("bpf", "/sys/fs/bpf"),
    ("tracefs", "/sys/kernel/tracing"),
    ("securityfs", "/sys/kernel/security"),
    ("cgroup2", "/sys/fs/cgroup"),
];

/// The FIFO through which process 1 is spoken to, as that of a System V init: it opens it anew for each message.
pub const CONTROL: &str = "/run/initctl";
/// Where it writes how many messages it has read.
const ANSWERS: &str = "/run/initctl.read";

/// How many messages process 1 has read.
pub fn answers() -> usize {
    fs::read_to_string(ANSWERS).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Reads one message after the other, for ever.
fn listen() -> Result<()> {
    crate::fifo::make(CONTROL)?;
    for number in 1.. {
        let message = fs::read(CONTROL).context("process 1 cannot open its FIFO")?;
        anyhow::ensure!(!message.is_empty(), "an empty message");
        fs::write(ANSWERS, number.to_string())?;
    }
    Ok(())
}

/// Runs the machine's life; the only way out is to power off.
pub fn run() -> ! {
    if let Err(error) = live() {
        eprintln!("vm-init: {error:#}");
        report::say(format!("vm-init: {error:#}"));
        report::send(&Message::Done { ok: false });
    }
    power_off()
}

fn live() -> Result<()> {
    for (kind, target) in MOUNTS {
        mount(kind, target).with_context(|| format!("cannot mount {kind} on {target}"))?;
    }
    // What the shell's process substitution, and `ls` without a terminal, expect of every machine.
    for (link, to) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        std::os::unix::fs::symlink(format!("/proc/self/{to}"), format!("/dev/{link}"))?;
    }
    fs::set_permissions("/tmp", std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
    report::raw();
    let loopback = Command::new("/bin/ip").args(["link", "set", "lo", "up"]).status()?;
    anyhow::ensure!(loopback.success(), "cannot bring up the loopback network");
    thread::spawn(|| {
        if let Err(error) = listen() {
            report::say(format!("vm-init: {error:#}"));
        }
    });
    let job = Command::new("/proc/self/exe").arg("job").stdin(Stdio::null()).spawn().context("cannot start the job")?;
    reap_until(job.id())?;
    Ok(())
}

/// Mounts a file system of this kind, on a directory that is made.
///
/// # Errors
/// Where the kernel refuses.
pub fn mount(kind: &str, target: &str) -> Result<()> {
    fs::create_dir_all(target)?;
    let (kind, target) = (CString::new(kind)?, CString::new(target)?);
    // SAFETY: both strings end in NUL and live through the call; no data is passed.
    let failed = unsafe { libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, ptr::null()) } != 0;
    if failed {
        return Err(io::Error::last_os_error().into());
    }
    Ok(())
}

/// Waits for every child, and so for every orphan, until the job has ended.
fn reap_until(job: u32) -> Result<()> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is valid for the write.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        if u32::try_from(pid) == Ok(job) {
            anyhow::ensure!(libc::WIFEXITED(status), "the job was killed (wait status {status:#x})");
            return Ok(());
        }
        if pid < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error).context("cannot wait for the job");
            }
        }
    }
}

/// Powers the machine off when all that was reported has left it.
pub fn power_off() -> ! {
    end(libc::RB_POWER_OFF)
}

/// Starts the machine anew when all that was reported has left it.
pub fn reboot() -> ! {
    end(libc::RB_AUTOBOOT)
}

fn end(how: libc::c_int) -> ! {
    report::drain();
    // SAFETY: takes nothing.
    unsafe { libc::sync() };
    // SAFETY: no memory is passed; with these arguments the call does not return to a process that may do it.
    unsafe { libc::reboot(how) };
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

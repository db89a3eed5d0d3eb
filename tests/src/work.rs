//! Processes that tests watch: `vm-init work ROLE …`.

use std::{
    ffi::CString, fs, io, os::unix::process::CommandExt as _, path::Path, process::Command, thread, time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{attack, conformance, endurance, flood, forger, preemption, quarantine, uring};

/// The program that plays the roles.
pub const PROGRAM: &str = "/bin/vm-init";

/// Plays a role.
///
/// # Errors
/// Where there is none of this name, or it cannot be played.
pub fn play(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["hammer", number, rounds] => preemption::hammer(number.parse()?, rounds.parse()?),
        ["opener", path] => flood::opener(path),
        ["forger", way] => forger::forger(way),
        ["guarded"] => forger::opener(),
        ["idler", path] => preemption::idler(path),
        [role @ ("great-grandparent" | "grandparent" | "parent")] => conformance::above(role),
        ["attack", part, name] => attack::play(part, name),
        ["attack-open", path] => attack::open(path),
        ["actor"] => conformance::actor(),
        ["ring-opener", way] => uring::opener(way),
        ["ring-taker", way, request] => quarantine::taker(way, request),
        ["sender", way] => quarantine::sender(way),
        ["victim", way] => quarantine::victim(way),
        ["pump", operations] => endurance::pump(operations.parse()?),
        ["as", user, program, rest @ ..] => bail!("cannot start {program}: {}", as_user(user.parse()?, program, rest)),
        ["first", program, rest @ ..] => first(program, rest),
        ["take", way] => quarantine::take(way),
        _ => bail!("no such role: {arguments:?}"),
    }
}

/// Runs a program as a user, in the place of this process; why that failed.
fn as_user(user: u32, program: &str, arguments: &[&str]) -> io::Error {
    Command::new(program).args(arguments).uid(user).gid(user).exec()
}

/// Where [`first`] says what the host calls the process that it started.
pub const NAMESPACED: &str = "/tmp/namespaced";

/// Starts a program as process 1 of a pid namespace, and waits for its end.
fn first(program: &str, arguments: &[&str]) -> Result<()> {
    // SAFETY: takes a number; what this process starts from here on is in the namespace.
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
        return Err(io::Error::last_os_error()).context("unshare");
    }
    let mut child = Command::new(program).args(arguments).spawn()?;
    fs::write(NAMESPACED, child.id().to_string())?;
    child.wait()?;
    Ok(())
}

/// Names the calling thread, as rules see it in `process.comm`.
///
/// # Errors
/// Where the name holds a NUL.
pub fn name_thread(name: &str) -> Result<()> {
    let name = CString::new(name)?;
    // SAFETY: the string ends in NUL and lives through the call.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    Ok(())
}

/// Waits until a file is there: how a test and its processes keep step without a pipe of their own.
pub fn wait_for(path: &Path) {
    while !path.exists() {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Writes a file that another process waits for: it appears whole.
///
/// # Errors
/// Where it cannot be written.
pub fn announce(path: &Path, content: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content).with_context(|| format!("cannot write {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
}

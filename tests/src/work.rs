//! What the processes that tests watch are written with; [`roles`](crate::roles) lists them.

use std::{ffi::CString, fs, io, path::Path, process::Command, thread, time::Duration};

use anyhow::{Context, Result};

/// The program that plays the roles.
pub const PROGRAM: &str = "/bin/vm-init";

/// Where [`first`] says what the host calls the process that it started.
pub const NAMESPACED: &str = "/tmp/namespaced";

/// The role: starts a program as process 1 of a pid namespace, and waits for its end.
///
/// # Errors
/// Where the kernel refuses the namespace, or the program does not start.
pub fn first(program: &str, arguments: &[&str]) -> Result<()> {
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

//! What an ordinary user does.

use std::{fs, io, os::unix::fs::PermissionsExt as _, thread};

use anyhow::{Context, Result, anyhow, ensure};

use crate::fifo;

/// Does something as this user: in a thread of its own, for credentials are a thread's to the kernel.
///
/// # Errors
/// That of the work, or where the user cannot be changed.
pub fn does(uid: u32, work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let act = move || {
        // The C library would change the user of all threads.
        // SAFETY: takes three numbers.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
        ensure!(changed == 0, "user {uid}: {}", io::Error::last_os_error());
        work()
    };
    thread::scope(|scope| scope.spawn(act).join().map_err(|_| anyhow!("the work of user {uid} panicked"))?)
}

/// Makes a FIFO that everybody may open.
///
/// # Errors
/// The kernel's.
pub fn fifo_for_all(path: &str) -> Result<()> {
    fifo::remake(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).context("the FIFO cannot be given to all")
}

/// Opens the FIFO so often as this user.
///
/// # Errors
/// The kernel's.
pub fn opens(uid: u32, path: &str, times: usize) -> Result<()> {
    does(uid, || Ok((0..times).try_for_each(|_| fifo::open(path).map(drop))?))
}

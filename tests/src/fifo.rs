//! FIFOs and pipes, one system call at a time.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io,
    os::fd::FromRawFd as _,
    path::Path,
};

/// Makes a FIFO, mode 600.
///
/// # Errors
/// The kernel's.
pub fn make(path: &str) -> io::Result<()> {
    let path = CString::new(path)?;
    // SAFETY: the string ends in NUL and lives through the call.
    match unsafe { libc::mkfifo(path.as_ptr(), 0o600) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes a FIFO in the place of whatever is there.
///
/// # Errors
/// The kernel's.
pub fn remake(path: &str) -> io::Result<()> {
    fs::remove_file(path).ok();
    if let Some(parent) = Path::new(path).parent() {
        fs::create_dir_all(parent)?;
    }
    make(path)
}

/// Opens both ends at once: never waits.
///
/// # Errors
/// The kernel's.
pub fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// An anonymous pipe: the reading and the writing end.
///
/// # Errors
/// The kernel's.
pub fn pipe() -> io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors are new, open, and nobody else's.
    Ok(unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) })
}

/// Whether an operation was refused as a rule refuses it.
pub fn is_refused<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
}

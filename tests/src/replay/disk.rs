//! The disk that outlives the reboots of these VMs.

use std::{
    fs::{self, File},
    io::Write as _,
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Where it is mounted.
pub const DISK: &str = "/disk";
/// A line for each start of the host.
const BOOTS: &str = "/disk/boots";

/// Mounts it, and counts one more start.
///
/// # Errors
/// Where there is none.
pub fn mount() -> Result<()> {
    fs::create_dir_all(DISK)?;
    let status = Command::new("/bin/mount").args(["-t", "ext4", "/dev/nvme0n1", DISK]).status()?;
    ensure!(status.success(), "mount ended with {status}");
    let before = fs::read_to_string(BOOTS).unwrap_or_default();
    keep(BOOTS, &format!("{before}start\n"))
}

/// How often this host has started.
///
/// # Errors
/// Where the disk is not mounted.
pub fn boots() -> Result<usize> {
    Ok(fs::read_to_string(BOOTS).context(BOOTS)?.lines().count())
}

/// Writes a file that is on the disk before this returns.
///
/// # Errors
/// Where it cannot be written.
pub fn keep(path: &str, text: &str) -> Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(File::open(DISK)?.sync_all()?)
}

//! A file as the kernel side knows it.

use std::{
    fs,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
};

use anyhow::{Context, Result};
use sensor_common::brakes::FileKey;

/// A file as the kernel side knows it: by the device of its file system, which is not what `stat` says on btrfs.
///
/// # Errors
/// The file system, or `/proc`, does not tell.
pub fn key(file: &fs::File) -> Result<FileKey> {
    let metadata = file.metadata()?;
    let descriptor = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let mount = descriptor.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim).unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let device = device_of(&mounts, mount)
        .or_else(|| device(u64::from(libc::major(metadata.dev())), u64::from(libc::minor(metadata.dev()))));
    let device = device.context("the device of its file system is not known")?;
    Ok(FileKey { inode: metadata.ino(), device, padding: 0 })
}

/// The device of a mount, from the text of `/proc/self/mountinfo`.
fn device_of(mounts: &str, id: &str) -> Option<u32> {
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(id))?;
    let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
    device(major.parse().ok()?, minor.parse().ok()?)
}

/// The kernel's `dev_t`.
fn device(major: u64, minor: u64) -> Option<u32> {
    u32::try_from(major << 20 | minor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_that_of_the_mount() {
        let mounts = "21 1 0:19 / /sys rw - sysfs sysfs rw\n28 1 259:2 /sub / rw,relatime - btrfs /dev/x rw\n";
        assert_eq!(device_of(mounts, "28"), Some(259 << 20 | 2));
        assert_eq!(device_of(mounts, "2"), None);
    }
}

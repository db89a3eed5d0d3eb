//! The kernel's own file systems that the sensor needs: mounted where they are not yet.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use rustix::{
    fs::statfs,
    mount::{MountFlags, mount},
};

use crate::log::say;

/// One of them.
#[derive(Debug)]
pub struct FileSystem {
    kind: &'static str,
    place: &'static str,
    /// How statfs(2) calls it.
    magic: u64,
}

/// Where maps, links and programs are pinned.
pub const BPF: FileSystem = FileSystem { kind: "bpf", place: "/sys/fs/bpf", magic: 0xcafe_4a11 };
/// Where the kernel describes its tracepoints.
pub const TRACEFS: FileSystem = FileSystem { kind: "tracefs", place: "/sys/kernel/tracing", magic: 0x7472_6163 };

impl FileSystem {
    /// Where it is mounted.
    pub const fn place(&self) -> &'static str {
        self.place
    }

    /// The command that mounts it.
    pub fn advice(&self) -> String {
        format!("mount -t {kind} {kind} {place}", kind = self.kind, place = self.place)
    }

    /// Sees to it that `path`, which need not be there, is on it: mounts it in its place where that is above.
    ///
    /// # Errors
    /// What to do, where it is another place, or mounting it is not permitted here.
    pub fn provide(&self, path: &Path) -> Result<()> {
        if self.holds(path) {
            return Ok(());
        }
        if !path.starts_with(self.place) {
            bail!(
                "{} is not on a file system of the kind {}: choose a path below {}, or mount one there",
                path.display(),
                self.kind,
                self.place
            );
        }
        let mounted =
            mount(self.kind, self.place, self.kind, MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None);
        match mounted.map_err(io::Error::from) {
            Ok(()) => say(format_args!("{} was not mounted on {}, and is now", self.kind, self.place)),
            Err(error) => bail!(
                "{} is not mounted on {}, and cannot be mounted from here ({error}): {}",
                self.kind,
                self.place,
                self.advice()
            ),
        }
        Ok(())
    }

    /// Whether `path`, or what of it is there, is on this file system.
    fn holds(&self, path: &Path) -> bool {
        let mut there: PathBuf = path.to_owned();
        while there.symlink_metadata().is_err() && there.pop() {}
        statfs(&there).is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| kind == self.magic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_cannot_be_one_line_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let error = BPF.provide(&directory.path().join("pins")).unwrap_err();
        let words = format!("{error:#}");
        assert!(words.contains("below /sys/fs/bpf") && !words.contains('\n'), "{words}");
        assert_eq!(BPF.advice(), "mount -t bpf bpf /sys/fs/bpf");
    }
}

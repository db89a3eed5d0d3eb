//! When a file of events is put aside, under which name, and how many of those are kept.

use std::{
    ffi::OsString,
    fs, io,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// The longest a file becomes, bytes; `None`: any length.
    pub size: Option<u64>,
    /// The longest a file is written to; `None`: any time.
    pub age: Option<Duration>,
    /// How many files that were put aside are kept.
    pub keep: NonZeroU32,
}

impl Rotation {
    /// Files are never put aside.
    pub const NEVER: Self = Self { size: None, age: None, keep: NonZeroU32::MIN };

    /// Whether a file of this length and age is put aside before `more` bytes are added. An empty one never is.
    pub fn is_due(&self, length: u64, age: Duration, more: u64) -> bool {
        let is_full = self.size.is_some_and(|size| length.saturating_add(more) > size);
        let is_old = self.age.is_some_and(|limit| age >= limit);
        length > 0 && (is_full || is_old)
    }
}

/// The name of the file that was put aside last (1), or so many times ago.
pub fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// Puts the file aside as number 1. Those before move on by one, as far as there is no gap; the oldest of
/// `keep` makes room. Interrupted at any step, it leaves a gap that the next time fills.
///
/// # Errors
/// When a name cannot be changed: the file may still have its own.
pub fn put_aside(path: &Path, keep: NonZeroU32) -> io::Result<()> {
    // Where there is nothing to put aside, nothing moves.
    path.symlink_metadata()?;
    let gap = (1..keep.get()).find(|number| !is_there(&aside(path, *number))).unwrap_or(keep.get());
    for number in (1..gap).rev() {
        fs::rename(aside(path, number), aside(path, number + 1))?;
    }
    fs::rename(path, aside(path, 1))
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_move_on_by_one_up_to_a_gap_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        let keep = NonZeroU32::new(3).unwrap();
        let held = || [1, 2, 3, 4].map(|number| fs::read_to_string(aside(&path, number)).unwrap_or_default());
        for text in ["a", "b", "c", "d"] {
            fs::write(&path, text).unwrap();
            put_aside(&path, keep).unwrap();
        }
        assert_eq!(held(), ["d", "c", "b", ""]);
        // What an interrupted rotation left.
        fs::remove_file(aside(&path, 2)).unwrap();
        fs::write(&path, "e").unwrap();
        put_aside(&path, keep).unwrap();
        assert_eq!(held(), ["e", "d", "b", ""]);
        assert!(put_aside(&path, keep).is_err(), "there is nothing to put aside");
        assert_eq!(held().concat().len(), 3, "and nothing is lost by that");
    }

    #[test]
    fn size_and_age_decide_and_an_empty_file_stays() {
        let hour = Duration::from_hours(1);
        let rotation = Rotation { size: Some(100), age: Some(hour), ..Rotation::NEVER };
        assert!(!rotation.is_due(90, Duration::ZERO, 10) && rotation.is_due(91, Duration::ZERO, 10));
        assert!(rotation.is_due(1, hour, 1) && !rotation.is_due(0, hour, 1000));
        assert!(!Rotation::NEVER.is_due(u64::MAX, Duration::MAX, 1));
    }
}

//! When a file of events is put aside, under which name, and how many of those are kept.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io, iter,
    num::NonZeroU32,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The limits of a file of events, and how many old ones are kept.
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

/// The file that a name leads to, which need not be there: where the last of its symbolic links points to.
pub fn followed(path: &Path) -> PathBuf {
    // As many links as the kernel follows.
    let ends = iter::successors(Some(path.to_owned()), |at| {
        let to = fs::read_link(at).ok()?;
        Some(at.parent().unwrap_or(Path::new("/")).join(to))
    });
    ends.take(41).last().unwrap_or_default()
}

/// The files that were put aside, the last first: also those that are more than are kept now.
pub fn put_aside_before(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name() else { return Vec::new() };
    let directory = path.parent().filter(|directory| *directory != Path::new("")).unwrap_or(Path::new("."));
    let number = |found: OsString| -> Option<u32> {
        let end = found.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b".")?;
        str::from_utf8(end).ok()?.parse().ok()
    };
    let found = fs::read_dir(directory).into_iter().flatten().flatten();
    let numbers: BTreeSet<_> = found.filter_map(|entry| number(entry.file_name())).collect();
    numbers.into_iter().map(|number| aside(path, number)).collect()
}

/// Puts the file aside as number 1. Those before move on by one, as far as there is no gap; the oldest of
/// `keep` makes room. Interrupted at any step, it leaves a gap that the next time fills. Where more were kept
/// before, the others go.
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
    fs::rename(path, aside(path, 1))?;
    remove_more_than(path, keep);
    Ok(())
}

/// Removes what follows the last that is kept without a gap: what has another number is somebody else's.
fn remove_more_than(path: &Path, keep: NonZeroU32) {
    let end =
        (keep.get().saturating_add(1)..u32::MAX).find(|number| !is_there(&aside(path, *number))).unwrap_or(u32::MAX);
    // The last first: interrupted, it leaves no gap. One that cannot be removed is tried again the next time.
    (keep.get().saturating_add(1)..end).rev().for_each(|number| drop(fs::remove_file(aside(path, number))));
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
    fn where_fewer_are_kept_than_before_the_others_go_and_strangers_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        let keep = |keep| NonZeroU32::new(keep).unwrap();
        for text in ["a", "b", "c", "d", "e"] {
            fs::write(&path, text).unwrap();
            put_aside(&path, keep(7)).unwrap();
        }
        fs::write(aside(&path, 20_261_130), "a stranger's").unwrap();
        fs::write(&path, "f").unwrap();
        put_aside(&path, keep(2)).unwrap();
        let names = put_aside_before(&path);
        assert_eq!(names, [1, 2, 20_261_130].map(|number| aside(&path, number)));
        assert_eq!(fs::read_to_string(aside(&path, 2)).unwrap(), "e");
    }

    #[test]
    fn names_lead_to_files_that_need_not_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink("two", at("one")).unwrap();
        std::os::unix::fs::symlink(at("three"), at("two")).unwrap();
        assert_eq!([at("one"), at("three")].map(|path| followed(&path)), [at("three"), at("three")]);
        std::os::unix::fs::symlink("round", at("round")).unwrap();
        assert_eq!(followed(&at("round")), at("round"), "it ends");
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

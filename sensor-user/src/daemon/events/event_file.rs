//! A file of events: opened where it has its name, put aside when it is due, opened anew when somebody else
//! has moved it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use serde::Deserialize;

use super::{
    lines::Lines,
    output::Output,
    rotation::{self, Rotation},
};
use crate::log::say;

/// How much of a file is read from its end to find its last event, bytes: many times the longest line.
const TAIL: u64 = 1 << 20;
/// How much is written at once, bytes: a file is put aside between two writes.
const CHUNK: usize = 64 << 10;
/// How often it is looked whether the name still is the file's.
const LOOK: Duration = Duration::from_secs(1);
/// How long after a file could not be put aside it is tried again.
const AGAIN: Duration = Duration::from_mins(1);

/// An open file of events.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    rotation: Rotation,
    /// `None` until it could be opened.
    open: Option<Open>,
    looked: Instant,
    /// Not put aside before.
    postponed: Option<Instant>,
    /// It was moved, and no new one could be made: it is written on where it is now.
    is_astray: bool,
}

#[derive(Debug)]
struct Open {
    lines: Lines,
    begun: SystemTime,
    /// Device and inode.
    identity: (u64, u64),
}

impl EventFile {
    /// The file at `path`, not opened yet.
    pub fn new(path: &Path, rotation: Rotation) -> Self {
        Self { path: path.to_owned(), rotation, open: None, looked: Instant::now(), postponed: None, is_astray: false }
    }

    /// The number of the last event that the daemon before wrote, here or into the last file that was put aside
    /// and holds one.
    pub fn last_event(&self) -> Option<u64> {
        let path = rotation::followed(&self.path);
        let before = rotation::put_aside_before(&path);
        [path].iter().chain(&before).find_map(|path| last_event(&tail(path)))
    }

    /// The file, open under its name, with room for `more` bytes.
    fn ready(&mut self, more: usize) -> io::Result<&mut Lines> {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            if self.has_been_moved() {
                self.make_anew()?;
            }
        }
        if self.is_due(more as u64) {
            self.rotate();
        }
        if self.open.is_none() {
            self.reopen()?;
        }
        let open = self.open.as_mut().ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut open.lines)
    }

    /// Opens the file that has the name now. Where that cannot be, the one that had it is written on, as long as
    /// it can be found anywhere: an event in a file that was moved is not lost.
    fn make_anew(&mut self) -> io::Result<()> {
        let Err(error) = self.reopen() else { return Ok(()) };
        if !self.open.as_ref().is_some_and(|open| open.lines.file().metadata().is_ok_and(|file| file.nlink() > 0)) {
            // What is written into it is nowhere.
            self.open = None;
            return Err(error);
        }
        if !std::mem::replace(&mut self.is_astray, true) {
            let path = self.path.display();
            say(format_args!(
                "WARNING: {path} was moved and cannot be made anew: what was moved is written on: {error}"
            ));
        }
        Ok(())
    }

    /// Whether the name is another file's now, or nobody's.
    fn has_been_moved(&self) -> bool {
        let Some(open) = &self.open else { return false };
        std::fs::metadata(&self.path).map_or(true, |named| (named.dev(), named.ino()) != open.identity)
    }

    fn is_due(&self, more: u64) -> bool {
        let Some(open) = &self.open else { return false };
        let Ok(metadata) = open.lines.file().metadata() else { return false };
        let age = open.begun.elapsed().unwrap_or_default();
        metadata.is_file()
            && !open.lines.is_torn()
            && self.postponed.is_none_or(|until| Instant::now() >= until)
            && self.rotation.is_due(metadata.len(), age, more)
    }

    /// Puts the file aside and begins a new one; where that cannot be, goes on with this one. Of a symbolic
    /// link it is the file that it points to, and stays beside that: there is the room for it.
    fn rotate(&mut self) {
        let path = rotation::followed(&self.path);
        let done = rotation::put_aside(&path, self.rotation.keep).and_then(|()| {
            // On a full disk there may be no room for a new one: whoever comes next looks for half a line
            // under this name only.
            self.reopen().inspect_err(|_| drop(std::fs::rename(rotation::aside(&path, 1), &path)))
        });
        self.postponed = done.is_err().then(|| Instant::now() + AGAIN);
        if let Err(error) = done {
            say(format_args!("WARNING: {} cannot be put aside and grows on: {error}", self.path.display()));
        }
    }
}

impl Output for EventFile {
    fn write(&mut self, lines: &[Arc<str>]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < lines.len() {
            let chunk = chunk(&lines[written..]);
            let (count, result) = match self.ready(chunk.iter().map(|line| line.len() + 1).sum()) {
                Ok(output) => output.write(chunk),
                Err(error) => (0, Err(error)),
            };
            written += count;
            if result.is_err() {
                return (written, result);
            }
        }
        (written, Ok(()))
    }

    fn write_after_gap(&mut self, line: &str, say: &mut dyn FnMut()) -> io::Result<()> {
        self.ready(line.len() + 1)?.write_after_gap(line, say)
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.open = Some(Open::append_to(&self.path)?);
        self.is_astray = false;
        Ok(())
    }
}

impl Open {
    /// The file at `path`, made if it is not there, readable by its owner only.
    fn append_to(path: &Path) -> io::Result<Self> {
        // A FIFO that nobody reads is no reason to wait.
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(nonblocking).open(path)?;
        fcntl_setfl(file.as_fd(), fcntl_getfl(file.as_fd())? - OFlags::NONBLOCK)?;
        let metadata = file.metadata()?;
        Ok(Self {
            lines: Lines::after(file, &tail(path))?,
            begun: metadata.created().unwrap_or_else(|_| SystemTime::now()),
            identity: (metadata.dev(), metadata.ino()),
        })
    }
}

/// The first lines: as many as are written at once, and one at least.
fn chunk(lines: &[Arc<str>]) -> &[Arc<str>] {
    let mut size = 0;
    let fit = lines.iter().take_while(|line| {
        size += line.len() + 1;
        size <= CHUNK
    });
    &lines[..fit.count().max(1)]
}

/// The end of the file; nothing where that cannot be read, or is no file.
fn tail(path: &Path) -> Vec<u8> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // To open a FIFO would be more than to look at it.
        if std::fs::metadata(path)?.is_file() {
            let mut file = File::open(path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
            file.take(TAIL).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    };
    read().unwrap_or_default()
}

/// The number of the last event whose whole line is there.
fn last_event(tail: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    let mut lines = tail.split_inclusive(|byte| *byte == b'\n').rev().filter(|line| line.ends_with(b"\n"));
    lines.find_map(|line| serde_json::from_slice::<Numbered>(line).ok()).map(|event| event.seq)
}

#[cfg(test)]
mod tests {
    use std::{fs, num::NonZeroU32, os::unix::fs::PermissionsExt};

    use super::*;

    fn write(file: &mut EventFile, lines: &[&str]) {
        let lines: Vec<Arc<str>> = lines.iter().map(|line| (*line).into()).collect();
        let (written, result) = file.write(&lines);
        result.unwrap();
        assert_eq!(written, lines.len());
    }

    #[test]
    fn a_file_tells_how_far_the_daemon_before_came() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let last = |text: &str| {
            fs::write(&path, text).unwrap();
            EventFile::new(&path, Rotation::NEVER).last_event()
        };
        assert_eq!(last(""), None);
        assert_eq!(last("{\"seq\":7,\"time\":\"x\"}\n{\"seq\":8}\n"), Some(8));
        // Killed in the middle of a line: its event is not there.
        assert_eq!(last("{\"seq\":8}\n{\"seq\":9,\"ti"), Some(8));
        assert_eq!(last("{\"seq\":8}\n{\"seq\":9,\"ti\n"), Some(8));
        assert_eq!(last("{\"seq\":9,\"ti"), None);
        // Killed between the two steps of a rotation, or before the first event after it.
        fs::write(rotation::aside(&path, 1), "{\"seq\":6}\n").unwrap();
        assert_eq!(last("{\"seq\":9,\"ti"), Some(6));
        fs::remove_file(&path).unwrap();
        assert_eq!(EventFile::new(&path, Rotation::NEVER).last_event(), Some(6));
        // The last ones hold nothing that can be read.
        fs::write(rotation::aside(&path, 1), "{\"seq\":9,\"ti").unwrap();
        fs::write(rotation::aside(&path, 3), "{\"seq\":5}\n").unwrap();
        assert_eq!(EventFile::new(&path, Rotation::NEVER).last_event(), Some(5));
    }

    /// The time for a look at the name has come.
    fn look_next(file: &mut EventFile) {
        file.looked = file.looked.checked_sub(LOOK).unwrap();
    }

    #[test]
    fn a_file_is_for_its_owner_only_and_put_aside_by_size() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let keep = NonZeroU32::new(2).unwrap();
        let mut file = EventFile::new(&path, Rotation { size: Some(20), age: None, keep });
        for line in ["0123456789", "abcdefghi", "next", "0123456789abcdefghi-longer-than-allowed", "last"] {
            write(&mut file, &[line]);
        }
        let held = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(held(&path), "last\n");
        assert_eq!(held(&rotation::aside(&path, 1)), "0123456789abcdefghi-longer-than-allowed\n");
        assert_eq!(held(&rotation::aside(&path, 2)), "abcdefghi\nnext\n");
        assert!(!rotation::aside(&path, 3).exists());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_is_put_aside_by_age() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let age = Some(Duration::from_hours(1));
        let mut file = EventFile::new(&path, Rotation { size: None, age, keep: NonZeroU32::MIN });
        write(&mut file, &["one"]);
        let open = file.open.as_mut().unwrap();
        open.begun = open.begun.checked_sub(Duration::from_hours(1)).unwrap();
        write(&mut file, &["two"]);
        assert_eq!(fs::read_to_string(rotation::aside(&path, 1)).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn what_a_symbolic_link_points_to_is_put_aside_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let (path, large) = (directory.path().join("events"), directory.path().join("large"));
        fs::create_dir(&large).unwrap();
        let target = large.join("events-there");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let mut file = EventFile::new(&path, Rotation { size: Some(15), age: None, keep: NonZeroU32::MIN });
        write(&mut file, &["{\"seq\":1}", "{\"seq\":2}"]);
        write(&mut file, &["{\"seq\":3}"]);
        assert_eq!(fs::read_to_string(rotation::aside(&target, 1)).unwrap(), "{\"seq\":1}\n{\"seq\":2}\n");
        assert_eq!(fs::read_to_string(&target).unwrap(), "{\"seq\":3}\n");
        assert!(path.is_symlink() && !rotation::aside(&path, 1).exists());
        // Killed before a new one was made.
        fs::remove_file(&target).unwrap();
        assert_eq!(EventFile::new(&path, Rotation::NEVER).last_event(), Some(2));
    }

    #[test]
    fn while_a_file_that_was_moved_cannot_be_made_anew_it_is_written_on() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("events"), directory.path().join("moved"));
        let mut file = EventFile::new(&path, Rotation::NEVER);
        write(&mut file, &["one"]);
        fs::rename(&path, &moved).unwrap();
        fs::create_dir(&path).unwrap();
        look_next(&mut file);
        write(&mut file, &["two"]);
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        // Where nobody would find it, it is lost, and that is known.
        fs::remove_file(&moved).unwrap();
        look_next(&mut file);
        assert_eq!(file.write(&["lost".into()]).0, 0);
        assert_eq!(file.write(&["lost as well".into()]).0, 0);
        fs::remove_dir(&path).unwrap();
        look_next(&mut file);
        write(&mut file, &["three"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("events"), directory.path().join("moved"));
        let mut file = EventFile::new(&path, Rotation::NEVER);
        write(&mut file, &["one"]);
        fs::rename(&path, &moved).unwrap();
        // By order, at once.
        file.reopen().unwrap();
        write(&mut file, &["two"]);
        assert_eq!(
            (fs::read_to_string(&moved).unwrap(), fs::read_to_string(&path).unwrap()),
            ("one\n".into(), "two\n".into())
        );
        // By itself, within a second.
        fs::remove_file(&path).unwrap();
        look_next(&mut file);
        write(&mut file, &["three"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_opened_once_it_can() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("later/events");
        let mut file = EventFile::new(&path, Rotation::NEVER);
        let (written, result) = file.write(&["lost".into()]);
        assert_eq!((written, result.unwrap_err().kind()), (0, io::ErrorKind::NotFound));
        fs::create_dir(directory.path().join("later")).unwrap();
        write(&mut file, &["there"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "there\n");
    }

    #[test]
    fn nobody_who_reads_a_fifo_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let mut file = EventFile::new(&path, Rotation::NEVER);
        assert_eq!(file.write(&["lost".into()]).0, 0);
        let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        write(&mut file, &["read"]);
        let mut read = [0; 5];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"read\n");
    }
}

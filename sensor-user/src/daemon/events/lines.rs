//! Whole lines in a file: of one that does not fit on a disk, or in which a daemon was killed, nothing stays.

use std::{
    fs::File,
    io::{self, Write},
    sync::Arc,
};

/// What each line of ours begins with.
const BEGINNING: &[u8] = b"{\"seq\":";

/// A file that gets whole lines only.
#[derive(Debug)]
pub struct Lines {
    file: File,
    /// Whether it has a length that can be changed.
    is_regular: bool,
    /// How much of half a line stands at its end and could not be taken away, bytes.
    half: usize,
}

impl Lines {
    /// Goes on in a file that is open for appending and ends with `tail`.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn after(file: File, tail: &[u8]) -> io::Result<Self> {
        let mut lines = Self { is_regular: file.metadata()?.is_file(), file, half: 0 };
        let half = half_line(tail);
        // What somebody else wrote stays.
        let is_ours = half.starts_with(BEGINNING) || BEGINNING.starts_with(half);
        let is_whole = half.is_empty() || is_ours && lines.takes_away(half.len());
        lines.half = if is_whole { 0 } else { half.len() };
        Ok(lines)
    }

    /// The file.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Writes lines, without their ends, each whole or not at all; how many, and why not all.
    pub fn write(&mut self, lines: &[Arc<str>]) -> (usize, io::Result<()>) {
        let head = self.head();
        let text: String = [head].into_iter().chain(lines.iter().flat_map(|line| [&**line, "\n"])).collect();
        let (done, result) = write_all(&mut self.file, text.as_bytes());
        let ends = self.note(&text.as_bytes()[..done]);
        (ends.saturating_sub(head.len()), result)
    }

    /// Writes the first line after some that are missing, and says that they are once there is room for it, but
    /// before it is whole. A daemon that is killed before has left half a line: the next one takes that away,
    /// and finds the lines missing itself.
    ///
    /// # Errors
    /// When the line cannot be written; they may have been said to be missing then.
    pub fn write_after_gap(&mut self, line: &str, say: &mut dyn FnMut()) -> io::Result<()> {
        let text = format!("{}{line}\n", self.head());
        let (half, end) = text.as_bytes().split_at(text.len() - 1);
        let (mut done, mut result) = write_all(&mut self.file, half);
        if result.is_ok() {
            say();
            let (ended, is_ended) = write_all(&mut self.file, end);
            (done, result) = (done + ended, is_ended);
        }
        self.note(&text.as_bytes()[..done]);
        result
    }

    /// What comes before the next line: a line end, where half a line cannot be taken away. It is not ours, or
    /// in a file that only grows.
    const fn head(&self) -> &'static str {
        if self.half > 0 { "\n" } else { "" }
    }

    /// Notes what was written, and takes half a line at its end away; how many line ends it has.
    fn note(&mut self, done: &[u8]) -> usize {
        let ends = done.split(|byte| *byte == b'\n').count() - 1;
        if ends > 0 {
            self.half = 0;
        }
        let half = half_line(done).len();
        if half > 0 && !self.takes_away(half) {
            self.half += half;
        }
        ends
    }

    /// Whether half a line stands at the end.
    pub const fn is_torn(&self) -> bool {
        self.half > 0
    }

    /// Takes the last bytes away; whether that was possible. It needs no room on the disk.
    fn takes_away(&self, bytes: usize) -> bool {
        let cut = || -> io::Result<()> {
            let length = self.file.metadata()?.len();
            self.file.set_len(length.saturating_sub(bytes as u64))
        };
        self.is_regular && cut().is_ok()
    }
}

/// What stands behind the last line end.
fn half_line(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)..]
}

/// Writes all of it, or the beginning; how much, and why not all.
fn write_all(output: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut done = 0;
    while done < bytes.len() {
        match output.write(&bytes[done..]) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, OpenOptions},
        path::Path,
    };

    use super::*;

    fn after(path: &Path) -> Lines {
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        Lines::after(file, &fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn half_a_line_of_ours_is_taken_away_and_what_is_not_ours_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        let gone_on = |before: &str| {
            fs::write(&path, before).unwrap();
            let (written, result) = after(&path).write(&["x".into()]);
            result.unwrap();
            assert_eq!(written, 1);
            fs::read_to_string(&path).unwrap()
        };
        assert_eq!(gone_on("{\"seq\":8}\n{\"seq\":9,\"ti"), "{\"seq\":8}\nx\n");
        assert_eq!(gone_on("{\"se"), "x\n");
        assert_eq!(gone_on("a\n"), "a\nx\n");
        assert_eq!(gone_on("no line end"), "no line end\nx\n");
    }

    #[test]
    fn where_half_a_line_cannot_be_taken_away_it_is_ended_before_the_next() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut lines = Lines::after(File::from(std::os::fd::OwnedFd::from(writer)), b"{\"seq\":1").unwrap();
        assert!(lines.is_torn());
        assert_eq!(lines.write(&["a".into(), "b".into()]).0, 2);
        assert_eq!(lines.write(&["c".into()]).0, 1);
        drop(lines);
        let mut read = String::new();
        io::Read::read_to_string(&mut reader, &mut read).unwrap();
        assert_eq!(read, "\na\nb\nc\n");
    }

    #[test]
    fn what_is_missing_is_said_before_the_next_line_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        fs::write(&path, "{\"seq\":8}\n").unwrap();
        let mut lines = after(&path);
        let mut found = String::new();
        lines.write_after_gap("{\"seq\":12}", &mut || found = fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(found, "{\"seq\":8}\n{\"seq\":12}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"seq\":8}\n{\"seq\":12}\n");
        // Killed there, a daemon leaves what the next one takes away.
        fs::write(&path, found).unwrap();
        let _ = after(&path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"seq\":8}\n");
    }

    #[test]
    fn what_is_missing_is_not_said_while_there_is_no_room() {
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut lines = Lines::after(file, b"").unwrap();
        let result = lines.write_after_gap("{\"seq\":12}", &mut || panic!("there is no room"));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}

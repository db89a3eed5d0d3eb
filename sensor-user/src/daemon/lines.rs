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
        // A line end, where half a line cannot be taken away: what is not ours, or from a file that only grows.
        let head = if self.half > 0 { "\n" } else { "" };
        let text: String = [head].into_iter().chain(lines.iter().flat_map(|line| [&**line, "\n"])).collect();
        let (done, result) = write_all(&mut self.file, text.as_bytes());
        let done = &text.as_bytes()[..done];
        let ends = done.split(|byte| *byte == b'\n').count() - 1;
        if ends > 0 {
            self.half = 0;
        }
        let half = half_line(done).len();
        if half > 0 && !self.takes_away(half) {
            self.half += half;
        }
        (ends.saturating_sub(head.len()), result)
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
}

//! Where events are written, one line each: files and standard output.
//!
//! A sink has a thread of its own: a disk that hangs, or a reader that does not read, must not hold up the daemon. A file tells how far
//! the daemon before came: by the number of its last event.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use anyhow::Context;
use serde::Deserialize;

use crate::log::say;

/// How many lines a sink may be behind before lines are lost (and counted).
pub const BACKLOG: usize = 16_384;
/// How much of a file is read from its end to find its last event, bytes: many times the longest line.
const TAIL: u64 = 1 << 20;

/// One place where events are written.
#[derive(Debug)]
pub struct Sink {
    name: String,
    /// The number of the last event that the daemon before wrote here, where that is known.
    last: Option<u64>,
    lines: SyncSender<Arc<str>>,
    lost: Arc<AtomicU64>,
    writer: JoinHandle<()>,
}

impl Sink {
    /// A sink that appends to the file at `path`, made if it is not there, readable by its owner only; `-` is standard output. A line
    /// that a daemon was killed in is ended.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        if path == Path::new("-") {
            return Ok(Self::new("standard output".into(), io::stdout())?);
        }
        let context = || format!("events cannot be written to {}: choose another file with --events", path.display());
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).with_context(context)?;
        let tail = tail(path);
        if tail.last().is_some_and(|byte| *byte != b'\n') {
            file.write_all(b"\n").with_context(context)?;
        }
        Ok(Self { last: last_event(&tail), ..Self::new(path.display().to_string(), file)? })
    }

    /// A sink that writes to `output`, called `name` in messages.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(name: String, output: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, lines) = sync_channel(BACKLOG);
        let lost = Arc::new(AtomicU64::new(0));
        let (counter, own) = (Arc::clone(&lost), name.clone());
        let writer = thread::Builder::new()
            .name("sink".into())
            .spawn(move || write_all(&own, BufWriter::new(output), &lines, &counter))?;
        Ok(Self { name, last: None, lines: sender, lost, writer })
    }

    /// As messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the last event that the daemon before wrote here; `None` where there is none, or it cannot be known.
    pub const fn last(&self) -> Option<u64> {
        self.last
    }

    /// Hands over a line, without its end; counts it as lost where the sink is too far behind.
    pub fn offer(&mut self, line: &Arc<str>) {
        if self.lines.try_send(Arc::clone(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were not written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until all lines are written.
    pub fn close(self) {
        drop(self.lines);
        // A writer that panicked has written what it could.
        let _ = self.writer.join();
    }
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

/// Writes lines as they come, and flushes when there are no more for the moment.
fn write_all(name: &str, mut output: impl Write, lines: &Receiver<Arc<str>>, lost: &AtomicU64) {
    let mut failing = false;
    while let Ok(first) = lines.recv() {
        let mut batch = vec![first];
        batch.extend(lines.try_iter().take(1024));
        let written: io::Result<()> =
            batch.iter().try_for_each(|line| writeln!(output, "{line}")).and_then(|()| output.flush());
        match written {
            Ok(()) => failing = false,
            Err(error) => {
                lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                if !failing {
                    say(format_args!("events cannot be written to {name}: {error}; `creance status` counts the loss"));
                }
                failing = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc};

    use super::*;

    #[test]
    fn appends_lines_to_a_file_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        for line in ["one", "two"] {
            let mut sink = Sink::open(&path).unwrap();
            sink.offer(&line.into());
            sink.close();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_tells_how_far_the_daemon_before_came() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let last = |text: &str| {
            fs::write(&path, text).unwrap();
            let sink = Sink::open(&path).unwrap();
            let last = sink.last();
            sink.close();
            last
        };
        assert_eq!(last(""), None);
        assert_eq!(last("{\"seq\":7,\"time\":\"x\"}\n{\"seq\":8}\n"), Some(8));
        // Killed in the middle of a line: the event is not there, and what follows has a line of its own.
        assert_eq!(last("{\"seq\":8}\n{\"seq\":9,\"ti"), Some(8));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"seq\":8}\n{\"seq\":9,\"ti\n");
        assert_eq!(last("{\"seq\":8}\n{\"seq\":9,\"ti\n"), Some(8));
        assert_eq!(last("{\"seq\":9,\"ti"), None);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = Sink::open(Path::new("/nonexistent/events")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/events"), "{error}");
    }

    /// Writes nothing until it is let go.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_sink_holds_nobody_up_and_its_loss_is_counted() {
        let (let_go, stuck) = mpsc::channel();
        let mut sink = Sink::new("stuck".into(), Stuck(stuck)).unwrap();
        let line: Arc<str> = "x".repeat(100).into();
        for _ in 0..2 * BACKLOG {
            sink.offer(&line);
        }
        // The writer holds one batch at most, the queue BACKLOG lines; the rest is lost.
        assert!(sink.lost() >= (BACKLOG - 1025) as u64, "{}", sink.lost());
        drop(let_go);
        sink.close();
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_counted() {
        let mut sink = Sink::new("full".into(), Full).unwrap();
        sink.offer(&"x".repeat(10_000).into());
        let lost = Arc::clone(&sink.lost);
        sink.close();
        assert_eq!(lost.load(Ordering::Relaxed), 1);
    }
}

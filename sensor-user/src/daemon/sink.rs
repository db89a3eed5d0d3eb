//! Where events are written, one line each: files and standard output.
//!
//! A sink has a thread of its own: a disk that hangs, or a reader that does not read, must not hold up the daemon.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use anyhow::Context;

use crate::log::say;

/// How many lines a sink may be behind before lines are lost (and counted).
pub const BACKLOG: usize = 16_384;

/// One place where events are written.
#[derive(Debug)]
pub struct Sink {
    lines: SyncSender<Arc<str>>,
    lost: Arc<AtomicU64>,
    writer: JoinHandle<()>,
}

impl Sink {
    /// A sink that appends to the file at `path`, made if it is not there, readable by its owner only; `-` is standard output.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        if path == Path::new("-") {
            return Ok(Self::new("standard output".into(), io::stdout())?);
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).with_context(|| {
            format!("events cannot be written to {}: choose another file with --events", path.display())
        })?;
        Ok(Self::new(path.display().to_string(), file)?)
    }

    /// A sink that writes to `output`, called `name` in messages.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(name: String, output: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, lines) = sync_channel(BACKLOG);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        let writer = thread::Builder::new()
            .name("sink".into())
            .spawn(move || write_all(&name, BufWriter::new(output), &lines, &counter))?;
        Ok(Self { lines: sender, lost, writer })
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

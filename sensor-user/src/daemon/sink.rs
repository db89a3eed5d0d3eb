//! Where events are written, one line each: files and standard output.
//!
//! A sink has a thread of its own: a disk that hangs, or a reader that does not read, must not hold up the
//! daemon. What cannot be written is counted, and is no reason to end or not to start. A file tells how far
//! the daemon before came: by the number of its last event.

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

pub use super::output::Output;
use super::{event_file::EventFile, lines::Lines, rotation::Rotation};
use crate::log::say;

/// How many lines a sink may be behind before lines are lost (and counted).
pub const BACKLOG: usize = 16_384;
/// How many lines are written at once.
const BATCH: usize = 1024;

/// One place where events are written.
#[derive(Debug)]
pub struct Sink {
    name: String,
    /// The number of the last event that the daemon before wrote here, where that is known.
    last: Option<u64>,
    orders: SyncSender<Order>,
    shared: Arc<Shared>,
    writer: JoinHandle<()>,
}

/// What the writer is told.
#[derive(Debug)]
enum Order {
    /// Write this.
    Line(Arc<str>),
    /// Look what else there is to do.
    Wake,
}

/// What a sink and its writer share.
#[derive(Debug, Default)]
struct Shared {
    lost: AtomicU64,
    reopen: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Sink {
    /// A sink that appends to the file at `path`, made if it is not there, and puts it aside as `rotation`
    /// says; `-` is standard output. A file that cannot be opened is said, and opened once it can be.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        if path == Path::new("-") {
            let output = Lines::after(File::from(io::stdout().as_fd().try_clone_to_owned()?), b"")?;
            return Self::new("standard output".into(), output);
        }
        let mut file = EventFile::new(path, rotation);
        let last = file.last_event();
        let opened = file.reopen();
        let sink = Self::new(path.display().to_string(), file)?;
        sink.shared.judge(&sink.name, opened);
        Ok(Self { last, ..sink })
    }

    /// A sink that writes to `output`, called `name` in messages.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(name: String, output: impl Output + 'static) -> io::Result<Self> {
        let (orders, received) = sync_channel(BACKLOG);
        let shared = Arc::<Shared>::default();
        let (own, own_name) = (Arc::clone(&shared), name.clone());
        let writer =
            thread::Builder::new().name("sink".into()).spawn(move || write_all(&own_name, output, &received, &own))?;
        Ok(Self { name, last: None, orders, shared, writer })
    }

    /// As messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the last event that the daemon before wrote here; `None` where there is none, or it
    /// cannot be known.
    pub const fn last(&self) -> Option<u64> {
        self.last
    }

    /// Hands over a line, without its end; counts it as lost where the sink is too far behind.
    pub fn offer(&mut self, line: &Arc<str>) {
        if self.orders.try_send(Order::Line(Arc::clone(line))).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets the writer open its file anew.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Relaxed);
        // Where there is no place in the queue, the writer will look anyway.
        let _ = self.orders.try_send(Order::Wake);
    }

    /// How many lines were not written.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Why lines are not written now, if so.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }

    /// Waits until all lines are written.
    pub fn close(self) {
        drop(self.orders);
        // A writer that panicked has written what it could.
        let _ = self.writer.join();
    }
}

impl Shared {
    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes whether something could be written, and says it where that is new; whether it is well again.
    fn judge(&self, name: &str, result: io::Result<()>) -> bool {
        let words = result.err().map(|error| format!("events cannot be written to {name}: {error}"));
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(words) = words.as_ref().filter(|_| trouble.is_none()) {
            say(format_args!("WARNING: {words}; it is tried again, and `creance status` counts the loss"));
        }
        let is_over = trouble.is_some() && words.is_none();
        *trouble = words;
        is_over
    }
}

/// Says what was lost since the last time; how much that is in all.
fn say_lost(name: &str, said: u64, lost: u64) -> u64 {
    let new = lost.saturating_sub(said);
    if new > 0 {
        say(format_args!("WARNING: {new} events were not written to {name}: their numbers are missing there"));
    }
    lost
}

/// Writes lines as they come.
fn write_all(name: &str, mut output: impl Output, orders: &Receiver<Order>, shared: &Shared) {
    let lost = || shared.lost.load(Ordering::Relaxed);
    let mut said = 0;
    while let Ok(first) = orders.recv() {
        let lines: Vec<_> = [first].into_iter().chain(orders.try_iter().take(BATCH)).filter_map(Order::line).collect();
        let has_caught_up = lines.len() < BATCH;
        if shared.reopen.swap(false, Ordering::Relaxed)
            && let Err(error) = output.reopen()
        {
            shared.judge(name, Err(error));
        }
        if lines.is_empty() {
            continue;
        }
        let (written, result) = output.write(&lines);
        shared.lost.fetch_add((lines.len() - written) as u64, Ordering::Relaxed);
        let is_well = result.is_ok();
        let is_well_again = shared.judge(name, result);
        // Not in the middle: a daemon that is killed then leaves the count to the next one, which finds the last line.
        if is_well && (is_well_again || has_caught_up) {
            said = say_lost(name, said, lost());
        }
    }
    say_lost(name, said, lost());
}

impl Order {
    fn line(self) -> Option<Arc<str>> {
        match self {
            Self::Line(line) => Some(line),
            Self::Wake => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc};

    use super::*;

    #[test]
    fn appends_lines_and_opens_its_file_anew_when_told() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("events.jsonl"), directory.path().join("moved"));
        let mut sink = Sink::open(&path, Rotation::NEVER).unwrap();
        sink.offer(&"one".into());
        while fs::read_to_string(&path).unwrap().is_empty() {
            thread::yield_now();
        }
        fs::rename(&path, &moved).unwrap();
        sink.reopen();
        sink.offer(&"two".into());
        sink.close();
        let mut sink = Sink::open(&path, Rotation::NEVER).unwrap();
        sink.offer(&"three".into());
        sink.close();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\nthree\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named_and_keeps_nobody_from_starting() {
        let mut sink = Sink::open(Path::new("/nonexistent/events"), Rotation::NEVER).unwrap();
        assert!(sink.trouble().unwrap().contains("/nonexistent/events"));
        sink.offer(&"x".into());
        let shared = Arc::clone(&sink.shared);
        sink.close();
        assert_eq!(shared.lost.load(Ordering::Relaxed), 1);
    }

    /// Writes nothing until it is let go.
    struct Stuck(mpsc::Receiver<()>);

    impl Output for Stuck {
        fn write(&mut self, lines: &[Arc<str>]) -> (usize, io::Result<()>) {
            let _ = self.0.recv();
            (lines.len(), Ok(()))
        }

        fn reopen(&mut self) -> io::Result<()> {
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
        sink.reopen();
        // The writer holds one batch at most, the queue BACKLOG lines; the rest is lost.
        assert!(sink.lost() >= (BACKLOG - BATCH - 1) as u64, "{}", sink.lost());
        drop(let_go);
        sink.close();
    }

    /// Has room for so many lines.
    struct Full(usize);

    impl Output for Full {
        fn write(&mut self, lines: &[Arc<str>]) -> (usize, io::Result<()>) {
            let written = lines.len().min(self.0);
            self.0 -= written;
            (written, if written < lines.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) })
        }

        fn reopen(&mut self) -> io::Result<()> {
            self.0 = 10;
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_counted_to_the_line_and_shown_until_there_is_room() {
        let mut sink = Sink::new("full".into(), Full(3)).unwrap();
        (0..5).for_each(|_| sink.offer(&"x".into()));
        while sink.lost() < 2 {
            thread::yield_now();
        }
        while sink.trouble().is_none() {
            thread::yield_now();
        }
        sink.reopen();
        sink.offer(&"x".into());
        while sink.trouble().is_some() {
            thread::yield_now();
        }
        let shared = Arc::clone(&sink.shared);
        sink.close();
        assert_eq!(shared.lost.load(Ordering::Relaxed), 2);
    }
}

//! Where events are written, one line each: files and standard output.
//!
//! A sink has a thread of its own: a disk that hangs, or a reader that does not read, must not hold up the
//! daemon. What cannot be written is counted, and is no reason to end or not to start. A file tells how far
//! the daemon before came: by the number of its last event.

use std::{
    fs::File,
    io,
    ops::RangeInclusive,
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
/// Why lines are missing.
const LOST: &str = "they could not be written, or came faster than they could be";

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
    /// Write this event's line.
    Line(u64, Arc<str>),
    /// Look what else there is to do.
    Wake,
}

/// What a sink and its writer share.
#[derive(Debug, Default)]
struct Shared {
    lost: AtomicU64,
    /// The number of the last event that was handed over.
    offered: AtomicU64,
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
        let writer = Writer { name: own_name, output, shared: own, next: None };
        let writer = thread::Builder::new().name("sink".into()).spawn(move || writer.run(&received))?;
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

    /// Hands over an event's line, without its end; counts it as lost where the sink is too far behind.
    pub fn offer(&mut self, seq: u64, line: &Arc<str>) {
        self.shared.offered.store(seq, Ordering::Relaxed);
        if self.orders.try_send(Order::Line(seq, Arc::clone(line))).is_err() {
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

    /// Notes whether something could be written, and says it where that is new.
    fn judge(&self, name: &str, result: io::Result<()>) {
        let words = result.err().map(|error| format!("events cannot be written to {name}: {error}"));
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(words) = words.as_ref().filter(|_| trouble.is_none()) {
            say(format_args!("WARNING: {words}; it is tried again, and `creance status` counts the loss"));
        }
        *trouble = words;
    }
}

/// Says which events are missing where they should be written.
pub fn say_missing(name: &str, numbers: RangeInclusive<u64>, why: &str) {
    let (first, last) = numbers.into_inner();
    let count = last - first + 1;
    say(format_args!("WARNING: {count} events from {first} to {last} are not in {name}: {why}"));
}

/// The thread that writes.
struct Writer<O> {
    name: String,
    output: O,
    shared: Arc<Shared>,
    /// The number of the first event that is neither written nor said to be missing, once there is one.
    next: Option<u64>,
}

impl<O: Output> Writer<O> {
    /// Writes lines as they come.
    fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(first) = orders.recv() {
            let (numbers, lines): (Vec<_>, Vec<_>) =
                [first].into_iter().chain(orders.try_iter().take(BATCH)).filter_map(Order::line).unzip();
            if self.shared.reopen.swap(false, Ordering::Relaxed)
                && let Err(error) = self.output.reopen()
            {
                self.shared.judge(&self.name, Err(error));
            }
            if lines.is_empty() {
                continue;
            }
            let (written, result) = self.write(&numbers, &lines);
            self.shared.lost.fetch_add((lines.len() - written) as u64, Ordering::Relaxed);
            self.shared.judge(&self.name, result);
        }
        let last = self.shared.offered.load(Ordering::Relaxed);
        if let Some(next) = self.next.filter(|next| *next <= last) {
            say_missing(&self.name, next..=last, LOST);
        }
    }

    /// Writes the lines of these events; how many, and why not all. No line comes after missing ones before
    /// those are said: what comes after the last line is all that the next daemon has to find, where this one
    /// is killed.
    fn write(&mut self, numbers: &[u64], lines: &[Arc<str>]) -> (usize, io::Result<()>) {
        let mut done = 0;
        while done < lines.len() {
            let next = *self.next.get_or_insert(numbers[done]);
            let (count, result) = if numbers[done] > next {
                let result = self.write_after_gap(next, numbers[done], &lines[done]);
                (usize::from(result.is_ok()), result)
            } else {
                let run = numbers[done..].chunk_by(|one, other| one + 1 == *other).next().unwrap_or_default();
                self.output.write(&lines[done..done + run.len()])
            };
            done += count;
            if count > 0 {
                self.next = Some(numbers[done - 1] + 1);
            }
            if result.is_err() {
                return (done, result);
            }
        }
        (done, Ok(()))
    }

    /// Writes the line of the event `seq`, where those from `missing` on are missing.
    fn write_after_gap(&mut self, missing: u64, seq: u64, line: &str) -> io::Result<()> {
        let Self { name, output, next, .. } = self;
        output.write_after_gap(line, &mut || {
            say_missing(name, missing..=seq - 1, LOST);
            *next = Some(seq);
        })
    }
}

impl Order {
    fn line(self) -> Option<(u64, Arc<str>)> {
        match self {
            Self::Line(seq, line) => Some((seq, line)),
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
        sink.offer(1, &"one".into());
        while fs::read_to_string(&path).unwrap().is_empty() {
            thread::yield_now();
        }
        fs::rename(&path, &moved).unwrap();
        sink.reopen();
        sink.offer(2, &"two".into());
        sink.close();
        let mut sink = Sink::open(&path, Rotation::NEVER).unwrap();
        sink.offer(3, &"three".into());
        sink.close();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\nthree\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named_and_keeps_nobody_from_starting() {
        let mut sink = Sink::open(Path::new("/nonexistent/events"), Rotation::NEVER).unwrap();
        assert!(sink.trouble().unwrap().contains("/nonexistent/events"));
        sink.offer(1, &"x".into());
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

        fn write_after_gap(&mut self, _: &str, say: &mut dyn FnMut()) -> io::Result<()> {
            say();
            Ok(())
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
        for seq in 0..2 * BACKLOG {
            sink.offer(seq as u64, &line);
        }
        sink.reopen();
        // The writer holds one batch at most, the queue BACKLOG lines; the rest is lost.
        assert!(sink.lost() >= (BACKLOG - BATCH - 1) as u64, "{}", sink.lost());
        drop(let_go);
        sink.close();
    }

    /// Has room for so many lines, and keeps them.
    struct Full(usize, Arc<Mutex<Vec<String>>>);

    impl Output for Full {
        fn write(&mut self, lines: &[Arc<str>]) -> (usize, io::Result<()>) {
            let written = lines.len().min(self.0);
            self.0 -= written;
            self.1.lock().unwrap().extend(lines[..written].iter().map(ToString::to_string));
            (written, if written < lines.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) })
        }

        fn write_after_gap(&mut self, line: &str, say: &mut dyn FnMut()) -> io::Result<()> {
            if self.0 > 0 {
                say();
                self.1.lock().unwrap().push("said".into());
            }
            self.write(&[line.into()]).1
        }

        fn reopen(&mut self) -> io::Result<()> {
            self.0 = 10;
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_counted_to_the_line_and_shown_until_there_is_room() {
        let written = Arc::<Mutex<Vec<String>>>::default();
        let mut sink = Sink::new("full".into(), Full(3, Arc::clone(&written))).unwrap();
        (1..=5).for_each(|seq| sink.offer(seq, &"x".into()));
        while sink.lost() < 2 {
            thread::yield_now();
        }
        while sink.trouble().is_none() {
            thread::yield_now();
        }
        sink.reopen();
        sink.offer(6, &"x".into());
        while sink.trouble().is_some() {
            thread::yield_now();
        }
        let shared = Arc::clone(&sink.shared);
        sink.close();
        assert_eq!(shared.lost.load(Ordering::Relaxed), 2);
        // Before what comes after it is there.
        assert_eq!(*written.lock().unwrap(), ["x", "x", "x", "said", "x"]);
    }
}

//! What the sensor costs, in guest instructions per operation: on a machine whose clock counts instructions.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{fifo, protocol::Message, report, rules, sensor::Launch};

/// How often each operation is measured; the figure is the median.
const SAMPLES: usize = 301;
const FIFO: &str = "/home/user/measured-fifo";
const SHARED_FIFO: &str = "/tmp/measured-fifo";
const PLAIN: &str = "/home/user/measured-file";
/// What is written: a line as programs log it, again and again.
const LINE: &[u8] = b"2026-11-30T18:44:00Z worker[4711] request 8842 took 17 ms, 3 rows, status 200\n";

/// Measures without the sensor and, in the same boot, with it and the shipped rules.
///
/// # Errors
/// Where an operation or the sensor fails.
pub fn measure() -> Result<()> {
    thread::sleep(Duration::from_secs(2));
    report::send(&Message::Measured { sensor: false, instructions: all()? });
    let sensor = Launch::directory(rules::SHIPPED).start()?;
    // The guest's clock counts instructions: this is a time in which it comes to rest, not one that passes here.
    thread::sleep(Duration::from_secs(2));
    report::send(&Message::Measured { sensor: true, instructions: all()? });
    let reports = sensor.lines()?.len();
    anyhow::ensure!(
        reports == 0,
        "the operations made {reports} reports: they are not the harmless ones to be measured"
    );
    sensor.stop()
}

type Operation<'a> = (&'static str, Box<dyn FnMut() -> io::Result<()> + 'a>);

fn all() -> Result<BTreeMap<String, f64>> {
    let deep = format!("/tmp{}/measured-fifo", "/d".repeat(40));
    for path in [FIFO, SHARED_FIFO, &deep] {
        fifo::remake(path)?;
    }
    fs::write(PLAIN, "x")?;
    let mut plain = File::open(PLAIN)?;
    // Both ends are held open, so that opening one does not wait for the other.
    let (_both, mut shared, _deep) = (fifo::open(FIFO)?, fifo::open(SHARED_FIFO)?, fifo::open(&deep)?);
    let (mut here, mut there) = UnixStream::pair()?;
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name("measured")?)?;
    let queue = MessageQueue::new()?;
    let operations: [Operation<'_>; 18] = [
        ("getpid", Box::new(getpid)),
        ("pipe write+read 1 byte", through_a_pipe(1)?),
        ("pipe write+read 64 bytes", through_a_pipe(64)?),
        ("pipe write+read 256 bytes", through_a_pipe(256)?),
        ("pipe write+read 4096 bytes", through_a_pipe(4096)?),
        ("pipe2+close", Box::new(|| fifo::pipe().map(drop))),
        ("unix send+receive 1 byte", Box::new(move || here.write_all(b"x").and_then(|()| there.read_exact(&mut [0])))),
        ("unix connect+accept", Box::new(move || connect(&listener))),
        ("SysV msgsnd+msgrcv", Box::new(move || queue.pass_on())),
        ("kill with signal 0", Box::new(signal_nothing)),
        ("fork+exec", Box::new(|| Command::new("/bin/true").status().map(drop))),
        ("FIFO open+close", Box::new(|| File::open(FIFO).map(drop))),
        ("FIFO open+close in /tmp", Box::new(|| File::open(SHARED_FIFO).map(drop))),
        ("FIFO open+close below 40 directories", Box::new(|| File::open(&deep).map(drop))),
        (
            "FIFO write+read 1 byte in /tmp",
            Box::new(move || shared.write_all(b"x").and_then(|()| shared.read_exact(&mut [0]))),
        ),
        ("mkfifo+unlink", Box::new(|| fifo::make("/home/user/made").and_then(|()| fs::remove_file("/home/user/made")))),
        ("plain file open+close", Box::new(|| File::open(PLAIN).map(drop))),
        ("plain file read", Box::new(move || plain.read(&mut [0; 1]).map(drop))),
    ];
    let nothing = median(&mut || Ok(()))?;
    operations
        .into_iter()
        .map(|(name, mut operation)| {
            let cost = median(&mut *operation).with_context(|| name)?;
            Ok((name.to_owned(), cost - nothing))
        })
        .collect()
}

/// So many bytes of text into a pipe and out of it.
fn through_a_pipe(bytes: usize) -> Result<Box<dyn FnMut() -> io::Result<()>>> {
    let (mut reader, mut writer) = fifo::pipe()?;
    let text: Vec<u8> = LINE.iter().copied().cycle().take(bytes).collect();
    let mut read = vec![0; bytes];
    Ok(Box::new(move || writer.write_all(&text).and_then(|()| reader.read_exact(&mut read))))
}

fn median(operation: &mut dyn FnMut() -> io::Result<()>) -> Result<f64> {
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let start = Instant::now();
        operation()?;
        samples.push(start.elapsed().as_nanos());
    }
    samples.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand instructions")]
    Ok(samples[SAMPLES / 2] as f64)
}

fn connect(listener: &UnixListener) -> io::Result<()> {
    let client = UnixStream::connect_addr(&listener.local_addr()?)?;
    listener.accept().map(|server| drop((client, server)))
}

/// A private System V message queue, removed when dropped.
struct MessageQueue(i32);

impl MessageQueue {
    fn new() -> io::Result<Self> {
        // SAFETY: takes numbers.
        let id = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
        if id < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(id)) }
    }

    /// A message into it and out of it.
    fn pass_on(&self) -> io::Result<()> {
        let mut message = [1_u64, 0];
        // SAFETY: the message is a type of 8 bytes and a text of at least the one byte given.
        let failed = unsafe {
            libc::msgsnd(self.0, message.as_ptr().cast(), 1, 0) < 0
                || libc::msgrcv(self.0, message.as_mut_ptr().cast(), 1, 0, 0) < 0
        };
        if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Drop for MessageQueue {
    fn drop(&mut self) {
        // SAFETY: takes numbers; removing reads no memory.
        unsafe { libc::msgctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

fn signal_nothing() -> io::Result<()> {
    // SAFETY: takes numbers.
    match unsafe { libc::kill(1, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The system call, which the library might answer from memory.
fn getpid() -> io::Result<()> {
    // SAFETY: takes nothing.
    let pid = unsafe { libc::syscall(libc::SYS_getpid) };
    if pid > 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

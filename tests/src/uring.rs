//! What is blocked or killed is so too where the process lets `io_uring` do it.

use std::{
    ffi::CString,
    fs,
    io::Write as _,
    os::{
        fd::AsRawFd as _,
        unix::{net::UnixListener, process::ExitStatusExt as _},
    },
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};
use io_uring::{opcode, types::Fd};

use crate::{
    conformance::unix::Address,
    fifo,
    protocol::Table,
    report,
    ring::{Ring, Way},
    rules::{self, Draft},
    shared,
    suite::{Boot, Test},
    work,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "uring::what_is_blocked_is_refused_there_too", boot: Boot::Plain, run: refused },
    Test { name: "uring::kill_ends_the_process_whose_request_it_is", boot: Boot::Plain, run: killed },
];

const GUARDED: &str = "/tmp/guarded-from-rings";
const SOCKET: &str = "/tmp/guarded-from-rings.socket";
const GUARD: Draft<'_> = Draft::block(
    "guard",
    &["fifo.open", "fifo.write", "fifo.read", "unix.connect"],
    "path.startsWith('/tmp/guarded-from-rings')",
);

/// Opens the guarded FIFO: the descriptor, below 0 an error number.
fn open(ring: &mut Ring) -> Result<i32> {
    let name = CString::new(GUARDED)?;
    ring.run(opcode::OpenAt::new(Fd(libc::AT_FDCWD), name.as_ptr()).flags(libc::O_RDWR).build())
}

fn connect(ring: &mut Ring, address: &Address) -> Result<i32> {
    // SAFETY: takes three numbers.
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    ensure!(socket >= 0, "socket: {}", std::io::Error::last_os_error());
    let result = ring.run(opcode::Connect::new(Fd(socket), address.start(), address.1).build());
    // SAFETY: the descriptor is ours, and not used again.
    unsafe { libc::close(socket) };
    result
}

fn refused() -> Result<()> {
    fifo::remake(GUARDED)?;
    let mut both = fifo::open(GUARDED)?;
    // Of an empty FIFO the kernel waits until there is something to read, and only then asks whether it may be read.
    both.write_all(b"before")?;
    let fd = Fd(both.as_raw_fd());
    fs::remove_file(SOCKET).ok();
    let _listener = UnixListener::bind(SOCKET)?;
    let address = Address::path(Path::new(SOCKET));
    let sensor = shared::enforcing(vec![rules::file("guard.yaml", &[GUARD])])?;
    for way in Way::ALL {
        let mut ring = Ring::new(way)?;
        let mut room = [0; 1];
        for (event, result) in [
            ("fifo.open", open(&mut ring)?),
            ("fifo.write", ring.run(opcode::Write::new(fd, b"x".as_ptr(), 1).build())?),
            ("fifo.read", ring.run(opcode::Read::new(fd, room.as_mut_ptr(), 1).build())?),
            ("unix.connect", connect(&mut ring, &address)?),
        ] {
            ensure!(result == -libc::EPERM, "{event} by io_uring{} returned {result}", way.words());
            report::fact(Table::Stops, &format!("block `{event}` by `io_uring`{}", way.words()), "denied");
        }
    }
    let reports = sensor.reports()?;
    for event in GUARD.events {
        let denied = reports.iter().filter(|report| report["event"] == *event && report["outcome"] == "denied").count();
        ensure!(denied == Way::ALL.len(), "{denied} reports say that {event} was denied: {reports:#?}");
    }
    shared::park(sensor);
    Ok(())
}

/// The role: opens the guarded FIFO.
///
/// # Errors
/// The kernel's.
pub fn opener(way: &str) -> Result<()> {
    let opened = open(&mut Ring::new(Way::from_name(way)?)?)?;
    ensure!(opened >= 0, "the request: {}", std::io::Error::from_raw_os_error(-opened));
    Ok(())
}

fn killed() -> Result<()> {
    fifo::remake(GUARDED)?;
    let deadly = Draft { id: "deadly", action: "kill", events: &["fifo.open"], ..GUARD };
    let sensor = shared::enforcing(vec![rules::file("kill.yaml", &[deadly])])?;
    for way in Way::ALL {
        let before = sensor.lines()?.len();
        let mut opener = Command::new(work::PROGRAM);
        let mut opener = opener.args(["work", "ring-opener", way.name()]).stdin(Stdio::null()).spawn()?;
        let (pid, status) = (opener.id(), opener.wait()?);
        ensure!(status.signal() == Some(libc::SIGKILL), "{way:?}: the process ended with {status}");
        let reports = sensor.reports()?.split_off(before);
        ensure!(reports.len() == 1 && reports[0]["outcome"] == "killed", "{way:?}: {reports:#?}");
        ensure!(reports[0]["process"]["pid"] == pid, "{way:?}: not process {pid}: {:#}", reports[0]);
        report::fact(Table::Stops, &format!("kill by `io_uring`{}", way.words()), "killed");
    }
    shared::park(sensor);
    Ok(())
}

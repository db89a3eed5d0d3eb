//! A rule on a unix socket means the socket, however it is spelled.

use std::{
    env, fs, io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{
            fs::symlink,
            net::{UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::Path,
    ptr, thread,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    conformance::{call::call, unix::Address},
    fifo::is_refused,
    protocol::Table,
    report,
    rules::{self, Draft},
    sensor::Sensor,
    shared,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "sockets::no_spelling_leads_round_a_rule_on_connections", boot: Boot::Plain, run: connections },
    Test { name: "sockets::no_spelling_leads_round_a_rule_on_datagrams", boot: Boot::Plain, run: datagrams },
    Test { name: "sockets::no_spelling_leads_round_a_rule_on_their_files", boot: Boot::Plain, run: files },
    Test { name: "sockets::connections_by_modify_return", boot: Boot::WithoutBpf, run: connections },
    Test { name: "sockets::datagrams_by_modify_return", boot: Boot::WithoutBpf, run: datagrams },
    Test { name: "sockets::their_files_by_modify_return", boot: Boot::WithoutBpf, run: files },
    Test { name: "sockets::every_spelling_is_observed", boot: Boot::Observe, run: observed },
];

/// Where the guarded sockets lie.
const DIRECTORY: &str = "/run/guarded";

/// Names of a file in [`DIRECTORY`], from there.
fn spellings(name: &str) -> [String; 6] {
    [
        format!("{DIRECTORY}/{name}"),
        format!("/run//guarded/{name}"),
        format!("/run/lock/../guarded/{name}"),
        format!("/proc/self/root{DIRECTORY}/{name}"),
        format!("/tmp/to-guarded/{name}"),
        name.to_owned(),
    ]
}

/// Its name where [`elsewhere`] has mounted [`DIRECTORY`] once more.
fn through_a_mount(name: &str) -> String {
    format!("/tmp/seen-from-elsewhere/{name}")
}

/// Makes the directories; the path of a socket that is not there yet.
fn prepare(name: &str) -> Result<String> {
    for new in [DIRECTORY, "/run/lock", "/tmp/seen-from-elsewhere"] {
        fs::create_dir_all(new)?;
    }
    fs::remove_file("/tmp/to-guarded").ok();
    symlink(DIRECTORY, "/tmp/to-guarded")?;
    let path = format!("{DIRECTORY}/{name}");
    fs::remove_file(&path).ok();
    Ok(path)
}

/// Does something in a thread with a working directory and mounts of its own.
fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let alone = || {
        call!(unshare(libc::CLONE_FS | libc::CLONE_NEWNS))?;
        let flags = libc::MS_REC | libc::MS_PRIVATE;
        call!(mount(ptr::null(), c"/".as_ptr(), ptr::null(), flags, ptr::null()))?;
        let (from, to) = (c"/run/guarded".as_ptr(), c"/tmp/seen-from-elsewhere".as_ptr());
        call!(mount(from, to, ptr::null(), libc::MS_BIND, ptr::null()))?;
        env::set_current_dir(DIRECTORY)?;
        work()
    };
    thread::spawn(alone).join().unwrap_or_else(|_| bail!("it panicked"))
}

type Attempt = fn(&Path) -> io::Result<()>;

fn connect(path: &Path) -> io::Result<()> {
    UnixStream::connect(path).map(drop)
}

fn connect_for_packets(path: &Path) -> io::Result<()> {
    let (socket, address) = (packets()?, Address::path(path));
    // SAFETY: an open descriptor, and an address that is as long as is said.
    match unsafe { libc::connect(socket.as_raw_fd(), address.start(), address.1) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn send_to(path: &Path) -> io::Result<()> {
    UnixDatagram::unbound()?.send_to(b"x", path).map(drop)
}

fn connect_for_datagrams(path: &Path) -> io::Result<()> {
    UnixDatagram::unbound()?.connect(path)
}

fn bind(path: &Path) -> io::Result<()> {
    UnixListener::bind(path).map(drop)
}

/// A socket for sequenced packets, of which the standard library knows nothing.
fn packets() -> io::Result<OwnedFd> {
    // SAFETY: takes three numbers.
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, open, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

/// What waits for connections; all of them fit into its queue.
fn listener_for_packets(path: &str) -> Result<OwnedFd> {
    let (socket, address) = (packets()?, Address::path(Path::new(path)));
    call!(bind(socket.as_raw_fd(), address.start(), address.1))?;
    call!(listen(socket.as_raw_fd(), 16))?;
    Ok(socket)
}

/// A rule that blocks this event of the socket `name`.
fn guard(event: &str, name: &str) -> Vec<sensor_rules::Source> {
    let condition = format!("path == '{DIRECTORY}/{name}'");
    vec![rules::file("guard.yaml", &[Draft::block("guard", &[event], &condition)])]
}

/// Tries these names: how each ended.
fn tried(names: Vec<String>, attempt: Attempt) -> Result<Vec<(String, io::Result<()>)>> {
    let each = move |name: String| {
        let result = attempt(Path::new(&name));
        (name, result)
    };
    elsewhere(move || Ok(names.into_iter().map(each).collect()))
}

/// Every spelling, and one through another mount.
fn all_names(name: &str) -> Vec<String> {
    spellings(name).into_iter().chain([through_a_mount(name)]).collect()
}

/// All of them are refused, and reported with the path of the file and with what was typed when it was bound.
fn all_refused(sensor: &Sensor, names: Vec<String>, attempt: Attempt) -> Result<()> {
    let (before, count) = (sensor.lines()?.len(), names.len());
    for (name, result) in tried(names, attempt)? {
        ensure!(is_refused(&result), "{name} ends with {result:?}, not EPERM");
    }
    let reports = sensor.reports()?.split_off(before);
    let denied = reports.iter().filter(|report| report["outcome"] == "denied").count();
    ensure!(denied == count && reports.len() == count, "{denied} denied, not {count}: {reports:#?}");
    Ok(())
}

fn connections() -> Result<()> {
    let (streams, queue) = (UnixListener::bind(prepare("stream")?)?, listener_for_packets(&prepare("packets")?)?);
    let sensor = shared::enforcing(guard("unix.connect", "stream"))?;
    all_refused(&sensor, all_names("stream"), connect)?;
    connect_for_packets(Path::new("/run/guarded/packets")).context("another socket")?;
    sensor.push(guard("unix.connect", "packets"))?;
    all_refused(&sensor, all_names("packets"), connect_for_packets)?;
    connect(Path::new("/run/guarded/stream")).context("another socket")?;
    report::fact(Table::Stops, "block `unix.connect`, whatever the path is called", "denied");
    drop((streams, queue));
    shared::park(sensor);
    Ok(())
}

fn datagrams() -> Result<()> {
    let receiver = UnixDatagram::bind(prepare("datagrams")?)?;
    let sensor = shared::enforcing(guard("unix.datagram", "datagrams"))?;
    all_refused(&sensor, all_names("datagrams"), send_to)?;
    all_refused(&sensor, all_names("datagrams"), connect_for_datagrams)?;
    receiver.set_nonblocking(true)?;
    let arrived = receiver.recv(&mut [0; 1]);
    ensure!(arrived.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock), "a datagram arrived");
    sensor.push(guard("unix.datagram", "others"))?;
    send_to(Path::new("/run/guarded/datagrams")).context("another socket")?;
    ensure!(receiver.recv(&mut [0; 1])? == 1, "what is allowed does not arrive");
    report::fact(Table::Stops, "block `unix.datagram`, whatever the path is called", "denied");
    shared::park(sensor);
    Ok(())
}

fn files() -> Result<()> {
    let path = prepare("made")?;
    let sensor = shared::enforcing(guard("unix.create", "made"))?;
    // Not through the other mount: there the file that is made has another path.
    all_refused(&sensor, spellings("made").to_vec(), bind)?;
    ensure!(!Path::new(&path).exists(), "the file was made all the same");
    report::fact(Table::Stops, "block `unix.create`, whatever the path is called", "denied");
    prepare("relative")?;
    let watch = Draft::alert("watch", &["unix.bind"], "path == '/run/guarded/relative' && address == 'relative'");
    sensor.push(vec![rules::file("watch.yaml", &[watch])])?;
    let before = sensor.lines()?.len();
    for (name, result) in tried(vec!["relative".to_owned()], bind)? {
        result.context(name)?;
    }
    let reports = sensor.reports()?.split_off(before);
    ensure!(reports.len() == 1, "{reports:#?}");
    shared::park(sensor);
    Ok(())
}

fn observed() -> Result<()> {
    let (_listener, _receiver) = (UnixListener::bind(prepare("stream")?)?, UnixDatagram::bind(prepare("datagrams")?)?);
    let attempts: [(&str, &str, Attempt); 2] =
        [("unix.connect", "stream", connect), ("unix.datagram", "datagrams", send_to)];
    let sensor = shared::sensor(vec![rules::file("none.yaml", &[rules::NONE])])?;
    for (event, name, attempt) in attempts {
        sensor.push(guard(event, name))?;
        let before = sensor.lines()?.len();
        let results = tried(all_names(name), attempt)?;
        for (name, result) in &results {
            ensure!(result.is_ok(), "{name}: {result:?}");
        }
        let reports = sensor.reports()?.split_off(before);
        let fits = reports.iter().all(|report| report["event"] == event && report["outcome"] == "not_enforcing");
        ensure!(fits && reports.len() == results.len(), "{event}: {reports:#?}");
    }
    shared::park(sensor);
    Ok(())
}

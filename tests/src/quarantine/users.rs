//! Across users: nobody shuts up or kills another user's reader by what he sends to it.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixDatagram, UnixListener, UnixStream},
            process::CommandExt as _,
        },
    },
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use sensor_common::maps::Kept;

use super::{
    setting::{CONTENT, FIFO, RULE, kept, released},
    socket,
};
use crate::{fifo, rules, shared, wait, work};

/// An ordinary user.
const USER: u32 = 1000;
const DATAGRAMS: &str = "/tmp/kept-of-root.datagrams";
const STREAMS: &str = "/tmp/kept-of-root.streams";

/// The role: sends what no rule lets pass, to where it says.
///
/// # Errors
/// The kernel's.
pub fn sender(way: &str) -> Result<()> {
    match way {
        "datagram" => drop(UnixDatagram::unbound()?.send_to(CONTENT, DATAGRAMS)?),
        "stream" => UnixStream::connect(STREAMS)?.write_all(CONTENT)?,
        "harmless" => drop(UnixDatagram::unbound()?.send_to(b"hello", DATAGRAMS)?),
        "fifo" => fifo::open(FIFO)?.write_all(CONTENT)?,
        _ => bail!("no such way: {way}"),
    }
    Ok(())
}

/// Whether the user gets it sent.
fn sends(way: &str) -> Result<bool> {
    let mut command = Command::new(work::PROGRAM);
    command.args(["work", "sender", way]).uid(USER).gid(USER);
    Ok(command.status()?.success())
}

fn open_to_all(path: &str) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o666))?)
}

/// Root's server sleeps; the user's message is refused, and the server serves the next one.
pub fn sockets() -> Result<()> {
    for path in [DATAGRAMS, STREAMS] {
        fs::remove_file(path).ok();
    }
    let server = UnixDatagram::bind(DATAGRAMS)?;
    let listener = UnixListener::bind(STREAMS)?;
    open_to_all(DATAGRAMS)?;
    open_to_all(STREAMS)?;
    let sensor = socket::guarding()?;
    let (killed, denied, refused) =
        (kept(&sensor, Kept::Killed)?, kept(&sensor, Kept::Denied)?, kept(&sensor, Kept::Refused)?);

    let mut victim = socket::start("receive", server.as_fd().try_clone_to_owned()?)?;
    wait::asleep_in(victim.id(), libc::SYS_recvfrom)?;
    ensure!(!sends("datagram")?, "the datagram was sent");
    ensure!(victim.try_wait()?.is_none(), "root's server ended");
    ensure!(kept(&sensor, Kept::Refused)? == refused + 1, "it is not counted");
    ensure!(sends("harmless")?, "another datagram was refused");
    let status = wait::until("the server to end", || Ok(victim.try_wait()?))?;
    ensure!(status.success(), "root's server ended with {status}");

    ensure!(!sends("stream")?, "the stream was sent");
    let (mut accepted, _) = listener.accept()?;
    let read = accepted.read(&mut [0_u8; 64]).context("root may not read")?;
    ensure!(read == 0, "{read} bytes came through");

    ensure!(sensor.client()?.quarantine()?.is_empty(), "something is in quarantine");
    ensure!(kept(&sensor, Kept::Killed)? == killed && kept(&sensor, Kept::Denied)? == denied, "a reader was harmed");
    let reports = sensor.reports()?;
    ensure!(reports.iter().any(|report| report["outcome"] == "denied"), "{reports:#?}");
    shared::park(sensor);
    Ok(())
}

/// Root's reader that slept is not killed by what the user writes.
pub fn sleeper() -> Result<()> {
    fifo::remake(FIFO)?;
    open_to_all(FIFO)?;
    let sensor = shared::enforcing(vec![rules::file("kept.yaml", &[RULE])])?;
    let (killed, spared) = (kept(&sensor, Kept::Killed)?, kept(&sensor, Kept::Spared)?);
    let both = fifo::open(FIFO)?;
    let mut reader =
        Command::new("/bin/head").args(["-c", "1"]).stdin(both.try_clone()?).stdout(Stdio::null()).spawn()?;
    wait::asleep_in(reader.id(), libc::SYS_read)?;
    ensure!(sends("fifo")?, "the write was refused");
    let status = wait::until("the reader to end", || Ok(reader.try_wait()?))?;
    ensure!(status.success(), "root's reader ended with {status}");
    ensure!(kept(&sensor, Kept::Killed)? == killed && kept(&sensor, Kept::Spared)? == spared + 1, "it is not counted");
    released()?;
    shared::park(sensor);
    Ok(())
}

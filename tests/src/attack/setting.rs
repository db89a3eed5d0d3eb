//! What is there before the attempts begin, made by root for users to use.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram, net::UnixListener},
    path::Path,
    sync::OnceLock,
    thread,
};

use anyhow::Result;

use crate::{fifo, work};

/// The attacker.
pub const USER: u32 = 1000;
/// A user who has nothing to do with it.
pub const OTHER: u32 = 1001;

/// Guarded by the rule `below`.
pub const FIFO: &str = "/tmp/attack/f";
/// Guarded by the rule `others`.
pub const QUEUE: &str = "/tmp/queue";
/// Guarded by the rule `budgeted`.
pub const BUDGETED: &str = "/tmp/budgeted";
/// Whoever opens it makes an event, no more.
pub const NOISE: &str = "/tmp/noise";
/// Guarded by the rule `connect`.
pub const SOCKET: &str = "/run/attack.sock";
/// Guarded by the rule `datagram`.
pub const DATAGRAM: &str = "/run/attack.dgram";
/// No rule cares for what is in it.
pub const HOME: &str = "/tmp/home";

/// Where the sockets listen, for as long as the machine runs.
static LISTENING: OnceLock<()> = OnceLock::new();

/// Makes it all anew.
pub fn make() -> Result<()> {
    for directory in ["/tmp/attack", "/tmp/binding", HOME] {
        fs::remove_dir_all(directory).ok();
        fs::create_dir_all(directory)?;
        open_to_all(directory, 0o777)?;
    }
    for path in [FIFO, QUEUE, BUDGETED, NOISE] {
        fifo::remake(path)?;
        open_to_all(path, 0o666)?;
    }
    fs::create_dir_all("/opt/worker")?;
    fs::copy(work::PROGRAM, format!("{HOME}/program"))?;
    open_to_all(&format!("{HOME}/program"), 0o755)?;
    if LISTENING.get().is_none() {
        listen()?;
        LISTENING.get_or_init(|| ());
    }
    Ok(())
}

fn listen() -> Result<()> {
    let listener = UnixListener::bind(SOCKET)?;
    let datagram = UnixDatagram::bind(DATAGRAM)?;
    for path in [SOCKET, DATAGRAM] {
        open_to_all(path, 0o666)?;
    }
    thread::spawn(move || listener.incoming().for_each(drop));
    thread::spawn(move || while datagram.recv(&mut [0; 64]).is_ok() {});
    Ok(())
}

fn open_to_all(path: &str, mode: u32) -> Result<()> {
    fs::set_permissions(Path::new(path), fs::Permissions::from_mode(mode))?;
    Ok(())
}

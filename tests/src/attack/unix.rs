//! Spellings of a socket's path.

use std::{
    env, fs,
    os::unix::{
        fs::symlink,
        net::{UnixDatagram, UnixListener, UnixStream},
    },
};

use anyhow::Result;

use super::{
    attempt::Attempt,
    paths::outcome,
    setting::{DATAGRAM, HOME, SOCKET},
};
use crate::mounts;

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::new("connect to a socket", "connect", || connect(SOCKET)),
    Attempt::new("connect by two slashes", "connect", || connect("/run//attack.sock")),
    Attempt::new("connect by dot dot", "connect", || connect("/run/../run/attack.sock")),
    Attempt::new("connect by /proc/self/root", "connect", || connect("/proc/self/root/run/attack.sock")),
    Attempt::new("connect by a symbolic link", "connect", by_link),
    Attempt::new("connect by a relative name", "connect", relative),
    Attempt::new("connect by a bind mount elsewhere", "connect", mounted),
    Attempt::new("sendto a datagram socket", "datagram", || send(DATAGRAM)),
    Attempt::new("sendto by two slashes", "datagram", || send("/run//attack.dgram")),
    Attempt::new("sendto by /proc/self/root", "datagram", || send("/proc/self/root/run/attack.dgram")),
    Attempt::new("bind a socket", "bind", || bind("/tmp/binding/s")),
    Attempt::new("bind by two slashes", "bind", || bind("/tmp//binding/s")),
    Attempt::new("bind by a relative name", "bind", relative_bind),
    Attempt::new("bind by a symbolic link to the directory", "bind", linked_bind),
];

fn connect(path: &str) -> Result<bool> {
    outcome(UnixStream::connect(path))
}

fn send(path: &str) -> Result<bool> {
    // In memory that is there: what cannot be read is another rule's case.
    let greeting = b"hello".to_vec();
    outcome(UnixDatagram::unbound()?.send_to(&greeting, path))
}

fn bind(path: &str) -> Result<bool> {
    fs::remove_file(path).ok();
    outcome(UnixListener::bind(path))
}

fn by_link() -> Result<bool> {
    let link = format!("{HOME}/socket");
    fs::remove_file(&link).ok();
    symlink(SOCKET, &link)?;
    connect(&link)
}

fn relative() -> Result<bool> {
    env::set_current_dir("/run")?;
    connect("attack.sock")
}

fn mounted() -> Result<bool> {
    let elsewhere = format!("{HOME}/run");
    fs::create_dir_all(&elsewhere)?;
    mounts::own_mounts()?;
    mounts::bind("/run", &elsewhere)?;
    connect(&format!("{elsewhere}/attack.sock"))
}

fn relative_bind() -> Result<bool> {
    env::set_current_dir("/tmp/binding")?;
    bind("s")
}

fn linked_bind() -> Result<bool> {
    let link = format!("{HOME}/binding");
    fs::remove_file(&link).ok();
    symlink("/tmp/binding", &link)?;
    bind(&format!("{link}/s"))
}

//! The way out of the VM: its second serial port.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::fd::AsRawFd as _,
    process::Command,
};

use crate::protocol::{Message, Table};

/// The port that `cargo xtask` listens to.
pub const PORT: &str = "/dev/ttyS1";

/// Sends one message. Nobody could be told if that failed; the console is tried.
pub fn send(message: &Message) {
    let sent = port().and_then(|mut port| port.write_all(message.line().as_bytes()));
    if let Err(error) = sent {
        eprintln!("vm-init: cannot report {message:?}: {error}");
    }
}

/// Tells something that was found out about this kernel.
pub fn fact(table: Table, what: &str, value: &str) {
    send(&Message::Fact { table, what: what.to_owned(), value: value.to_owned() });
}

/// Takes the port's line discipline out of the way: bytes go through as they are.
pub fn raw() {
    Command::new("/bin/stty").args(["-F", PORT, "raw", "-echo", "115200"]).status().ok();
}

/// Waits until everything sent has left the machine.
pub fn drain() {
    if let Ok(port) = port() {
        // SAFETY: the descriptor is open.
        unsafe { libc::tcdrain(port.as_raw_fd()) };
    }
}

fn port() -> std::io::Result<File> {
    OpenOptions::new().write(true).open(PORT)
}

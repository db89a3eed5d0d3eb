//! The way out of the VM: its second serial port.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::fd::AsRawFd as _,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::protocol::{Message, Table};

/// The port that `cargo xtask` listens to.
pub const PORT: &str = "/dev/ttyS1";

/// Whether reports go to standard output instead.
static TO_STDOUT: AtomicBool = AtomicBool::new(false);

/// From now on reports go to standard output: where there is no VM and no such port.
pub fn to_stdout() {
    TO_STDOUT.store(true, Ordering::Relaxed);
}

/// Sends one message. Nobody could be told if that failed; the console is tried.
pub fn send(message: &Message) {
    let line = message.line();
    let sent = if TO_STDOUT.load(Ordering::Relaxed) {
        std::io::stdout().write_all(line.as_bytes())
    } else {
        port().and_then(|mut port| port.write_all(line.as_bytes()))
    };
    if let Err(error) = sent {
        eprintln!("vm-init: cannot report {message:?}: {error}");
    }
}

/// Says something to whoever reads the run.
pub fn say(text: impl Into<String>) {
    send(&Message::Say { text: text.into() });
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

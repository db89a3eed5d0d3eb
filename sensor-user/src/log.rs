//! The daemon's words, on standard error: where systemd and the operator look.

use std::{
    fmt::Display,
    io::{Write, stderr},
};

use sensor_content::printable;

/// Says something. That nobody can hear it is no reason to stop: unlike `eprintln!` this does not panic.
pub fn say(message: impl Display) {
    let _ = writeln!(stderr(), "creance: {}", printable::lines(&message.to_string()));
}

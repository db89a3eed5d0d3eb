//! Faults on purpose, to see a host come back from them. Only a build with the feature `faults` has any.
//!
//! Each line of [`FILE`] is `GENERATION WHERE WHAT`, such as `12 push abort`:
//!
//! | `WHERE` | Is |
//! |---|---|
//! | `push` | the generation is about to be loaded because it was pushed |
//! | `start` | it is about to be loaded because the daemon, or the host, has started |
//!
//! | `WHAT` | Does |
//! |---|---|
//! | `abort` | the daemon crashes |
//! | `hang` | it does nothing more, holding the engine |
//! | `panic` | makes [`PANIC`], for which a unit of the test waits that panics the kernel, and hangs |

/// Where a generation is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// It was pushed.
    Push,
    /// The daemon has started.
    Start,
}

#[cfg(feature = "faults")]
pub use injected::{FILE, PANIC, at};

/// Nothing goes wrong on purpose here.
#[cfg(not(feature = "faults"))]
pub const fn at(_point: Point, _generation: u64) {}

#[cfg(feature = "faults")]
mod injected {
    use std::{fs, process, thread};

    use super::Point;
    use crate::log::say;

    /// What is to go wrong.
    pub const FILE: &str = "/etc/creance/faults";
    /// Asks for a panic of the kernel.
    pub const PANIC: &str = "/run/creance/panic";

    /// Goes wrong, if that is wanted here.
    pub fn at(point: Point, generation: u64) {
        let text = fs::read_to_string(FILE).unwrap_or_default();
        let here = if point == Point::Push { "push" } else { "start" };
        for line in text.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [number, place, what] = words.as_slice() else { continue };
            if *number != generation.to_string() || *place != here {
                continue;
            }
            say(format_args!("FAULT on purpose: {line}"));
            match *what {
                "abort" => process::abort(),
                "panic" => drop(fs::write(PANIC, "")),
                _ => {}
            }
            loop {
                thread::park();
            }
        }
    }
}

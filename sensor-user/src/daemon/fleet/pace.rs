//! How old releases are, as this host knows it: [`Ramps`], on its disk.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use sensor_content::{
    fleet::{Ramps, Release, Seat},
    store::{Directory, write_sealed},
};

use crate::{host::ramps, log::say};

/// While something waits, so much uptime is lost at most where the daemon is killed.
const MINUTE: Duration = Duration::from_mins(1);

/// Counts the host's own time.
#[derive(Debug)]
pub struct PaceMaker {
    directory: PathBuf,
    ramps: Ramps,
    counted: Instant,
    written: Instant,
    /// So many releases waited when it was written.
    waiting: usize,
    complained: bool,
}

impl PaceMaker {
    /// Goes on from what is `known`, and writes into `directory`.
    pub fn new(directory: PathBuf, known: Ramps) -> Self {
        let (waiting, now) = (known.waiting(), Instant::now());
        Self { directory, ramps: known, counted: now, written: now, waiting, complained: false }
    }

    /// What is known.
    pub const fn ramps(&self) -> &Ramps {
        &self.ramps
    }

    /// Counts the time since this was done last; these releases exist.
    pub fn passes<'a>(&mut self, seat: Seat, issued: Option<Timestamp>, releases: impl Iterator<Item = Release<'a>>) {
        let up = SignedDuration::try_from(self.counted.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.counted = Instant::now();
        self.ramps.passes(up, Timestamp::now());
        let news = self.ramps.learns(seat, issued, releases);
        self.ramps.passes(SignedDuration::ZERO, Timestamp::now());
        let waiting = self.ramps.waiting();
        let counts = waiting > 0 && self.written.elapsed() >= MINUTE;
        if news || counts || waiting != self.waiting {
            self.write();
            self.waiting = waiting;
        }
    }

    /// What cannot be written counts all the same: after a restart the host is slower, never faster.
    fn write(&mut self) {
        self.written = Instant::now();
        let directory = fs::create_dir_all(&self.directory).and_then(|()| Directory::open(self.directory.clone()));
        let error = directory.and_then(|mut directory| write_sealed(&mut directory, ramps::FILE, &self.ramps)).err();
        if let Some(error) = error.as_ref().filter(|_| !self.complained) {
            say(format_args!("WARNING: {} cannot be written: {error}", self.directory.join(ramps::FILE).display()));
        }
        self.complained = error.is_some();
    }
}

//! `creance enforce`: carry verdicts out, or only report them.

use std::io::Write;

use clap::{Args, ValueEnum};

use super::{connection::Connection, done::Done};

/// Carry out verdicts to block, quarantine and kill (on), or only report them (off)
#[derive(Args, Debug)]
pub struct Enforce {
    /// Whether to carry out verdicts
    switch: Switch,
    #[command(flatten)]
    daemon: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Enforce {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let mut daemon = self.daemon.open()?;
        if daemon.enforce(self.switch == Switch::On)? {
            writeln!(out, "{}", daemon.status()?.effect())?;
        } else {
            writeln!(out, "block, quarantine and kill are reported, not carried out")?;
        }
        Ok(Done::Well)
    }
}

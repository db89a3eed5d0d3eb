//! `creance repo ramp`: how fast a release may go out at most.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use sensor_content::{
    repository::Lifetime,
    rollout::{Pace, Ramp, Ring},
};

use super::{Directory, keys, open};
use crate::{cli::done::Done, host::files};

/// Longest ramp, bytes.
const RAMP_MAX: usize = 1 << 16;

/// Show the fastest ramp of a release, or sign another, such as a faster one in an emergency. Each host keeps to
/// it; the online key can only be slower
#[derive(Args, Debug)]
pub struct SetRamp {
    /// The repository
    #[arg(value_name = "DIR")]
    repository: Directory,
    /// The generation, which is in the repository
    #[arg(value_name = "GENERATION")]
    generation: u64,
    /// routine, urgent, or a file. It counts from the first publication, whenever it is signed
    #[arg(long, value_name = "RAMP", requires = "key")]
    ramp: Option<String>,
    /// A private key that signs; repeatable: enough content keys, and the online key
    #[arg(long, value_name = "FILE", requires = "ramp")]
    key: Vec<PathBuf>,
}

impl SetRamp {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let (number, now) = (self.generation, Timestamp::now());
        let (tree, mut metadata) = open(&self.repository)?;
        let Some(name) = self.ramp else {
            match metadata.pace(number)? {
                Some(pace) => show(out, number, &pace, now)?,
                None => writeln!(
                    out,
                    "generation {number}: no ramp is signed; each host goes by the shipped one, from when it first saw the release; \
                     sign one with --ramp and --key"
                )?,
            }
            return Ok(Done::Well);
        };
        let ramp = read(&name)?;
        let pace = metadata.set_ramp(number, &ramp, &keys::signing(&self.key)?, Lifetime::default(), now)?;
        tree.write(&metadata, &[])?;
        show(out, number, &pace, now)?;
        writeln!(out, "hosts hold to it from their next poll on; what they have already, they keep")?;
        Ok(Done::Well)
    }
}

fn show(out: &mut impl Write, number: u64, pace: &Pace, now: Timestamp) -> anyhow::Result<()> {
    writeln!(out, "generation {number}: {pace}")?;
    write!(out, "{:<16}", "at the earliest")?;
    Ring::ALL.iter().try_for_each(|ring| write!(out, "{:>10}", ring.name()))?;
    writeln!(out)?;
    for step in pace.ramp.steps() {
        row(out, &format!("after {:#}", step.after), pace, step.after)?;
    }
    row(out, "now", pace, now.duration_since(pace.published))?;
    writeln!(out, "hosts that would hang after a kernel panic: after {:#}", pace.ramp.hanging())?;
    Ok(())
}

fn row(out: &mut impl Write, name: &str, pace: &Pace, age: SignedDuration) -> anyhow::Result<()> {
    write!(out, "{name:<16}")?;
    Ring::ALL.iter().try_for_each(|ring| write!(out, "{:>10}", pace.ramp.share(*ring, age).to_string()))?;
    writeln!(out)?;
    Ok(())
}

/// The ramp with this name, or in this file.
pub(super) fn read(name: &str) -> anyhow::Result<Ramp> {
    let text = match name {
        "routine" => Ramp::ROUTINE.to_owned(),
        "urgent" => Ramp::URGENT.to_owned(),
        file if Path::new(file).exists() => files::read_text(&PathBuf::from(file), RAMP_MAX, "ramp")?,
        other => bail!("there is no file {other}, and no ramp of that name ships: say `routine`, `urgent`, or a file"),
    };
    Ramp::parse(&text).with_context(|| name.to_owned())
}

//! `cargo xtask fuzz`: random rules, records and texts, for as long as one likes.

use std::{
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::Result;
use clap::Subcommand;

use crate::{
    build, console, initramfs,
    project::{self, KernelSeries},
    protocol::Message,
    setup,
    vm::{Clock, Failure, LSM, Machine},
};

/// Longest time for all rule sets on one kernel.
const LIMIT: Duration = Duration::from_hours(6);

/// What is fuzzed.
#[derive(Subcommand)]
pub enum Fuzz {
    /// Random well-typed rules on random records: this machine's kernel (as root) against the CEL interpreter
    Rules {
        /// Pairs of rule set and record
        #[arg(long, default_value_t = 1_000_000)]
        pairs: u64,
        /// The same seed makes the same pairs
        #[arg(long, default_value_t = 4)]
        seed: u64,
    },
    /// Random rule sets, and the largest: the verifier of a kernel, in a VM, must accept all that our checks let pass
    Accepted {
        /// The VM's kernel
        #[arg(long, default_value = "6.12")]
        kernel: KernelSeries,
        /// Random rule sets
        #[arg(long, default_value_t = 10_000)]
        sets: u64,
        /// The same seed makes the same rule sets
        #[arg(long, default_value_t = 4)]
        seed: u64,
    },
}

/// Fuzzes.
///
/// # Errors
/// Where it cannot be started.
pub fn run(what: &Fuzz) -> Result<ExitCode> {
    match what {
        Fuzz::Rules { pairs, seed } => rules(*pairs, *seed),
        Fuzz::Accepted { kernel, sets, seed } => accepted(*kernel, *sets, *seed),
    }
}

fn rules(pairs: u64, seed: u64) -> Result<ExitCode> {
    setup::compiler()?;
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--release", "--package", "sensor-proof", "--", "fuzz"]);
    command.args(["--pairs", &pairs.to_string(), "--seed", &seed.to_string()]);
    let status = command.current_dir(project::root()).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn accepted(kernel: KernelSeries, sets: u64, seed: u64) -> Result<ExitCode> {
    setup::compiler()?;
    setup::machines(&[kernel])?;
    build::everything()?;
    let initramfs = initramfs::build()?;
    let arguments = format!("{LSM} creance.job=accepted creance.sets={sets} creance.seed={seed}");
    let machine =
        Machine { kernel, name: "accepted", arguments, initramfs: &initramfs, clock: Clock::Real, limit: LIMIT };
    let ending = machine.work(|message| {
        if let Message::Say { text } = message {
            println!("{kernel} {text}");
        }
    })?;
    if let Err(Failure { why, tail }) = ending {
        println!("{kernel} FAILED: {why}\n{}", console::tail(&tail, 20));
        return Ok(ExitCode::FAILURE);
    }
    println!("{kernel} everything was accepted");
    Ok(ExitCode::SUCCESS)
}

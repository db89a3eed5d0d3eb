//! `cargo xtask bench rules`, `cargo xtask fuzz rules` and `cargo xtask fuzz accepted --here`.

mod bench;
mod fuzz;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use sensor_proof::{
    accepted::{Here, long_run},
    compare::may_load,
};

/// Measures compiled rules, and compares them with the interpreter.
#[derive(Parser)]
#[command(name = "sensor-proof")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Bench(bench::Bench),
    Fuzz(fuzz::Fuzz),
    Accepted(Accepted),
}

/// This machine's verifier on the largest rule sets, and on random ones
#[derive(Args)]
struct Accepted {
    /// Leave the largest out
    #[arg(long)]
    random_only: bool,
    /// Random rule sets
    #[arg(long, default_value_t = 10_000)]
    sets: u64,
    /// The same seed makes the same rule sets
    #[arg(long, default_value_t = 4)]
    seed: u64,
}

impl Accepted {
    fn run(&self) -> Result<ExitCode> {
        ensure!(may_load()?, "this process has no right to load eBPF programs: run this as root");
        let fine = long_run(&mut Here, self.seed, self.sets, self.random_only)?;
        Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().task {
        Task::Bench(bench) => bench.run().map(|()| ExitCode::SUCCESS),
        Task::Fuzz(fuzz) => fuzz.run(),
        Task::Accepted(accepted) => accepted.run(),
    }
}

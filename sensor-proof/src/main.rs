//! `cargo xtask bench rules` and `cargo xtask fuzz rules`.

mod bench;
mod fuzz;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().task {
        Task::Bench(bench) => bench.run().map(|()| ExitCode::SUCCESS),
        Task::Fuzz(fuzz) => fuzz.run(),
    }
}

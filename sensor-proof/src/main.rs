//! `cargo xtask bench rules`.

mod bench;

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
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Bench(bench) => bench.run(),
    }
}

//! `cargo xtask faults`: generations that take a host down, and the table of how it comes back.

use std::{process::ExitCode, time::Instant};

use anyhow::Result;

use crate::{
    build,
    debian::{self, Job},
    project::KernelSeries,
    protocol::Message,
    run::columns,
    setup,
};

/// Lets a Debian host come back from every fault, or from those whose rows contain one of these words, and
/// prints the table.
///
/// # Errors
/// Where it could not be tried.
pub fn table(kernel: KernelSeries, only: &[String]) -> Result<ExitCode> {
    setup::compiler()?;
    setup::machines(&[kernel])?;
    build::everything()?;
    build::with_faults()?;
    let started = Instant::now();
    println!("==> Linux {kernel} boots with a Debian root; a generation breaks it, again and again: some minutes");
    let (mut rows, mut good) = (Vec::new(), true);
    let ending = debian::work(kernel, Job::Faults, &rows_argument(only), |message| match message {
        Message::Say { text } => println!("{text}"),
        Message::Seen { what, expected: _, seen, ok } => {
            good &= ok;
            println!("    {what}: {seen}");
            rows.push([what, seen, if ok { "ok" } else { "NOT AS EXPECTED" }.to_owned()]);
        }
        _ => {}
    })?;
    println!("\n{}", columns(["a generation that …", "and then", ""], &rows));
    if let Err(failure) = &ending {
        println!("{}\n{}", failure.why, failure.tail);
    }
    let good = good && ending.is_ok() && !rows.is_empty();
    let summary = if good { "the host came back each time" } else { "the host did NOT come back as it should" };
    println!("{summary}: {} rows, {} s", rows.len(), started.elapsed().as_secs());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells the VM which rows are asked for, as it reads them; nothing where all are.
fn rows_argument(only: &[String]) -> String {
    let words: Vec<_> = only.iter().map(|word| word.replace(' ', "-")).collect();
    if words.is_empty() { String::new() } else { format!(" creance.only={}", words.join(",")) }
}

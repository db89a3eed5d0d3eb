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

/// Lets a Debian host come back from every fault, and prints the table.
///
/// # Errors
/// Where it could not be tried.
pub fn table(kernel: KernelSeries) -> Result<ExitCode> {
    setup::compiler()?;
    setup::machines(&[kernel])?;
    build::everything()?;
    build::with_faults()?;
    let started = Instant::now();
    println!("==> Linux {kernel} boots with a Debian root; a generation breaks it, again and again: some minutes");
    let (mut rows, mut good) = (Vec::new(), true);
    let ending = debian::work(kernel, Job::Faults, |message| match message {
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

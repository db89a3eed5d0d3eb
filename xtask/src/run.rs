//! `cargo xtask run`: the played session, or a shell, in a VM with the sensor.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    build, initramfs,
    project::KernelSeries,
    protocol::Message,
    setup,
    vm::{Clock, LSM, Machine, Root},
};

/// Longest time for the whole session.
const LIMIT: Duration = Duration::from_mins(10);

/// Plays the session and prints the table of what was seen.
///
/// # Errors
/// Where it could not be played.
pub fn session(kernel: KernelSeries) -> Result<ExitCode> {
    let initramfs = prepare(kernel)?;
    progress(&format!("Linux {kernel} boots in a VM (without hardware acceleration this takes some 15 s)"));
    let started = Instant::now();
    let machine = machine(kernel, "session", &initramfs);
    let mut table = Vec::new();
    let ending = machine.work(|message| match message {
        Message::Say { text } => {
            println!("{text}");
            io::stdout().flush().ok();
        }
        Message::Seen { what, expected, seen, ok } => table.push([what, expected, seen, verdict(ok).to_owned()]),
        _ => {}
    })?;
    println!("\n{}", columns(["what", "expected", "seen", ""], &table));
    let wrong = table.iter().filter(|row| row[3] != verdict(true)).count();
    if let Err(failure) = &ending {
        println!("{}\n{}", failure.why, failure.tail);
    }
    let good = ending.is_ok() && wrong == 0 && !table.is_empty();
    let summary = if good { "all as expected" } else { "NOT as expected" };
    println!("{summary}: {} of {} lines, {} s", table.len() - wrong, table.len(), started.elapsed().as_secs());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Opens a shell in a VM with the sensor running.
///
/// # Errors
/// Where the VM does not run.
pub fn shell(kernel: KernelSeries) -> Result<ExitCode> {
    let initramfs = prepare(kernel)?;
    progress(&format!("Linux {kernel} boots in a VM; `exit` ends it"));
    machine(kernel, "shell", &initramfs).interact()?;
    Ok(ExitCode::SUCCESS)
}

fn prepare(kernel: KernelSeries) -> Result<PathBuf> {
    progress("setting up what is missing");
    setup::compiler()?;
    setup::machines(&[kernel])?;
    progress("building the eBPF object and the static binaries (minutes the first time, seconds later)");
    build::everything()?;
    initramfs::build()
}

fn machine<'a>(kernel: KernelSeries, job: &'a str, initramfs: &'a std::path::Path) -> Machine<'a> {
    let arguments = format!("{LSM} creance.job={job}");
    Machine { kernel, name: job, arguments, root: Root::Initramfs(initramfs), clock: Clock::Real, limit: LIMIT }
}

fn progress(words: &str) {
    let mark = if io::stdout().is_terminal() { "\x1b[1m==>\x1b[0m" } else { "==>" };
    println!("{mark} {words}");
}

const fn verdict(ok: bool) -> &'static str {
    if ok { "ok" } else { "NOT AS EXPECTED" }
}

/// A table with columns as wide as they need to be.
pub fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let line = |cells: [&str; N]| {
        let padded: Vec<_> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("  ");
    let body: String = rows.iter().map(|row| line(row.each_ref().map(String::as_str))).collect();
    format!("{}{rule}\n{body}", line(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = columns(["a", "b"], &[["long".to_owned(), "1".to_owned()], ["x".to_owned(), "2".to_owned()]]);
        assert_eq!(table, "a     b\n----  -\nlong  1\nx     2\n");
    }
}

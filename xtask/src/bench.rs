//! `cargo xtask bench overhead`: guest instructions per operation, without the sensor and with it.
//!
//! The guest's clock counts instructions (one a nanosecond), so that two runs of one image print the same. What this
//! leaves out: caches, branch prediction, contention.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{
    initramfs,
    project::{self, KernelSeries},
    protocol::Message,
    run::columns,
    vm::{Clock, Failure, LSM, Machine, Root},
};

const LIMIT: Duration = Duration::from_mins(15);
/// By so much of what is committed an operation may be dearer: what a build of the same source makes of it elsewhere.
const WORSE: f64 = 1.02;

/// Guest instructions per operation, without the sensor and with it
#[derive(Args)]
pub struct Overhead {
    /// The VM's kernel
    #[arg(long, default_value = "6.12")]
    kernel: KernelSeries,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Fail where an operation is more than 2 % dearer than in docs/overhead
    #[arg(long, conflicts_with = "document")]
    check: bool,
    /// Write the figures to docs/overhead
    #[arg(long)]
    document: bool,
}

/// The figures of one kernel.
#[derive(Serialize, Deserialize)]
struct Report {
    kernel: String,
    method: String,
    operations: BTreeMap<String, Cost>,
}

/// What one operation costs, medians.
#[derive(Serialize, Deserialize)]
struct Cost {
    without: f64,
    with: f64,
    ratio: f64,
}

impl Overhead {
    /// Measures, prints a table or JSON, and keeps the JSON in `target/bench`.
    ///
    /// # Errors
    /// Where the VM fails, and where there is nothing to compare with.
    pub fn run(&self) -> Result<ExitCode> {
        let report = measure(self.kernel)?;
        let text = serde_json::to_string_pretty(&report)? + "\n";
        let path = project::target("bench").join(format!("overhead-{}.json", self.kernel));
        fs::create_dir_all(project::target("bench"))?;
        fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        if self.json {
            print!("{text}");
        } else {
            println!("{}{}", table(&report), path.display());
        }
        let committed = committed(self.kernel);
        if self.document {
            fs::write(&committed, &text).with_context(|| format!("cannot write {}", committed.display()))?;
        }
        if self.check {
            let dearer = dearer(&report, &read(&committed)?);
            for line in &dearer {
                eprintln!("dearer: {line}");
            }
            return Ok(if dearer.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Where the figures of a kernel are committed.
fn committed(kernel: KernelSeries) -> PathBuf {
    project::root().join(format!("docs/overhead/{kernel}.json"))
}

fn read(path: &Path) -> Result<Report> {
    let text = fs::read(path)
        .with_context(|| format!("there are no figures in {}: write them with `--document`", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} has no figures", path.display()))
}

/// The operations that are dearer than before, each with both figures; and those that are missing.
fn dearer(now: &Report, before: &Report) -> Vec<String> {
    let compare = |(name, before): (&String, &Cost)| match now.operations.get(name) {
        None => Some(format!("{name} was not measured")),
        Some(now) if now.with > before.with * WORSE => {
            Some(format!("{name}: {:.0} instructions instead of {:.0}", now.with, before.with))
        }
        Some(_) => None,
    };
    before.operations.iter().filter_map(compare).collect()
}

fn measure(kernel: KernelSeries) -> Result<Report> {
    let initramfs = initramfs::ready(kernel)?;
    eprintln!("==> measuring in a VM whose clock counts instructions: some minutes");
    let arguments = format!("{LSM} creance.job=overhead");
    let machine = Machine {
        kernel,
        name: "overhead",
        arguments,
        root: Root::Initramfs(&initramfs),
        clock: Clock::Instructions,
        limit: LIMIT,
    };
    let (mut without, mut with) = (BTreeMap::new(), BTreeMap::new());
    let ending = machine.work(|message| match message {
        Message::Measured { sensor: false, instructions } => without = instructions,
        Message::Measured { sensor: true, instructions } => with = instructions,
        Message::Say { text } => eprintln!("{text}"),
        _ => {}
    })?;
    if let Err(Failure { why, tail }) = ending {
        bail!("{why}\n{tail}");
    }
    report(kernel, &without, &with)
}

fn report(kernel: KernelSeries, without: &BTreeMap<String, f64>, with: &BTreeMap<String, f64>) -> Result<Report> {
    let cost = |(name, without): (&String, &f64)| {
        let with = *with.get(name).with_context(|| format!("{name} was not measured with the sensor"))?;
        Ok((name.clone(), Cost { without: *without, with, ratio: (with / without * 1000.0).round() / 1000.0 }))
    };
    let operations = without.iter().map(cost).collect::<Result<BTreeMap<_, _>>>()?;
    if operations.is_empty() {
        bail!("nothing was measured");
    }
    let release = fs::read_to_string(kernel.directory().join("release")).unwrap_or_default();
    let method =
        "QEMU -icount shift=0, one CPU; median of guest instructions per operation, sensor with the shipped rules";
    Ok(Report { kernel: release.trim().to_owned(), method: method.to_owned(), operations })
}

fn table(report: &Report) -> String {
    let rows: Vec<_> = report
        .operations
        .iter()
        .map(|(name, Cost { without, with, ratio })| {
            [name.clone(), format!("{without:>8.0}"), format!("{with:>8.0}"), format!("{ratio:>6.2}")]
        })
        .collect();
    format!("{}\n{}", report.kernel, columns(["operation", " without", "    with", " ratio"], &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(with: &[(&str, f64)]) -> Report {
        let cost = |(name, with): &(&str, f64)| ((*name).to_owned(), Cost { without: 100.0, with: *with, ratio: 0.0 });
        Report { kernel: String::new(), method: String::new(), operations: with.iter().map(cost).collect() }
    }

    #[test]
    fn what_is_dearer_or_missing_is_said() {
        let before = report(&[("a", 1000.0), ("b", 1000.0), ("c", 1000.0)]);
        assert_eq!(
            dearer(&report(&[("a", 1020.0), ("b", 1021.0), ("new", 5000.0)]), &before),
            ["b: 1021 instructions instead of 1000", "c was not measured"]
        );
        assert!(dearer(&before, &before).is_empty());
    }

    #[test]
    fn the_readme_shows_the_committed_figures() {
        let report = read(&project::root().join("docs/overhead/6.12.json")).unwrap();
        let readme = fs::read_to_string(project::root().join("README.md")).unwrap();
        assert!(readme.contains(&table(&report)), "README.md has not this table:\n{}", table(&report));
    }
}

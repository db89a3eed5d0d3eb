//! `cargo xtask bench overhead`: guest instructions per operation, without the sensor and with it.
//!
//! The guest's clock counts instructions (one a nanosecond), so that two runs of one image print the same. What this
//! leaves out: caches, branch prediction, contention.

use std::{collections::BTreeMap, fs, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::{
    initramfs,
    project::{self, KernelSeries},
    protocol::Message,
    run::columns,
    vm::{Clock, Failure, LSM, Machine, Root},
};

const LIMIT: Duration = Duration::from_mins(15);

/// The figures of one kernel.
#[derive(Serialize)]
struct Report {
    kernel: String,
    method: &'static str,
    operations: BTreeMap<String, Cost>,
}

/// What one operation costs, medians.
#[derive(Serialize)]
struct Cost {
    without: f64,
    with: f64,
    ratio: f64,
}

/// Measures, prints a table or JSON, and keeps the JSON in `target/bench`.
///
/// # Errors
/// Where the VM fails.
pub fn overhead(kernel: KernelSeries, json: bool) -> Result<ExitCode> {
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
    let report = report(kernel, &without, &with)?;
    let text = serde_json::to_string_pretty(&report)?;
    let path = project::target("bench").join(format!("overhead-{kernel}.json"));
    fs::create_dir_all(project::target("bench"))?;
    fs::write(&path, format!("{text}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    if json {
        println!("{text}");
    } else {
        println!("{}{}", table(&report), path.display());
    }
    Ok(ExitCode::SUCCESS)
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
    Ok(Report { kernel: release.trim().to_owned(), method, operations })
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

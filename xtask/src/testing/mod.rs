//! `cargo xtask test`: everything that can fail, here and in VMs. The last line counts it.

mod guest;
mod here;

use std::{
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;

use crate::{build, initramfs, project::KernelSeries, setup};

/// Every test, on the usual kernels; with kernels or a filter, only VM tests that fit.
///
/// # Errors
/// Where the tests could not be run at all. Failed tests are counted, not errors.
pub fn everything(kernels: &[KernelSeries], filter: Option<&str>) -> Result<ExitCode> {
    let all = kernels.is_empty() && filter.is_none();
    let kernels = if kernels.is_empty() { KernelSeries::USUAL } else { kernels };
    setup::compiler()?;
    setup::machines(kernels)?;
    build::ebpf()?;
    let mut tally = Tally::default();
    if all {
        here::style(&mut tally)?;
        here::units(&mut tally)?;
    }
    build::user_space()?;
    let initramfs = initramfs::build()?;
    let tally = Mutex::new(tally);
    guest::all(kernels, filter, &initramfs, &tally)?;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.code())
}

/// What has been counted so far.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    /// Counts one test and prints its line.
    fn add(&mut self, name: &str, time: Duration, failure: Option<&str>) {
        let seconds = time.as_secs_f64();
        if let Some(why) = failure {
            self.failed += 1;
            println!("{name} ... FAILED ({seconds:.1} s)");
            why.lines().for_each(|line| println!("      {line}"));
        } else {
            self.passed += 1;
            println!("{name} ... ok ({seconds:.1} s)");
        }
    }

    fn code(&self) -> ExitCode {
        if self.failed == 0 && self.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

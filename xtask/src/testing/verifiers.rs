//! The verifiers of other kernels, as processes: each must accept what passes our checks.

use std::time::Instant;

use super::tally::Tally;
use crate::{project::KernelSeries, proof};

/// Random rule sets for each; the largest ones come first. Many more: `cargo xtask fuzz accepted`.
const SETS: &str = "--sets=200";

/// Debian has no sources of 6.18.
const KERNELS: [KernelSeries; 4] = [KernelSeries::V5_10, KernelSeries::V6_1, KernelSeries::V6_12, KernelSeries::V7_3];

/// One test for each kernel; in a `usual` run only for those that no VM of it runs: each is built first, for three
/// minutes.
pub fn all(tally: &mut Tally, usual: bool) {
    for kernel in KERNELS.into_iter().filter(|kernel| !usual || !KernelSeries::USUAL.contains(kernel)) {
        one(kernel, tally);
    }
}

fn one(kernel: KernelSeries, tally: &mut Tally) {
    let name = format!("{kernel} verifier accepts the largest and 200 random rule sets");
    let (started, mut said) = (Instant::now(), String::new());
    let accepted = proof::run_under(kernel, "accepted", &[SETS.to_owned()], |line| {
        said.extend([line, "\n"]);
    });
    match accepted {
        Ok(None) => tally.not_here(&name, "Debian has no sources of it"),
        Ok(Some(true)) => tally.add(&name, started.elapsed(), None),
        Ok(Some(false)) => tally.add(&name, started.elapsed(), Some(&said)),
        Err(error) => tally.add(&name, started.elapsed(), Some(&format!("{error:#}"))),
    }
}

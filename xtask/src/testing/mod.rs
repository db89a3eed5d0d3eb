//! `cargo xtask test`: everything that can fail, here and in VMs. The last line counts it.

mod facts;
mod guest;
mod here;
mod tally;
mod verifiers;

use std::{
    path::Path,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Result, bail};

use facts::Facts;
pub use facts::{Document, finders};
use here::Scope;
use tally::Tally;

use crate::{build, demo, initramfs, project::KernelSeries, setup};

/// What the names of those tests begin with that need a Debian host.
const PACKAGE: &str = "package::";

/// Every test, on the usual kernels; with kernels or a filter, only VM tests that fit.
///
/// # Errors
/// Where the tests could not be run at all. Failed tests are counted, not errors.
pub fn everything(kernels: &[KernelSeries], filter: Option<&str>, document: Document) -> Result<ExitCode> {
    if filter.is_some_and(|filter| filter.contains(PACKAGE) && filter.contains(',')) {
        bail!("{PACKAGE} is tested on a Debian host of its own: name it alone");
    }
    let all = kernels.is_empty() && filter.is_none();
    let kernels = if kernels.is_empty() { KernelSeries::USUAL } else { kernels };
    let long = filter.is_none() && kernels == KernelSeries::ALL;
    setup::compiler()?;
    setup::machines(kernels)?;
    build::ebpf()?;
    let mut tally = Tally::default();
    if all {
        setup::servers()?;
        here::style(&mut tally, Scope::All)?;
        here::units(&mut tally, Scope::All)?;
    }
    build::user_space()?;
    if all || long {
        verifiers::all(&mut tally, all);
    }
    let initramfs = initramfs::build()?;
    let shown = Mutex::new(guest::Shown { tally, facts: Facts::default(), failed: Vec::new() });
    // Their names are known in the guest only; a filter names them all, or none.
    let package = filter.is_some_and(|filter| filter.contains(PACKAGE));
    let replay = filter.is_some_and(|filter| filter.split(',').all(demo::is_replayed));
    if !package && !replay {
        guest::all(kernels, filter, &initramfs, &shown)?;
    }
    let guest::Shown { mut tally, facts, failed } = shown.into_inner().unwrap_or_else(PoisonError::into_inner);
    // It builds packages and a Debian root first: not part of every run.
    let asked = kernels.last().copied().filter(|_| package);
    if let Some(kernel) = asked.or(long.then_some(KernelSeries::V6_12)) {
        guest::debian(kernel, &mut tally)?;
    }
    // One kernel each time: it is about the story, and each mechanism has tests on all of them.
    let replayed = filter.map_or(all || long, |filter| filter.split(',').any(demo::is_replayed));
    let of_the_story = kernels.iter().copied().find(|kernel| *kernel == KernelSeries::V6_12);
    if let Some(kernel) = of_the_story.or(kernels.last().copied()).filter(|_| replayed) {
        replay_of_july(kernel, &initramfs, filter, &mut tally)?;
    }
    let sound: Vec<_> = kernels.iter().copied().filter(|kernel| !failed.contains(kernel)).collect();
    match document {
        Document::Write => facts::write(&sound, filter, &facts)?,
        Document::Compare => facts::compare(kernels, filter, &facts, &mut tally),
    }
    println!("{tally}");
    Ok(tally.code())
}

/// Channel File 291, replayed: each row is a test.
fn replay_of_july(kernel: KernelSeries, initramfs: &Path, filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    let (rows, not_run) = demo::tests(kernel, initramfs, filter)?;
    for row in rows {
        let why = format!("{}\n{}", row.seen, row.words);
        tally.add(&format!("{kernel} {}", row.test), row.took, (!row.ok).then_some(&*why));
    }
    if let Some(why) = not_run {
        tally.not_run += 1;
        println!("{kernel} module:: ... NOT RUN: {why:#}");
    }
    Ok(())
}

/// What needs no VM and takes two minutes at most once everything is built: format, clippy, unit tests.
///
/// # Errors
/// Where these could not be run at all. Failed tests are counted, not errors.
pub fn quick() -> Result<ExitCode> {
    let started = Instant::now();
    setup::compiler()?;
    build::ebpf()?;
    let mut tally = Tally::default();
    here::style(&mut tally, Scope::Quick)?;
    here::units(&mut tally, Scope::Quick)?;
    println!("{tally}, {:.0} s", started.elapsed().as_secs_f64());
    Ok(tally.code())
}

//! What is tested in VMs: one boot for each kernel and each kind of machine that a test asks for.

use std::{
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{facts::Facts, tally::Tally};
use crate::{
    command, console,
    debian::{self, Job},
    project::{self, KernelSeries},
    protocol::{Message, Table, is_chosen},
    vm::{Clock, Failure, Machine, Root},
};

/// How long the tests of one boot may say nothing.
const LIMIT: Duration = Duration::from_mins(10);

/// The tests that share a boot.
struct Group {
    boot: String,
    arguments: String,
    tests: Vec<String>,
}

/// How many machines run at once: most of a test keeps one processor busy, and a machine has two.
const AT_ONCE: usize = 2;

/// What all machines together have shown.
pub struct Shown {
    /// The tests, counted.
    pub tally: Tally,
    /// What they found out.
    pub facts: Facts,
    /// The kernels on which one failed.
    pub failed: Vec<KernelSeries>,
}

impl Shown {
    /// Counts one test on a kernel.
    fn add(&mut self, kernel: KernelSeries, test: &str, time: Duration, failure: Option<&str>) {
        self.tally.add(&format!("{kernel} {test}"), time, failure);
        if failure.is_some() {
            self.failed.push(kernel);
        }
    }
}

/// Boots and tests each kernel, and first of all proves that a machine which goes down does not go unnoticed.
pub fn all(kernels: &[KernelSeries], filter: Option<&str>, initramfs: &Path, shown: &Mutex<Shown>) -> Result<()> {
    let groups = groups(filter, kernels == KernelSeries::ALL)?;
    if groups.is_empty() && filter.is_some() {
        bail!("no VM test has {:?} in its name", filter.unwrap_or_default());
    }
    if filter.is_none() {
        kernels.first().map_or(Ok(()), |kernel| crash(*kernel, initramfs, shown))?;
    }
    let waiting = Mutex::new(kernels.iter().copied());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(kernel) = next() {
            groups.iter().try_for_each(|group| boot(kernel, group, filter, initramfs, shown))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })
}

/// Lets a kernel panic, on purpose: the harness must say so.
fn crash(kernel: KernelSeries, initramfs: &Path, shown: &Mutex<Shown>) -> Result<()> {
    let started = Instant::now();
    let arguments = "creance.job=crash".to_owned();
    let machine = Machine {
        kernel,
        name: "crash",
        arguments,
        root: Root::Initramfs(initramfs),
        clock: Clock::Real,
        limit: Duration::from_mins(2),
    };
    let ending = machine.work(|_| {})?;
    let failure = match &ending {
        Err(Failure { why, .. }) if why.starts_with("kernel panic: ") => None,
        Err(Failure { why, .. }) => Some(format!("a kernel that panics is taken for: {why}")),
        Ok(()) => Some("a kernel that panics went unnoticed".to_owned()),
    };
    lock(shown).add(kernel, "harness::a_panic_is_noticed", started.elapsed(), failure.as_deref());
    Ok(())
}

/// What takes so long that it is not part of every run; its name in `tests/src/suite.rs`.
const LONG: &str = "long";

/// Those whose name contains `filter`; the long ones only where they are asked for by name, or `long` asks for all.
fn groups(filter: Option<&str>, long: bool) -> Result<Vec<Group>> {
    let list = command::output(Command::new(project::binary("vm-init")).arg("list"))?;
    let mut groups: Vec<Group> = Vec::new();
    for message in list.lines().filter_map(Message::parse) {
        let Message::Listed { test, boot, arguments } = message else { continue };
        let named = filter.is_some_and(|filter| is_chosen(&test, filter));
        if !(named || filter.is_none() && (long || boot != LONG)) {
            continue;
        }
        match groups.iter_mut().find(|group| group.boot == boot) {
            Some(group) => group.tests.push(test),
            None => groups.push(Group { boot, arguments, tests: vec![test] }),
        }
    }
    Ok(groups)
}

fn boot(
    kernel: KernelSeries,
    group: &Group,
    filter: Option<&str>,
    initramfs: &Path,
    shown: &Mutex<Shown>,
) -> Result<()> {
    let add = |test: &str, time, failure: Option<&str>| lock(shown).add(kernel, test, time, failure);
    let only = filter.map(|filter| format!(" creance.only={filter}")).unwrap_or_default();
    let machine = Machine {
        kernel,
        name: &format!("test-{}", group.boot),
        arguments: format!("{} creance.job=tests creance.boot={}{only}", group.arguments, group.boot),
        root: Root::Initramfs(initramfs),
        clock: Clock::Real,
        limit: LIMIT,
    };
    let mut waiting = group.tests.clone();
    let ending = machine.work(|message| match message {
        Message::Passed { test, millis } => {
            waiting.retain(|name| *name != test);
            add(&test, Duration::from_millis(millis), None);
        }
        Message::Failed { test, millis, why } => {
            waiting.retain(|name| *name != test);
            add(&test, Duration::from_millis(millis), Some(&why));
        }
        Message::NotHere { test, why } => {
            waiting.retain(|name| *name != test);
            let mut shown = lock(shown);
            shown.tally.not_here(&format!("{kernel} {test}"), &why);
            shown.facts.add(kernel, Table::NotHere, &test, &why);
        }
        Message::Fact { table, what, value } => lock(shown).facts.add(kernel, table, &what, &value),
        Message::Say { text } => println!("      {text}"),
        _ => {}
    })?;
    if let Err(Failure { why, tail }) = ending {
        let why = format!("{why}\n{}", console::tail(&tail, 20));
        add(&format!("machine {}", group.boot), Duration::ZERO, Some(&why));
    }
    for test in waiting {
        add(&test, Duration::ZERO, Some("did not run to its end: the machine stopped"));
    }
    Ok(())
}

/// The package on a Debian host: one boot, whose tests follow each other and end with the first that fails.
pub fn debian(kernel: KernelSeries, tally: &mut Tally) -> Result<()> {
    let add = |tally: &mut Tally, test: &str, time, failure: Option<&str>| {
        tally.add(&format!("{kernel} debian {test}"), time, failure);
    };
    let mut none = true;
    let ending = debian::work(kernel, Job::Package, "", |message| match message {
        Message::Passed { test, millis } => {
            none = false;
            add(tally, &test, Duration::from_millis(millis), None);
        }
        Message::Failed { test, millis, why } => {
            none = false;
            add(tally, &test, Duration::from_millis(millis), Some(&why));
        }
        Message::Say { text } => println!("      {text}"),
        _ => {}
    })?;
    match ending {
        Err(Failure { why, tail }) => add(tally, "machine", Duration::ZERO, Some(&format!("{why}\n{tail}"))),
        Ok(()) if none => add(tally, "machine", Duration::ZERO, Some("it tested nothing")),
        Ok(()) => {}
    }
    Ok(())
}

/// Sums of whole numbers, and a list: a thread that panicked left them whole.
fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

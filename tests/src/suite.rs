//! The list of tests, and how they are run.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::OnceLock,
    time::Instant,
};

use anyhow::{Result, anyhow};
use sensor_user::kernel::probe::{self, Mode};

use crate::{
    alerts, attack, block, brakes, confined, conformance, content, daemon, endurance, features, flood, forger, hooks,
    input, language, lifeline, losses, machine, meddling, output, paths, planner, preemption,
    protocol::{Message, is_chosen},
    quarantine, refusal, report, restart, shadow, sockets, stress, swap, tracepoints, undecided, uring, without_bpf,
};

/// The kinds of machine that tests ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// As Debian boots, with BPF among the security modules.
    Plain,
    /// The same, and every kernel thread and system call can be preempted.
    Preempt,
    /// Without BPF among the security modules: the daemon chooses to decide whether the functions run that ask them.
    WithoutBpf,
    /// The same machine; the daemon is started in the mode that only observes these functions.
    Observe,
    /// As preempt; what takes so long that it runs on all kernels together only, or where it is asked for by name.
    Long,
    /// Any: the daemon is started in the mode that observes tracepoints of system calls.
    Tracepoints,
}

/// The mode in which daemons are started, where it is not theirs to choose.
static MODE: OnceLock<Mode> = OnceLock::new();

/// The mode that daemons are told to take; `None` where they choose.
pub fn told_mode() -> Option<Mode> {
    MODE.get().copied()
}

/// The mode in which daemons are.
pub fn mode() -> Mode {
    told_mode().unwrap_or_else(probe::mode)
}

impl Boot {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Preempt => "preempt",
            Self::WithoutBpf => "without-bpf",
            Self::Observe => OBSERVE,
            Self::Long => LONG,
            Self::Tracepoints => TRACEPOINTS,
        }
    }

    /// Kernel arguments.
    const fn arguments(self) -> &'static str {
        match self {
            Self::Plain => "lsm=landlock,lockdown,yama,bpf",
            Self::Preempt | Self::Long => "lsm=landlock,lockdown,yama,bpf preempt=full",
            Self::WithoutBpf | Self::Observe | Self::Tracepoints => "lsm=landlock,lockdown,yama",
        }
    }
}

/// A test does not apply on this kernel: this is why. Returned as an error, it is told apart from a failure, and shown.
#[derive(Debug)]
pub struct NotHere(pub &'static str);

impl std::fmt::Display for NotHere {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.0)
    }
}

impl std::error::Error for NotHere {}

/// The name of the machines for [`Boot::Long`], which `cargo xtask` knows too.
const LONG: &str = "long";
/// The name of the machines for [`Boot::Observe`].
const OBSERVE: &str = "observe";
/// The name of the machines for [`Boot::Tracepoints`]; the same tests run in a [`room`](crate::room) of this machine.
pub const TRACEPOINTS: &str = "tracepoints";

/// One test.
pub struct Test {
    /// `subject::what_holds`.
    pub name: &'static str,
    /// Where it runs.
    pub boot: Boot,
    /// Runs it.
    pub run: fn() -> Result<()>,
}

/// All tests, in the order in which they run.
pub const TESTS: &[&[Test]] = &[
    machine::TESTS,
    features::TESTS,
    // With the daemon that tests share.
    alerts::TESTS,
    block::TESTS,
    paths::TESTS,
    sockets::TESTS,
    undecided::TESTS,
    brakes::TESTS,
    lifeline::TESTS,
    meddling::TESTS,
    forger::TESTS,
    conformance::TESTS,
    quarantine::TESTS,
    uring::TESTS,
    hooks::TESTS,
    refusal::TESTS,
    input::TESTS,
    language::TESTS,
    swap::TESTS,
    planner::TESTS,
    losses::TESTS,
    // With daemons of their own.
    content::TESTS,
    confined::TESTS,
    flood::TESTS,
    daemon::TESTS,
    restart::TESTS,
    output::TESTS,
    shadow::TESTS,
    attack::TESTS,
    preemption::TESTS,
    stress::TESTS,
    endurance::TESTS,
    without_bpf::TESTS,
    tracepoints::TESTS,
];

/// Prints every test as a [`Message::Listed`].
pub fn list() {
    for test in TESTS.iter().copied().flatten() {
        let (boot, arguments) = (test.boot.name().to_owned(), test.boot.arguments().to_owned());
        print!("{}", Message::Listed { test: test.name.to_owned(), boot, arguments }.line());
    }
}

/// Runs the tests of one kind of machine, those that `only` chooses, and reports each.
pub fn run(boot: &str, only: Option<&str>) {
    if boot == TRACEPOINTS {
        MODE.get_or_init(|| Mode::Tracepoints);
    }
    if boot == OBSERVE {
        MODE.get_or_init(|| Mode::Observe);
    }
    let chosen = TESTS
        .iter()
        .copied()
        .flatten()
        .filter(|test| test.boot.name() == boot && only.is_none_or(|only| is_chosen(test.name, only)));
    for test in chosen {
        let name = test.name.to_owned();
        report::send(&Message::Started { test: name.clone() });
        let started = Instant::now();
        let result =
            catch_unwind(AssertUnwindSafe(test.run)).unwrap_or_else(|panic| Err(anyhow!("{}", words(&*panic))));
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        report::send(&match result {
            Ok(()) => Message::Passed { test: name, millis },
            Err(error) if error.is::<NotHere>() => Message::NotHere { test: name, why: format!("{error:#}") },
            Err(error) => Message::Failed { test: name, millis, why: format!("{error:#}") },
        });
    }
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}

//! The list of tests, and how they are run.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use anyhow::anyhow;
use sensor_user::kernel::probe::Mode;

pub use crate::case::{Boot, NotHere, TRACEPOINTS, Test, mode, told_mode};
use crate::{
    alerts, attack, block, brakes,
    case::{self, OBSERVE},
    confined, conformance, content, daemon, endurance, features, flood, forger, hooks, input, lacking, language,
    lifeline, losses, machine, meddling, output, paths, planner, preemption,
    protocol::{Message, is_chosen},
    quarantine, refusal, report, restart, shadow, sockets, stress, swap, tracepoints, undecided, uring, without_bpf,
};

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
    lacking::TESTS,
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
        case::tell_mode(Mode::Tracepoints);
    }
    if boot == OBSERVE {
        case::tell_mode(Mode::Observe);
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

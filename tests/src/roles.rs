//! The roles of the processes that tests watch: `vm-init work ROLE …`.

use std::{io, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Result, bail};

use crate::{attack, conformance, endurance, flood, forger, preemption, quarantine, uring, work};

/// Plays a role.
///
/// # Errors
/// Where there is none of this name, or it cannot be played.
pub fn play(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["hammer", number, rounds] => preemption::hammer(number.parse()?, rounds.parse()?),
        ["opener", path] => flood::opener(path),
        ["forger", way] => forger::forger(way),
        ["guarded"] => forger::opener(),
        ["idler", path] => preemption::idler(path),
        [role @ ("great-grandparent" | "grandparent" | "parent")] => conformance::above(role),
        ["attack", part, name] => attack::play(part, name),
        ["attack-open", path] => attack::open(path),
        ["actor"] => conformance::actor(),
        ["ring-opener", way] => uring::opener(way),
        ["ring-taker", way, request] => quarantine::taker(way, request),
        ["sender", way] => quarantine::sender(way),
        ["victim", way] => quarantine::victim(way),
        ["pump", operations] => endurance::pump(operations.parse()?),
        ["as", user, program, rest @ ..] => bail!("cannot start {program}: {}", as_user(user.parse()?, program, rest)),
        ["first", program, rest @ ..] => work::first(program, rest),
        ["take", way] => quarantine::take(way),
        _ => bail!("no such role: {arguments:?}"),
    }
}

/// Runs a program as a user, in the place of this process; why that failed.
fn as_user(user: u32, program: &str, arguments: &[&str]) -> io::Error {
    Command::new(program).args(arguments).uid(user).gid(user).exec()
}

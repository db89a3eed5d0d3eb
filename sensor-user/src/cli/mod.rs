//! The command line: one file per command.

mod brakes;
mod bundle;
mod check;
mod connection;
mod daemon;
mod doctor;
mod done;
mod enforce;
mod events;
mod explain;
mod fields;
mod history;
mod policy;
mod push;
mod quarantine;
mod recover;
mod repo;
mod rollback;
mod rollout;
mod status;
mod test;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};
use sensor_content::printable::Plain;

use crate::{cli::done::Done, control::client, daemon::generations::bundle_tests, log::say};

/// An endpoint sensor for Linux: eBPF programs watch how processes talk to each other. You push rules while it runs,
/// and the kernel's verifier refuses unsafe ones.
#[derive(Debug, Parser)]
#[command(name = "creance", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused or failed: rules with problems, failed tests, a push that changed nothing, a daemon that cannot start
  2  the command line is wrong
  3  no daemon answers";

#[derive(Debug, Subcommand)]
enum Command {
    Daemon(daemon::Daemon),
    Check(check::Check),
    Test(test::Test),
    Explain(explain::Explain),
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    #[command(subcommand)]
    Policy(policy::Commands),
    #[command(subcommand)]
    Repo(repo::Repo),
    #[command(subcommand)]
    Rollout(rollout::Command),
    Push(push::Push),
    Status(status::Status),
    History(history::History),
    Recover(recover::Recover),
    #[command(name = bundle_tests::COMMAND, hide = true)]
    SelfTest,
    Events(events::Events),
    Rollback(rollback::Rollback),
    Enforce(enforce::Enforce),
    Brakes(brakes::Brakes),
    Quarantine(quarantine::Quarantine),
    Fields(fields::Fields),
    Doctor(doctor::Doctor),
}

/// All commands and options, for man pages and shell completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    let mut out = Plain::new(io::stdout().lock());
    let result = Cli::parse().command.run(&mut out).and_then(|done| Ok(out.flush().map(|()| done)?));
    match result {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::Badly) => ExitCode::from(1),
        // `creance … | head`: the reader has what it wanted.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("{error:#}"));
            let unreachable = matches!(error.downcast_ref(), Some(client::Error::Unreachable { .. }));
            ExitCode::from(if unreachable { 3 } else { 1 })
        }
    }
}

impl Command {
    fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        match self {
            Self::Daemon(command) => command.run(),
            Self::Check(command) => command.run(out),
            Self::Test(command) => command.run(out),
            Self::Explain(command) => command.run(out),
            Self::Bundle(command) => command.run(out),
            Self::Policy(command) => command.run(out),
            Self::Repo(command) => command.run(out),
            Self::Rollout(command) => command.run(out),
            Self::Push(command) => command.run(out),
            Self::Status(command) => command.run(out),
            Self::History(command) => command.run(out),
            Self::Recover(command) => command.run(out),
            Self::SelfTest => {
                let (said, well) = bundle_tests::child();
                writeln!(out, "{said}")?;
                Ok(if well { Done::Well } else { Done::Badly })
            }
            Self::Events(command) => command.run(out),
            Self::Rollback(command) => command.run(out),
            Self::Enforce(command) => command.run(out),
            Self::Brakes(command) => command.run(out),
            Self::Quarantine(command) => command.run(out),
            Self::Fields(command) => command.run(out),
            Self::Doctor(command) => command.run(out),
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

//! `cargo xtask simulate`: a release meets millions of virtual hosts.
//!
//! | Module | Holds |
//! |---|---|
//! | [`scenario`] | what is wrong with the release or the world, and who sends it out |
//! | [`fleet`] | what each host is, when it is online, what its owner chose |
//! | [`publisher`] | the project's plan, judge and controller; and what others did |
//! | [`engine`], [`wheel`] | the hosts' life, second by second |
//! | [`observer`] | what health the controller gets to see |
//! | [`tally`], [`report`], [`plot`] | what came of it |

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "hosts are fewer than 2²⁴, seconds fewer than 2³², and figures are rounded for people"
)]

mod engine;
mod fleet;
mod observer;
mod plot;
mod publisher;
mod report;
mod scenario;
mod tally;
#[cfg(test)]
mod tests;
mod wheel;

use std::{fs, path::PathBuf, process::ExitCode, thread, time::Instant};

use anyhow::{Context as _, Result, bail};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _},
};

use engine::Simulation;
use fleet::Fleet;
use publisher::RELEASE;
use report::Report;
use scenario::{Failure, Scenario, Strategy};
use tally::Tally;
use wheel::HOSTS_MAX;

/// What `cargo xtask simulate` is asked.
#[derive(Args)]
pub struct Arguments {
    /// What is wrong with the release, or with the world
    #[arg(value_parser = PossibleValuesParser::new(Scenario::ALL.iter().map(|scenario| scenario.name)).try_map(|name| name.parse::<Scenario>()))]
    scenario: Scenario,
    /// Another seed, another fleet
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Virtual hosts
    #[arg(long, default_value_t = 8_500_000)]
    hosts: u32,
    /// So many releases, one after the other, and count the false halts; only for `good`
    #[arg(long, conflicts_with = "svg")]
    releases: Option<u64>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Draw the curves, too
    #[arg(long)]
    svg: Option<PathBuf>,
}

/// Simulates and prints.
///
/// # Errors
/// Where the arguments make no sense, or a file cannot be written.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { scenario, seed, hosts, releases, json, svg } = arguments;
    if !(1_000..HOSTS_MAX).contains(hosts) {
        bail!("--hosts must be from 1000 to {}, not {hosts}", HOSTS_MAX - 1);
    }
    let started = Instant::now();
    if let Some(releases) = releases {
        if scenario.failure != Failure::None {
            bail!("--releases counts false halts, and `{}` is no good release; use `good`", scenario.name);
        }
        println!("{}", false_halts(scenario, *hosts, *seed, *releases)?.text(*json)?);
    } else {
        let report =
            Report { scenario: *scenario, hosts: *hosts, seed: *seed, outcomes: simulate(scenario, *hosts, *seed)? };
        println!("{}", report.text(*json)?);
        if let Some(path) = svg {
            fs::write(path, plot::svg(&report)).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    eprintln!("{:.0} s, {} MiB at the peak", started.elapsed().as_secs_f64(), peak_memory());
    Ok(ExitCode::SUCCESS)
}

/// What came of a scenario, for whoever shows it elsewhere.
pub struct Brief {
    /// Each way to send the release out: its name, hosts harmed, and hosts that needed a hand.
    pub outcomes: Vec<(&'static str, u64, u64)>,
    /// The curves.
    pub svg: String,
}

/// Simulates the scenario of this name on so many hosts.
///
/// # Errors
/// Where there is none of this name.
pub fn brief(name: &str, hosts: u32) -> Result<Brief> {
    let scenario: Scenario = name.parse().map_err(anyhow::Error::msg)?;
    let report = Report { scenario, hosts, seed: 1, outcomes: simulate(&scenario, hosts, 1)? };
    let outcome = |(strategy, tally): &(Strategy, Tally)| (strategy.name(), tally.harmed, tally.repairs);
    Ok(Brief { outcomes: report.outcomes.iter().map(outcome).collect(), svg: plot::svg(&report) })
}

/// Every strategy of a scenario on the same fleet, each in a thread of its own.
fn simulate(scenario: &Scenario, hosts: u32, seed: u64) -> Result<Vec<(Strategy, Tally)>> {
    let fleet = Fleet::new(hosts, seed, RELEASE, scenario.absent());
    thread::scope(|scope| {
        let run = |strategy: Strategy| {
            let fleet = &fleet;
            scope.spawn(move || Ok((strategy, Simulation::new(fleet, *scenario, strategy, seed)?.run())))
        };
        let threads: Vec<_> = scenario.strategies.iter().copied().map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("the simulation panicked"))).collect()
    })
}

/// Good releases, each to a fleet of its own.
fn false_halts(scenario: &Scenario, hosts: u32, seed: u64, releases: u64) -> Result<report::FalseHalts> {
    let mut counted =
        report::FalseHalts { releases, hosts, seed, stopped: Vec::new(), paused: Vec::new(), arrived: Vec::new() };
    counted.stopped = scenario.strategies.iter().map(|strategy| (*strategy, 0)).collect();
    counted.paused = counted.stopped.clone();
    counted.arrived = counted.stopped.clone();
    for release in 0..releases {
        for (index, (_, tally)) in simulate(scenario, hosts, seed + release)?.into_iter().enumerate() {
            counted.stopped[index].1 += u64::from(tally.halted.is_some());
            counted.paused[index].1 += u64::from(tally.paused_minutes > 0);
            counted.arrived[index].1 += u64::from(tally.protected.is_some());
            if tally.halted.is_some() {
                eprintln!("seed {}: {}", seed + release, tally.reasons.join("; "));
            }
        }
    }
    Ok(counted)
}

/// MiB, from the kernel's own book-keeping; 0 where that cannot be read.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

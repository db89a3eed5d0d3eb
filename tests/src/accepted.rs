//! Everything that passes our checks is accepted by this kernel's verifier: random rule sets by the thousand, and the largest.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use sensor_proof::{
    largest::{self, Large},
    random::{Random, rule_file},
};
use sensor_rules::{Options, RuleSet, Source, check};
use sensor_user::kernel::{self, Refusal, Sensor};

use crate::{report, suite};

/// How often the progress is told, in rule sets.
const TOLD: u64 = 500;

/// What the kernel said.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// Rule sets accepted.
    pub accepted: u64,
    /// Rule sets for an event that this kernel does not have.
    pub absent: u64,
    /// Rule sets refused.
    pub refused: u64,
}

/// A sensor that verifies and attaches nothing.
///
/// # Errors
/// Where it does not start.
pub fn sensor() -> Result<Sensor> {
    let pin_dir = PathBuf::from("/sys/fs/bpf/accepted");
    Sensor::start(&kernel::Options {
        mode: suite::mode(),
        pin_dir,
        ring_bytes: 4096,
        patience: std::time::Duration::ZERO,
        when_gone: kernel::WhenGone::Detach,
        reports: 0,
    })
}

/// Lets the verifier judge so many random rule sets. Refusals are told as they come, with the rules.
///
/// # Errors
/// Where random rules do not pass our own checks.
pub fn random_sets(sensor: &mut Sensor, seed: u64, sets: u64) -> Result<Verdicts> {
    let mut verdicts = Verdicts::default();
    let started = Instant::now();
    for set in 0..sets {
        let mut random = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(set));
        let (_, text) = rule_file(&mut random);
        let rules = sensor_proof::case::rules(&text)?;
        match sensor.verify(&rules) {
            Ok(_) => verdicts.accepted += 1,
            Err(Refusal::Kernel(why)) if is_absent(&why) => verdicts.absent += 1,
            Err(refusal) => {
                verdicts.refused += 1;
                say(format!("REFUSED: seed {seed}, set {set}: {refusal}\n{text}"));
            }
        }
        if (set + 1) % TOLD == 0 {
            say(format!("{} rule sets, {} s: {verdicts:?}", set + 1, started.elapsed().as_secs()));
        }
    }
    Ok(verdicts)
}

/// Lets the verifier judge a large rule set; says what it took.
///
/// # Errors
/// Where the checks or the verifier refuse it.
pub fn large(sensor: &mut Sensor, Large { name, sources }: &Large) -> Result<()> {
    let rules = checked(sources).with_context(|| (*name).to_owned())?;
    let started = Instant::now();
    let programs = sensor.verify(&rules).map_err(|refusal| anyhow::anyhow!("{name}: {refusal}"))?;
    let sizes: Vec<_> = programs
        .iter()
        .map(|program| format!("{}/{}", program.verified_instructions.unwrap_or(0), program.instructions))
        .collect();
    say(format!(
        "{name}: {} rules accepted in {:.1} s, instructions looked at/of: {}",
        rules.rules().len(),
        started.elapsed().as_secs_f64(),
        sizes.join(" ")
    ));
    Ok(())
}

/// The long run: random rule sets, and the largest.
///
/// # Errors
/// Where it cannot be done.
pub fn long_run(seed: u64, sets: u64) -> Result<bool> {
    let mut sensor = sensor()?;
    let mut fine = true;
    for set in largest::all() {
        if let Err(error) = large(&mut sensor, &set) {
            fine = false;
            say(format!("REFUSED: {error:#}"));
        }
    }
    let started = Instant::now();
    let verdicts = random_sets(&mut sensor, seed, sets)?;
    say(format!("seed {seed}: {sets} random rule sets in {} s: {verdicts:?}", started.elapsed().as_secs()));
    Ok(fine && verdicts.refused == 0 && verdicts.accepted > sets / 2)
}

fn checked(sources: &[Source]) -> Result<RuleSet> {
    Ok(check(sources, Options::default())?)
}

/// Whether the kernel has no such hook: no verifier has refused anything.
fn is_absent(why: &anyhow::Error) -> bool {
    format!("{why:#}").contains("this kernel has no")
}

fn say(text: String) {
    report::say(text);
}

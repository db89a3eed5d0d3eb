//! Everything that passes our checks is accepted by a kernel's verifier: random rule sets by the thousand,
//! and the largest.
//!
//! Who asks which verifier is the caller's to say: this machine's by socket filters ([`here`]), or that of a
//! VM by the sensor's own hooks.

use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use sensor_rules::{Options, RuleSet, check};
use sensor_user::{api::kernel::LoadedProgram, kernel::test_run::TestRun};

use crate::{
    case,
    largest::{self, Large},
    random::{Random, rule_file},
};

/// How often the progress is told, in rule sets.
const TOLD: u64 = 50;

/// What a kernel said of some rule sets.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// Rule sets accepted.
    pub accepted: u64,
    /// Rule sets for an event that this kernel does not have.
    pub absent: u64,
    /// Rule sets refused.
    pub refused: u64,
}

impl Verdicts {
    /// Whether they prove anything, and nothing was refused.
    pub const fn are_fine(&self) -> bool {
        self.refused == 0 && self.accepted > self.absent
    }
}

/// A way to ask a kernel's verifier, and to tell what it says.
pub trait Verifier {
    /// The programs of `rules` as they were accepted; `None` where they are for an event that the kernel does not have.
    ///
    /// # Errors
    /// They were refused: the reason.
    fn verify(&mut self, rules: &RuleSet) -> Result<Option<Vec<LoadedProgram>>>;

    /// Says something to whoever reads the run.
    fn say(&mut self, text: String);
}

/// This machine's kernel.
pub struct Here;

impl Verifier for Here {
    fn verify(&mut self, rules: &RuleSet) -> Result<Option<Vec<LoadedProgram>>> {
        Ok(Some(TestRun::load(rules)?.programs()))
    }

    fn say(&mut self, text: String) {
        println!("{text}");
    }
}

/// The random rule set with this number, of a seed.
fn random_set(seed: u64, set: u64) -> String {
    rule_file(&mut Random::new(seed.wrapping_mul(1_000_003).wrapping_add(set))).1
}

/// Lets the verifier judge so many random rule sets. Refusals are told as they come, with the rules.
///
/// # Errors
/// Where random rules do not pass our own checks.
pub fn random_sets(verifier: &mut impl Verifier, seed: u64, sets: u64) -> Result<Verdicts> {
    let mut verdicts = Verdicts::default();
    let started = Instant::now();
    for set in 0..sets {
        let text = random_set(seed, set);
        match verifier.verify(&case::rules(&text)?) {
            Ok(Some(_)) => verdicts.accepted += 1,
            Ok(None) => verdicts.absent += 1,
            Err(refusal) => {
                verdicts.refused += 1;
                verifier.say(format!("REFUSED: seed {seed}, set {set}: {refusal:#}\n{text}"));
            }
        }
        if (set + 1) % TOLD == 0 {
            verifier.say(format!("{} rule sets, {} s: {verdicts:?}", set + 1, started.elapsed().as_secs()));
        }
    }
    Ok(verdicts)
}

/// Lets the verifier judge a large rule set; says what it took.
///
/// # Errors
/// Where the checks or the verifier refuse it.
pub fn large(verifier: &mut impl Verifier, Large { name, sources }: &Large) -> Result<()> {
    let rules = check(sources, Options::default()).with_context(|| (*name).to_owned())?;
    let started = Instant::now();
    let programs = verifier.verify(&rules).with_context(|| (*name).to_owned())?;
    let programs = programs.ok_or_else(|| anyhow!("{name}: this kernel has no such event"))?;
    let sizes: Vec<_> = programs
        .iter()
        .map(|program| format!("{}/{}", program.verified_instructions.unwrap_or(0), program.instructions))
        .collect();
    verifier.say(format!(
        "{name}: {} rules accepted in {:.1} s, instructions looked at/of: {}",
        rules.rules().len(),
        started.elapsed().as_secs_f64(),
        sizes.join(" ")
    ));
    Ok(())
}

/// The long run: the largest rule sets, unless they are left out, and random ones. Returns whether everything
/// was accepted.
///
/// # Errors
/// Where it cannot be done.
pub fn long_run(verifier: &mut impl Verifier, seed: u64, sets: u64, random_only: bool) -> Result<bool> {
    let mut fine = true;
    for set in if random_only { Vec::new() } else { largest::all() } {
        if let Err(error) = large(verifier, &set) {
            fine = false;
            verifier.say(format!("REFUSED: {error:#}"));
        }
    }
    let started = Instant::now();
    let verdicts = random_sets(verifier, seed, sets)?;
    verifier.say(format!("seed {seed}: {sets} random rule sets in {} s: {verdicts:?}", started.elapsed().as_secs()));
    Ok(fine && (sets == 0 || verdicts.are_fine()))
}

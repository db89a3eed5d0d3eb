//! The rules of what is stored, as they may come into force.

use sensor_content::store::Rung;
use sensor_rules::{RuleSet, Source};

use super::{keeper::Keeper, permit::Permit};
use crate::rule_files::baseline;

/// A generation of the store, or the baseline.
pub struct Stored {
    /// Its number; 0 for the baseline.
    pub number: u64,
    /// Its files.
    pub sources: Vec<Source>,
    /// Its rules, restrained to what is permitted.
    pub rules: RuleSet,
}

/// What is permitted; `None` for nothing at all.
///
/// # Errors
/// What is wrong with it, in words.
pub fn permitted(keeper: &Keeper, permit: &mut Permit) -> Result<Option<Stored>, String> {
    Ok(match permit.rung() {
        Rung::Nothing => None,
        Rung::Baseline => {
            let rules = baseline::rules().map_err(|error| error.to_string())?;
            Some(Stored { number: 0, sources: baseline::sources(), rules })
        }
        Rung::Generation(id) => {
            let keys = keeper.settings().keys().map_err(|error| format!("{error:#}"))?;
            let bundle = keeper.store.bundle(id, &keys)?;
            let rules = bundle.rules().map_err(|error| error.to_string())?;
            Some(Stored { number: id.number, sources: bundle.sources().to_vec(), rules: permit.restrain(rules) })
        }
    })
}

//! Leave to put something in force. Only [`Keeper::admit`](super::keeper::Keeper::admit) gives it, and
//! nothing is loaded without: so every road is asked by the same [`gate`](sensor_content::gate).

mod admission;

use sensor_content::{policy::Actions, store::Rung};
use sensor_rules::RuleSet;

/// Proof that the keeper admitted a generation.
#[derive(Clone, Debug)]
pub struct Permit {
    rung: Rung,
    actions: Actions,
    silenced: Vec<String>,
    restrained: Vec<String>,
}

impl Permit {
    /// For a daemon that keeps no generations: it has no owner whom it could ask.
    pub fn of_nobody(rung: Rung) -> Self {
        Self { rung, actions: Actions::default(), silenced: Vec::new(), restrained: Vec::new() }
    }

    /// What may come into force.
    pub const fn rung(&self) -> Rung {
        self.rung
    }

    /// What its rules may do.
    pub const fn actions(&self) -> &Actions {
        &self.actions
    }

    /// Rules that only alert, because the owner does not permit what they ask for.
    pub fn restrained(&self) -> &[String] {
        &self.restrained
    }

    /// The rules as they may come into force: those that were too loud are silent, and those that ask for too
    /// much only alert.
    pub fn restrain(&mut self, rules: RuleSet) -> RuleSet {
        let rules = rules.silenced(|rule| self.silenced.contains(&rule.id));
        let (rules, restrained) = rules.restrained(|event, action| self.actions.permit(event, action));
        self.restrained = restrained;
        rules
    }
}

/// Number of what is in force on this rung, as `creance status` says it.
pub const fn number(rung: Rung) -> u64 {
    match rung {
        Rung::Generation(id) => id.number,
        Rung::Baseline | Rung::Nothing => 0,
    }
}

/// What is in force on this rung, in words.
pub fn name(rung: Rung) -> String {
    match rung {
        Rung::Generation(id) => format!("generation {id}"),
        Rung::Baseline => "the baseline".into(),
        Rung::Nothing => "observing nothing".into(),
    }
}

/// Whether two ways to load the same rules come to the same.
pub fn asks_the_same(one: &RuleSet, other: &RuleSet) -> bool {
    let asks = |rules: &RuleSet| rules.rules().iter().map(|rule| (rule.action, rule.undecided)).collect::<Vec<_>>();
    asks(one) == asks(other)
}

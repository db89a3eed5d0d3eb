//! What became of a push, in the words of the protocol.

use std::time::Duration;

use sensor_common::event::Mode;
use sensor_content::gate::Objection;
use sensor_rules::RuleSet;

use crate::{
    api::protocol::{Pushed, Refused, Refuser},
    kernel::{self, Activation, Hierarchies, Refusal},
};

/// Why nothing changed.
pub enum Cause {
    /// The rules, the verifier or the kernel.
    Refusal(Refusal),
    /// The daemon, in these words.
    Daemon(&'static str),
    /// Somebody else, in these words.
    Said(Refuser, String),
}

impl From<Refusal> for Cause {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Objection> for Cause {
    fn from(objection: Objection) -> Self {
        let by = match objection {
            Objection::Denied(_) | Objection::Old(_) => Refuser::Daemon,
            Objection::Waits(_) | Objection::Unwanted(_) => Refuser::Policy,
        };
        Self::Said(by, objection.to_string())
    }
}

/// The refusal as it is sent; `active` is the generation in force.
pub fn refused(cause: Cause, active: Option<u64>) -> Refused {
    let refusal = match cause {
        Cause::Refusal(refusal) => refusal,
        Cause::Daemon(message) => {
            return Refused { by: Refuser::Daemon, message: message.into(), diagnostics: None, verifier: None, active };
        }
        Cause::Said(by, message) => return Refused { by, message, diagnostics: None, verifier: None, active },
    };
    let message = refusal.to_string();
    let (by, diagnostics, verifier) = match refusal {
        Refusal::Content(diagnostics) => (Refuser::Checks, Some(diagnostics), None),
        Refusal::Verifier(refusal) => (Refuser::Verifier, None, Some(*refusal)),
        Refusal::Kernel(_) => (Refuser::Kernel, None, None),
    };
    Refused { by, message, diagnostics, verifier, active }
}

/// The answer to a push of `rules` that led to this activation.
pub fn pushed(activation: &Activation, rules: &RuleSet, mode: Mode) -> Pushed {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Pushed {
        generation: activation.generation,
        previous: activation.previous,
        shadow: None,
        transient: false,
        rules: rules.rules().len(),
        unseen: kernel::unseen(rules, mode),
        warnings: activation.missing.iter().cloned().chain(Hierarchies::of_this_host().warning(rules)).collect(),
        programs: activation.programs.clone(),
        compile_us: micros(activation.compile_time),
        verify_us: micros(activation.verify_time),
        switch_us: micros(activation.switch_time),
    }
}

/// The first line of what may be several.
pub fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

//! Why nothing changed, in the words of the protocol.

use sensor_content::gate::Objection;

use crate::{
    control::protocol::{Refused, Refuser},
    kernel::Refusal,
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

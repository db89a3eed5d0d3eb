//! The programs that are explained: those that hooks call.

use sensor_common::event::{Event, Mode};

use crate::{
    diagnostic::Diagnostics,
    emit::{self, Part, Target},
    rule::RuleSet,
};

/// The programs for one event.
pub fn of(rules: &RuleSet, event: Event) -> Result<Vec<Part<'_>>, Diagnostics> {
    emit::parts(rules, event, Target::Hook(Mode::Lsm))
}

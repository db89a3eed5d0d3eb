//! What a mode cannot see.

use sensor_common::event::{Event, Mode};
use sensor_rules::RuleSet;

use crate::api::kernel::Unseen;

/// All events that rules in `rules` are for and that cannot be seen in this mode.
pub fn unseen(rules: &RuleSet, mode: Mode) -> Vec<Unseen> {
    let unseen = Event::ALL.iter().filter(|event| !event.hook().is_seen_in(mode));
    let of = |event: &Event| Unseen {
        event: event.name().to_owned(),
        rules: rules
            .rules()
            .iter()
            .filter(|rule| rule.events.contains(event) || rule.first_events().contains(event))
            .map(|rule| rule.id.clone())
            .collect(),
    };
    unseen.map(of).filter(|unseen| !unseen.rules.is_empty()).collect()
}

/// What is to be said of [`Mode::Tracepoints`] before anything else: what it does not do, and what it does not see.
pub fn tracepoints_see() -> String {
    let (seen, unseen): (Vec<_>, Vec<_>) =
        Event::ALL.iter().partition(|event| event.hook().is_seen_in(Mode::Tracepoints));
    let names = |events: Vec<&Event>| events.iter().map(|event| event.name()).collect::<Vec<_>>().join(", ");
    format!(
        "Creance observes system calls by their tracepoints: it reports matches, and cannot block, quarantine or kill. \
         An event comes after its call, and only where that succeeded; what a call pointed to can have been changed by then. \
         Calls of 32-bit programs and through io_uring are not seen. \
         Events seen: {}. Events NOT seen: {}. Single operations that are not seen either: docs/gaps.md.",
        names(seen),
        names(unseen)
    )
}

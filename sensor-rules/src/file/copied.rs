//! The events that a rule is for without naming them, because it reads the payload.

use sensor_common::event::{Event, Groups};

use crate::expr::Cond;

/// The events, and those that a condition which reads the payload is for too ([`Event::copied`]).
pub(super) fn with_copied(mut events: Vec<Event>, condition: &Cond) -> Vec<Event> {
    if condition.groups().meets(Groups::PAYLOAD) {
        let copied: Vec<_> = events.iter().filter_map(|event| event.copied()).collect();
        events.extend(copied);
        events.sort_unstable();
        events.dedup();
    }
    events
}

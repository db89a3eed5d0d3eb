//! Rules on the payload of a message are also on the event of its copy.

use sensor_common::event::{Event, Groups};

use crate::expr::Cond;

/// The events, and those that a condition which reads the payload is for too ([`Event::copied`]).
pub fn with_copied(mut events: Vec<Event>, condition: &Cond) -> Vec<Event> {
    if condition.groups().meets(Groups::PAYLOAD) {
        let copied: Vec<_> = events.iter().filter_map(|event| event.copied()).collect();
        events.extend(copied);
        events.sort_unstable();
        events.dedup();
    }
    events
}

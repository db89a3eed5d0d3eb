//! The kernel side's counters by name.

use std::collections::BTreeMap;

use sensor_common::{
    event::Event,
    maps::{Counters, Kept, Loss},
    verdict::Outcome,
};

use crate::api::status::Counted;

/// The counts of the kernel side, by event.
pub fn by_event(counters: &Counters) -> BTreeMap<String, Counted> {
    let count = |event: &Event| Counted {
        judged: counters.judged[*event as usize],
        matched: counters.matched[*event as usize],
    };
    Event::ALL.iter().map(|event| (event.name().into(), count(event))).collect()
}

/// The counts of the kernel side, by outcome.
pub fn by_outcome(counters: &Counters) -> BTreeMap<String, u64> {
    Outcome::ALL.iter().map(|outcome| (outcome.name().into(), counters.outcomes[*outcome as usize])).collect()
}

/// The losses of the kernel side, by reason.
pub fn by_reason(counters: &Counters) -> BTreeMap<String, u64> {
    Loss::ALL.iter().map(|loss| (loss.name().into(), counters.lost[*loss as usize])).collect()
}

/// What the quarantine did, by deed.
pub fn by_deed(counters: &Counters) -> BTreeMap<String, u64> {
    Kept::ALL.iter().map(|kept| (kept.name().into(), counters.kept[*kept as usize])).collect()
}

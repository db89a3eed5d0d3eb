//! How many reports one rule may send of one process in a second, so that a noisy rule leaves room in the
//! ring buffer for the others; how many one user may cause where that is half full, so that there is room for
//! others, however many processes he has; and whether there is room at all.
//!
//! Only the report is left out: the event is judged, counted and acted on as ever.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE},
    macros::map,
    maps::LruHashMap,
};
use sensor_common::{
    actor::witness,
    maps::{EVENT_ROOM, RATES_MAX, Rate, RateKey},
    record::Record,
    verdict::{RULES_MAX, rule_number},
};

use crate::{
    actor, asm,
    maps::{EVENTS, RECORDS, SETTINGS},
    noise,
    record::Held,
};

const SECOND: u64 = 1_000_000_000;

#[map]
static RATES: LruHashMap<RateKey, Rate> = LruHashMap::with_max_entries(RATES_MAX, 0);

/// Whether a report of an event is sent, and why not.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Withheld {
    No,
    /// Each of its rules has reported enough.
    Limited,
    /// The ring buffer has no room.
    Full,
}

/// Notes whether the event is reported, and counts it for each of its rules. The record's time must have been noted.
#[inline(always)]
pub fn apply(held: &mut Held) {
    let withheld = is_withheld(held.scratch.slot());
    held.scratch.withheld.set(withheld);
}

/// A [`Withheld`]. A global function to the verifier, see [`walk_path`](crate::path).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn is_withheld(slot: u32) -> u32 {
    (if is_over(slot) { Withheld::Limited } else { room(slot) }) as u32
}

/// Whether the ring buffer has room for a report (`__bpf_ringbuf_reserve` of the kernel): in a flood, what
/// cannot be sent is not filled either.
#[inline(always)]
fn room(slot: u32) -> Withheld {
    let taken = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) + EVENT_ROOM;
    let size = EVENTS.query(u64::from(BPF_RB_RING_SIZE));
    if taken >= size {
        Withheld::Full
    } else if taken > size / 2 && is_user_over(slot) {
        Withheld::Limited
    } else {
        Withheld::No
    }
}

/// Counts the report for its user; whether every rule has reported as much of him in this second as it may of
/// one process.
#[inline(always)]
fn is_user_over(slot: u32) -> bool {
    let user = witness(noise::current());
    is_every_rule_over(
        slot,
        #[inline(always)]
        |_, rule| RateKey::of_witness(user, rule),
    )
}

/// Counts the event for each of its rules, by actor and by process; whether every one has reported enough of
/// this process.
#[inline(always)]
fn is_over(slot: u32) -> bool {
    let pid = actor::tgid();
    if let Some(record) = RECORDS.get_ptr(slot) {
        // SAFETY: a live map value; whoever calls holds the slot.
        noise::count_every(unsafe { (*record).head.generation });
    }
    is_every_rule_over(
        slot,
        #[inline(always)]
        |generation, rule| {
            noise::count(generation, rule);
            RateKey { generation, rule, pid }
        },
    )
}

/// Counts a report for each of its rules, by the key for the generation and the rule; whether all of them are
/// over the limit.
#[inline(always)]
fn is_every_rule_over(slot: u32, key: impl Fn(u64, u32) -> RateKey) -> bool {
    let Some(limit) = SETTINGS.get(0).map(|settings| settings.reports) else { return false };
    let Some(record) = RECORDS.get_ptr(slot) else { return false };
    // SAFETY: a live map value; whoever calls holds the slot.
    let record: &Record = unsafe { &*record };
    let second = record.head.time / SECOND;
    let mut over = limit != 0;
    for (number, rule) in record.verdict.rules.iter().enumerate().take(RULES_MAX) {
        if number >= record.verdict.matched as usize {
            break;
        }
        let key = key(record.head.generation, rule_number(*rule));
        if limit != 0 && count(&key, second) <= u64::from(limit) {
            over = false;
        }
    }
    over
}

/// Counts one event; how many there are now in this second. Two processors that begin a second at once may
/// each count from 1: the limit is then not exact, the counts of what was sent and what was not always are.
#[inline(always)]
fn count(key: &RateKey, second: u64) -> u64 {
    let Some(rate) = RATES.get_ptr_mut(key) else {
        // An entry that finds no room is one that may report.
        let _ = RATES.insert(key, &Rate { second, count: 1 }, 0);
        return 1;
    };
    // SAFETY: a live map value, aligned to 8 bytes; others access it by single loads and stores and by atomic adds.
    unsafe {
        if core::ptr::read_volatile(&raw const (*rate).second) != second {
            core::ptr::write_volatile(&raw mut (*rate).second, second);
            core::ptr::write_volatile(&raw mut (*rate).count, 1);
            return 1;
        }
        asm::add(&raw mut (*rate).count, 1);
        core::ptr::read_volatile(&raw const (*rate).count)
    }
}

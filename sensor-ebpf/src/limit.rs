//! How many reports one rule may send of one process in a second, so that a noisy rule leaves room in the ring buffer for the others.
//!
//! Only the report is left out: the event is judged, counted and acted on as ever.

use aya_ebpf::{macros::map, maps::LruHashMap};
use sensor_common::{
    maps::{RATES_MAX, Rate, RateKey},
    record::Record,
    verdict::RULES_MAX,
};

use crate::{
    actor, asm,
    maps::{RECORDS, SETTINGS},
    record::Held,
};

const SECOND: u64 = 1_000_000_000;

#[map]
static RATES: LruHashMap<RateKey, Rate> = LruHashMap::with_max_entries(RATES_MAX, 0);

/// Whether every rule that the record names has reported enough of this process. The record's time must have been noted.
#[inline(always)]
pub fn is_over(held: &Held) -> bool {
    count_reports(held.scratch.slot()) == 1
}

/// Counts the event for each of its rules; 1 where none of them may report it. A global function to the verifier, see
/// [`walk_path`](crate::path).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_reports(slot: u32) -> u32 {
    let Some(limit) = SETTINGS.get(0).map(|settings| settings.reports) else { return 0 };
    let Some(record) = RECORDS.get_ptr(slot) else { return 0 };
    if limit == 0 {
        return 0;
    }
    // SAFETY: a live map value; whoever calls holds the slot.
    let record: &Record = unsafe { &*record };
    let (second, pid) = (record.head.time / SECOND, actor::tgid());
    let mut over = 1;
    for (number, rule) in record.verdict.rules.iter().enumerate().take(RULES_MAX) {
        if number >= record.verdict.matched as usize {
            break;
        }
        let key = RateKey { generation: record.head.generation, rule: *rule, pid };
        if count(&key, second) <= u64::from(limit) {
            over = 0;
        }
    }
    over
}

/// Counts one event; how many there are now in this second. Two processors that begin a second at once may each count from 1:
/// the limit is then not exact, the counts of what was sent and what was not always are.
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

//! A candidate judges an event beside the generation in force. What it says is counted, and changes nothing:
//! the verdict has been carried out and reported before.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::generated::bpf_ktime_get_ns,
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
};
use sensor_common::{
    brakes::UNNAMED,
    event::{Event, Groups},
    noise::EVERY,
    shadow::{COSTS, EXAMPLES, EXAMPLES_BYTES, MATCHES_MAX, Matches, ShadowCounts, ShadowKey},
    verdict::{Outcome, RULES_MAX, rule_number},
};

use crate::{
    asm,
    limit::Withheld,
    maps::{GENERATIONS, RECORDS, SCRATCH, index, raise_in},
    noise,
    record::Held,
};

#[map]
static SHADOW: Array<u32> = Array::with_max_entries(1, 0);

#[map]
static SHADOW_COUNTS: PerCpuArray<ShadowCounts> = PerCpuArray::with_max_entries(1, 0);

#[map]
static SHADOW_MATCHES: HashMap<ShadowKey, Matches> = HashMap::with_max_entries(MATCHES_MAX, 0);

#[map]
pub static SHADOW_EXAMPLES: RingBuf = RingBuf::with_byte_size(EXAMPLES_BYTES, 0);

/// Whether the candidate judges the event, and not the generation in force.
#[inline(always)]
pub fn is_under_way(held: &Held) -> bool {
    held.scratch.shadow.get() != 0
}

/// The event is at its beginning: nobody has judged it. `needs` are those of the generation in force, which
/// say whether there is a candidate.
#[inline(always)]
pub fn begin(held: &mut Held, needs: Groups) {
    held.scratch.shadow.set(0);
    held.scratch.shadowed.set(u32::from(needs.contains(Groups::SHADOWED)));
    held.scratch.refused.set(0);
}

/// Hands the event over to the candidate: which groups its first program reads; the stage of that is noted.
/// `None` where it has none for the event (any more).
#[inline(always)]
pub fn hand_over(held: &mut Held, event: Event) -> Option<Groups> {
    let bank = SHADOW.get(0).copied()?;
    let generation = GENERATIONS.get(bank)?;
    // Once: what is compared a second time, 6.1's verifier takes to be in and out of bounds.
    let index = index(event);
    let (needs, early) = (Groups(generation.needs[index]), Groups(generation.early[index]));
    if !needs.contains(Groups::JUDGED) {
        return None;
    }
    held.scratch.asked.set(held.record.verdict.action);
    held.set_judge(generation.id, bank);
    held.record.head.outcome = Outcome::Allowed as u32;
    held.scratch.shadow.set(1);
    held.scratch.shadowed.set(0);
    held.scratch.since.set(now());
    Some(held.set_first_stage(needs, early))
}

/// Counts what the candidate said, and what that took; notes whether the event is shown as an example.
#[inline(always)]
pub fn count(held: &mut Held) {
    count_judged(now().wrapping_sub(held.scratch.since.get()));
    if held.record.verdict.matched != 0 {
        // SAFETY: the place of a member is computed, nothing is read.
        raise_in(&SHADOW_COUNTS, |counts| unsafe { &raw mut (*counts).matched });
        let shown = count_matches(held.scratch.slot());
        let withheld = if shown == 0 { Withheld::Limited } else { Withheld::No };
        held.scratch.withheld.set(withheld as u32);
    }
}

/// Counts what the generation in force said of an event that the candidate judges too.
#[inline(always)]
pub fn compare(held: &Held) {
    if held.record.verdict.matched != 0 {
        count_matches(held.scratch.slot());
    }
}

/// Counts an event that the candidate should have judged.
#[inline(always)]
pub fn count_missed() {
    // SAFETY: the place of a member is computed, nothing is read.
    raise_in(&SHADOW_COUNTS, |counts| unsafe { &raw mut (*counts).missed });
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing and always succeeds.
    unsafe { bpf_ktime_get_ns() }
}

/// Counts a judged event by what it took, nanoseconds. A global function, which the verifier goes through once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn count_judged(time: u64) -> u32 {
    let Some(counts) = SHADOW_COUNTS.get_ptr_mut(0) else { return 0 };
    let mut class = 0;
    for power in 1..COSTS {
        // 1 where the time has a bit from `power` on.
        class += ((time >> power).wrapping_neg() >> 63) as usize;
    }
    let class = asm::bounded(class, COSTS - 1);
    // SAFETY: `counts` points to a live map value, aligned to 8 bytes; all accesses in the kernel are atomic.
    unsafe {
        asm::add((&raw mut (*counts).judged).cast::<u64>().add(class), 1);
        asm::add((&raw mut (*counts).time).cast::<u64>().add(class), time);
    }
    0
}

/// Counts the event for each rule that its verdict names; 1 where it is an example of one.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn count_matches(slot: u32) -> u32 {
    let (Some(record), Some(scratch)) = (RECORDS.get_ptr(slot), SCRATCH.get_ptr_mut(slot)) else { return 0 };
    // SAFETY: both point to live map values, which the claim on the record makes this program's own.
    let (record, scratch) = unsafe { (&*record, &mut *scratch) };
    let verdict = &record.verdict;
    let beyond = u32::from(scratch.shadow.get() != 0 && verdict.action > scratch.asked.get());
    // Kept where the verifier does not follow.
    scratch.left.set(0);
    noise::compare(record.head.generation, EVERY);
    for index in 0..RULES_MAX {
        if index as u32 >= verdict.matched {
            break;
        }
        let rule = rule_number(verdict.rules[index]);
        noise::compare(record.head.generation, rule);
        let shown = count_match(record.head.bank, rule, beyond);
        scratch.left.set(scratch.left.get() | u64::from(shown));
    }
    if verdict.matched as usize > RULES_MAX {
        count_match(record.head.bank, UNNAMED, beyond);
    }
    scratch.left.get() as u32
}

/// Counts the event for one rule; 1 where it is an example. A global function, which the verifier goes through once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn count_match(bank: u32, rule: u32, beyond: u32) -> u32 {
    let key = ShadowKey { bank, rule };
    if SHADOW_MATCHES.get_ptr(key).is_none() {
        // Whoever comes second finds the entry of the first; an error shows below.
        let _ = SHADOW_MATCHES.insert(key, Matches { events: 0, beyond: 0 }, u64::from(BPF_NOEXIST));
    }
    let Some(matches) = SHADOW_MATCHES.get_ptr_mut(key) else {
        count_missed();
        return 0;
    };
    // SAFETY: `matches` points to a live map value, aligned to 8 bytes, that is added to atomically and read
    // by single loads.
    unsafe {
        asm::add(&raw mut (*matches).events, 1);
        asm::add(&raw mut (*matches).beyond, u64::from(beyond));
        let few = core::ptr::read_volatile(&raw const (*matches).events) <= EXAMPLES;
        let few_beyond = core::ptr::read_volatile(&raw const (*matches).beyond) <= EXAMPLES;
        u32::from(few || (beyond != 0 && few_beyond))
    }
}

//! The maps shared with rules and daemon, under the names of `sensor_common::maps`. Each hook's program array
//! is beside it, see [`hook`](crate::hook).

use aya_ebpf::{
    macros::map,
    maps::{Array, PerCpuArray, RingBuf},
};
use sensor_common::{
    event::Event,
    maps::{BANKS, Counters, Generation, Kept, Loss, SLOTS, Settings},
    record::Record,
    verdict::Outcome,
};

use crate::{asm, scratch::Scratch};

/// Pinned: rules find the record of their event here.
#[map]
pub static RECORDS: PerCpuArray<Record> = PerCpuArray::pinned(SLOTS, 0);

/// Room to build paths and gather payloads, one for each record; out of reach of rules.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(SLOTS, 0);

#[map]
pub static ACTIVE: Array<u32> = Array::with_max_entries(1, 0);

#[map]
pub static GENERATIONS: Array<Generation> = Array::with_max_entries(BANKS, 0);

#[map]
pub static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

#[map]
pub static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// The size is the daemon's to choose.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// For daemons only: it lives as long as the ring buffer.
#[map]
pub static NUMBERED: Array<u64> = Array::with_max_entries(1, 0);

/// Raises one counter of this CPU by one.
#[inline(always)]
fn raise(counter: impl FnOnce(*mut Counters) -> *mut u64) {
    raise_in(&COUNTERS, counter);
}

/// Raises one counter of this CPU, in a map of counters, by one.
///
/// Atomically: programs are preemptible, so another task may be raising the same counter on the same CPU.
#[inline(always)]
pub fn raise_in<T>(map: &PerCpuArray<T>, counter: impl FnOnce(*mut T) -> *mut u64) {
    if let Some(counters) = map.get_ptr_mut(0) {
        // SAFETY: `counters` points to a live map value, which is aligned to 8 bytes; `counter` selects one of
        // its members; all accesses in the kernel are atomic.
        unsafe { asm::add(counter(counters), 1) };
    }
}

/// The event's index, in bounds where it is used: a kernel's verifier forgets the bounds of what was kept on
/// the stack meanwhile (6.1).
#[inline(always)]
pub fn index(event: Event) -> usize {
    asm::bounded(event as usize, Event::COUNT - 1)
}

/// Counts an event that reached finish.
#[inline(always)]
pub fn count_judged(event: Event) {
    // SAFETY: the place of a member is computed, nothing is read.
    raise(|counters| unsafe { (&raw mut (*counters).judged).cast::<u64>().add(index(event)) });
}

/// Counts an event that some rule matched, and what became of it.
#[inline(always)]
pub fn count_matched(event: Event, outcome: Outcome) {
    // SAFETY: as above.
    raise(|counters| unsafe { (&raw mut (*counters).matched).cast::<u64>().add(index(event)) });
    // SAFETY: as above.
    raise(|counters| unsafe { &raw mut (*counters).outcomes[outcome as usize] });
}

/// Counts something that is missing in what rules or reports saw.
#[inline(always)]
pub fn count_loss(loss: Loss) {
    // SAFETY: as above.
    raise(|counters| unsafe { &raw mut (*counters).lost[loss as usize] });
}

/// Counts what the quarantine did.
#[inline(always)]
pub fn count_kept(kept: Kept) {
    // SAFETY: as above.
    raise(|counters| unsafe { &raw mut (*counters).kept[kept as usize] });
}

/// Counts an event on which a rule was undecided.
#[inline(always)]
pub fn count_undecided() {
    // SAFETY: as above.
    raise(|counters| unsafe { &raw mut (*counters).undecided });
}

/// Counts an event that met a preempted one on its CPU.
#[inline(always)]
pub fn count_preempted() {
    // SAFETY: as above.
    raise(|counters| unsafe { &raw mut (*counters).preempted });
}

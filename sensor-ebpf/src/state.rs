//! State of rules: what they say that counts is counted here.

use aya_ebpf::{
    helpers::generated::bpf_ktime_get_boot_ns,
    macros::map,
    maps::{Array, LruHashMap},
};
use sensor_common::{
    maps::{BANKS, Loss},
    record::Record,
    state::{NOTES_MAX, Note, STATES_MAX, Step, Tracked, WINDOWS_MAX, Window, WindowKey},
};

use crate::{
    asm,
    maps::{RECORDS, count_loss},
    record::Held,
    shadow,
};

/// By bank and number of the state.
#[map]
static STATES: Array<Tracked> = Array::with_max_entries(BANKS * STATES_MAX, 0);

#[map]
static STATE_WINDOWS: LruHashMap<WindowKey, Window> = LruHashMap::with_max_entries(WINDOWS_MAX, 0);

/// Those of the candidate.
#[map]
static SHADOW_WINDOWS: LruHashMap<WindowKey, Window> = LruHashMap::with_max_entries(WINDOWS_MAX, 0);

/// Follows up what the rules noted, and adds to the verdict the rules that match by it.
#[inline(always)]
pub fn conclude(held: &mut Held) {
    let noted = held.record.verdict.noted;
    if noted == 0 {
        return;
    }
    // One time for all notes of the event, as in the model.
    // SAFETY: the helper takes nothing and always succeeds.
    held.record.head.time = unsafe { bpf_ktime_get_boot_ns() };
    let in_shadow = shadow::is_under_way(held);
    if noted > NOTES_MAX as u64 {
        count_cut(Loss::NotesCut, in_shadow);
    }
    for index in 0..NOTES_MAX as u32 {
        if u64::from(index) < noted {
            if in_shadow { follow_in_shadow(held.scratch.slot(), index) } else { follow(held.scratch.slot(), index) };
        }
    }
}

/// Counts that a rule could not be judged by all that happened.
#[inline(always)]
fn count_cut(loss: Loss, in_shadow: bool) {
    if in_shadow { shadow::count_missed() } else { count_loss(loss) }
}

/// Follows up one note. A global function, so that the verifier goes through it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn follow(slot: u32, index: u32) -> u32 {
    follow_in(&STATE_WINDOWS, false, slot, index)
}

/// The same for the candidate.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn follow_in_shadow(slot: u32, index: u32) -> u32 {
    follow_in(&SHADOW_WINDOWS, true, slot, index)
}

#[inline(always)]
fn follow_in(windows: &LruHashMap<WindowKey, Window>, in_shadow: bool, slot: u32, index: u32) -> u32 {
    let Some(record) = RECORDS.get_ptr_mut(slot) else { return 0 };
    // SAFETY: a live map value; whoever calls holds the slot.
    let record = unsafe { &mut *record };
    let note = record.verdict.notes[index as usize % NOTES_MAX];
    let Some(tracked) = STATES.get(record.head.bank * STATES_MAX + note.state) else { return 0 };
    if matches(windows, in_shadow, record, &note, tracked) {
        record.verdict.add_by_state(tracked);
    }
    0
}

/// Whether the rule matches by this note; remembers what is to be.
#[inline(always)]
fn matches(
    windows: &LruHashMap<WindowKey, Window>,
    in_shadow: bool,
    record: &Record,
    note: &Note,
    tracked: &Tracked,
) -> bool {
    let now = record.head.time;
    let key = WindowKey { generation: record.head.generation, state: note.state.into(), key: note.key };
    let window = windows.get_ptr_mut(&key);
    if note.step == Step::Second as u32 {
        // SAFETY: a live map value.
        return window.is_some_and(|window| !unsafe { *window }.is_over(now, tracked.within));
    }
    let count = match window {
        // SAFETY: a live map value, aligned to 8 bytes; all raise the present part atomically.
        Some(window) if note.step == Step::Count as u32 => unsafe {
            let passed = (*window).passed(now, tracked.within);
            if passed > 0 {
                *window = (*window).turned(passed, tracked.within);
            }
            asm::add(&raw mut (*window).counts[0], 1);
            core::ptr::read_volatile(window).total()
        },
        _ => {
            if windows.insert(&key, &Window::new(now), 0).is_err() {
                count_cut(Loss::StateFull, in_shadow);
            }
            1
        }
    };
    note.step == Step::Count as u32 && count > tracked.more_than
}

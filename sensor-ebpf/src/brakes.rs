//! What holds blocking back, whatever rules say: the heartbeat, the lifeline, and the budget of each rule.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::generated::bpf_ktime_get_ns,
    macros::map,
    maps::{Array, HashMap},
};
use sensor_common::{
    brakes::{
        BUDGETS_MAX, Budget, DEMOTED_MAX, Demotion, FIRINGS_MAX, FileKey, FiringsKey, LIFELINE_MAX, Reach, RuleKey,
        UNNAMED,
    },
    maps::Settings,
    verdict::{Action, RULES_MAX, asked_undecided, rule_number},
};

use crate::{
    actor, asm,
    kernel::Struct,
    maps::{RECORDS, SCRATCH},
    object::File,
    record::Held,
    scratch::Hidden,
};

#[map]
static HEARTBEAT: Array<u64> = Array::with_max_entries(1, 0);

#[map]
static LIFELINE: HashMap<FileKey, u32> = HashMap::with_max_entries(LIFELINE_MAX, 0);

#[map]
static BUDGETS: HashMap<RuleKey, Budget> = HashMap::with_max_entries(BUDGETS_MAX, 0);

#[map]
static FIRINGS: HashMap<FiringsKey, u64> = HashMap::with_max_entries(FIRINGS_MAX, 0);

#[map]
static DEMOTED: HashMap<RuleKey, Demotion> = HashMap::with_max_entries(DEMOTED_MAX, 0);

/// Whether the daemon has given no sign of life for too long.
#[inline(always)]
pub fn is_unattended(settings: &Settings) -> bool {
    if settings.patience == 0 {
        return false;
    }
    // SAFETY: the helper takes nothing and always succeeds.
    let now = unsafe { bpf_ktime_get_ns() };
    !HEARTBEAT.get(0).is_some_and(|beat| now.saturating_sub(*beat) <= settings.patience)
}

/// Whether the current process is never blocked or killed, whatever the rules say.
#[inline(always)]
pub fn on_lifeline(sensor: u32) -> bool {
    let tgid = actor::tgid();
    tgid == 1 || tgid == sensor || runs_listed() != 0
}

/// 1 where the current process or its parent runs a program that the lifeline names for it.
///
/// A global function, which the verifier goes through once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn runs_listed() -> u32 {
    let task = Struct::current_task();
    let itself = reach(task) >= Reach::Itself as u32;
    u32::from(itself || actor::parent(task).is_some_and(|parent| reach(parent) >= Reach::Children as u32))
}

/// The [`Reach`] of the program that a process runs; 0 where it is not listed.
#[inline(always)]
fn reach(task: Struct) -> u32 {
    let Some(file) = actor::exe(task) else { return 0 };
    let file = File::new(file);
    let key = FileKey { inode: file.number(), device: file.device(), padding: 0 };
    LIFELINE.get_ptr(key).map_or(0, |reach| {
        // SAFETY: it points to a live map value.
        unsafe { *reach }
    })
}

/// The strongest action that is left when every rule that matched is held to its budget: 0 where none is.
#[inline(always)]
pub fn within_budget(held: &Held) -> u32 {
    charge_all(held.scratch.slot())
}

/// Charges all matched rules of the event in this record.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn charge_all(slot: u32) -> u32 {
    let (Some(record), Some(scratch)) = (RECORDS.get_ptr(slot), SCRATCH.get_ptr_mut(slot)) else { return 0 };
    // SAFETY: both point to live map values, which the claim on the record makes this program's own.
    let (record, scratch) = unsafe { (&*record, &mut *scratch) };
    let verdict = &record.verdict;
    // What is asked for, and what is left of it: kept where the verifier does not follow.
    scratch.length.set(0);
    scratch.left.set(0);
    for index in 0..RULES_MAX {
        if index as u32 >= verdict.matched {
            break;
        }
        let named = verdict.rules[index];
        let charged = charge(record.head.generation, rule_number(named), record.head.time);
        // One that is undecided asks for no more than it says.
        let most = match asked_undecided(named) {
            0 => u32::MAX,
            asked => asked,
        };
        note(&mut scratch.length, (charged >> 8).min(most));
        note(&mut scratch.left, (charged & 0xff).min(most));
    }
    // A rule that is not named asks for more than all that are.
    if scratch.length.get() < u64::from(verdict.action)
        && charge(record.head.generation, UNNAMED, record.head.time) & 0xff > Action::Alert as u32
    {
        scratch.left.set(u64::from(verdict.action));
    }
    scratch.left.get() as u32
}

#[inline(always)]
fn note(strongest: &mut Hidden<u64>, action: u32) {
    if u64::from(action) > strongest.get() {
        strongest.set(u64::from(action));
    }
}

/// Counts that a rule fired. What it asks for, shifted left by 8, and beside it what is left of that; 0 where it only alerts.
///
/// A global function, which the verifier goes through once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn charge(generation: u64, rule: u32, time: u64) -> u32 {
    let key = RuleKey { generation, rule, padding: 0 };
    let Some(budget) = BUDGETS.get_ptr_mut(key) else { return 0 };
    // SAFETY: `budget` points to a live map value, aligned to 8 bytes; its counts are only added to, atomically.
    let action = unsafe {
        asm::add(&raw mut (*budget).fired, 1);
        (*budget).action
    };
    if is_carried_out(key, budget, time) {
        return action << 8 | action;
    }
    // SAFETY: as above.
    unsafe { asm::add(&raw mut (*budget).held, 1) };
    action << 8 | Action::Alert as u32
}

/// Whether a rule that fired is within its budget, and was ever since it was last released. The event that exceeds it demotes the
/// rule.
#[inline(always)]
fn is_carried_out(key: RuleKey, budget: *const Budget, time: u64) -> bool {
    if DEMOTED.get_ptr(key).is_some() {
        return false;
    }
    // SAFETY: `budget` points to a live map value.
    let (count, length) = unsafe { ((*budget).count, (*budget).window) };
    let window =
        FiringsKey { generation: key.generation, rule: key.rule, window: time.checked_div(length).unwrap_or(0) as u32 };
    if FIRINGS.get_ptr(window).is_none() {
        // Whoever comes second finds the entry of the first; an error shows below.
        let _ = FIRINGS.insert(window, 0, u64::from(BPF_NOEXIST));
    }
    let Some(fired) = FIRINGS.get_ptr_mut(window) else { return false };
    // SAFETY: `fired` points to a live map value, aligned to 8 bytes, which is added to atomically and read by single loads. Of
    // those who read no more than the budget, the last to add read at least how many they are.
    let fired = unsafe {
        asm::add(fired, 1);
        core::ptr::read_volatile(fired)
    };
    if fired <= u64::from(count) {
        return true;
    }
    let _ = DEMOTED.insert(key, Demotion { time }, u64::from(BPF_NOEXIST));
    false
}

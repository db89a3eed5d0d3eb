//! What holds blocking back, whatever rules say: the heartbeat, the lifeline, and the budget of each rule.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    helpers::generated::{bpf_get_current_cgroup_id, bpf_ktime_get_ns},
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use sensor_common::{
    actor::{CGROUP, FIRST_USER, weight, witness},
    brakes::{
        BUDGETS_MAX, Budget, CROWD, CROWD_OF_ALL, DEMOTED_MAX, Demotion, FIRINGS_MAX, FileKey, FiringsKey,
        LIFELINE_MAX, Reach, RuleKey, UNNAMED, WITNESSES_MAX,
    },
    maps::Settings,
    verdict::{Action, RULES_MAX, asked_undecided, rule_number},
};

use crate::{
    actor, asm,
    kernel::{CRED_CAP_EFFECTIVE, CRED_EUID, CRED_UID, Struct, TASK_REAL_CRED},
    maps::{RECORDS, SCRATCH, SETTINGS},
    object::File,
    record::Held,
    scratch::{Hidden, Scratch},
    user,
};

#[map]
static HEARTBEAT: Array<u64> = Array::with_max_entries(1, 0);

#[map]
static LIFELINE: HashMap<FileKey, u32> = HashMap::with_max_entries(LIFELINE_MAX, 0);

#[map]
static BUDGETS: HashMap<RuleKey, Budget> = HashMap::with_max_entries(BUDGETS_MAX, 0);

#[map]
static FIRINGS: LruHashMap<FiringsKey, u64> = LruHashMap::with_max_entries(FIRINGS_MAX, 0);

#[map]
static WITNESSES: HashMap<FiringsKey, u64> = HashMap::with_max_entries(WITNESSES_MAX, 0);

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
    HEARTBEAT.get(0).is_none_or(|beat| now.saturating_sub(*beat) > settings.patience)
}

/// Whether the current process is never blocked or killed, whatever the rules say.
#[inline(always)]
pub fn on_lifeline(sensor: u32) -> bool {
    let tgid = actor::tgid();
    tgid == 1 || tgid == sensor || is_way_in() != 0
}

/// 1 where the current process is a part of the way into this host, as the lifeline names it: see [`Reach`].
///
/// A global function, which the verifier goes through once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn is_way_in() -> u32 {
    let task = Struct::current_task();
    let own = reach(task);
    if own.0 == 0 {
        return 0;
    }
    if own.meets(Reach::ITSELF) && is_privileged(task) || own.meets(Reach::ADDED) && is_of_system(task) {
        return 1;
    }
    let Some(parent) = actor::parent(task) else { return 0 };
    let above = reach(parent);
    if is_privileged(parent) {
        let separated = own.meets(Reach::SEPARATED) && above.meets(Reach::SEPARATED);
        return u32::from(separated || own.meets(Reach::SHELL) && above.meets(Reach::SHELL_OF));
    }
    if !own.meets(Reach::SHELL) || !above.meets(Reach::SEPARATED) {
        return 0;
    }
    let Some(grandparent) = actor::parent(parent) else { return 0 };
    u32::from(reach(grandparent).meets(Reach::SEPARATED) && is_privileged(grandparent))
}

/// The [`Reach`] of the program that a process runs.
#[inline(always)]
fn reach(task: Struct) -> Reach {
    let Some(file) = actor::exe(task) else { return Reach::default() };
    let file = File::new(file);
    let key = FileKey { inode: file.number(), device: file.device(), padding: 0 };
    LIFELINE.get_ptr(key).map_or(Reach::default(), |reach| {
        // SAFETY: it points to a live map value.
        Reach(unsafe { *reach })
    })
}

/// Whether something may be refused to the current process that no rule has judged: blocking is on, the
/// daemon lives, and the process is not on the lifeline.
#[inline(always)]
pub fn is_refusal_permitted() -> bool {
    let Some(settings) = SETTINGS.get(0) else { return false };
    settings.enforce != 0 && !is_unattended(settings) && !on_lifeline(settings.sensor)
}

/// `CAP_AUDIT_WRITE`
const AUDIT_WRITE: u64 = 1 << 29;

/// Whether a process has rights on this host that no ordinary user's has.
#[inline(always)]
fn is_privileged(task: Struct) -> bool {
    let Some(cred) = task.to(&TASK_REAL_CRED) else { return false };
    user::is_of_host(cred)
        && (cred.get::<u32>(&CRED_EUID) == 0 || cred.get::<u64>(&CRED_CAP_EFFECTIVE) & AUDIT_WRITE != 0)
}

/// Whether root or a system user of this host runs a process.
#[inline(always)]
fn is_of_system(task: Struct) -> bool {
    task.to(&TASK_REAL_CRED).is_some_and(|cred| user::is_of_host(cred) && cred.get::<u32>(&CRED_UID) < FIRST_USER)
}

/// The strongest action that is left when every rule that matched is held to its budget: 0 where none is. Of
/// a process that the lifeline spares it is only noted whom the rules hit.
#[inline(always)]
pub fn within_budget(held: &mut Held, spared: bool) -> u32 {
    held.scratch.spared.set(u32::from(spared));
    charge_all(held.scratch.slot())
}

/// Charges all matched rules of the event in this record.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn charge_all(slot: u32) -> u32 {
    let (Some(record), Some(scratch)) = (RECORDS.get_ptr(slot), SCRATCH.get_ptr_mut(slot)) else { return 0 };
    // SAFETY: both point to live map values, which the claim on the record makes this program's own.
    let (record, scratch) = unsafe { (&*record, &mut *scratch) };
    note_actor(scratch);
    let verdict = &record.verdict;
    // What is asked for, and what is left of it: kept where the verifier does not follow.
    scratch.length.set(0);
    scratch.left.set(0);
    for index in 0..RULES_MAX {
        if index as u32 >= verdict.matched {
            break;
        }
        let named = verdict.rules[index];
        let charged = charge(record.head.generation, rule_number(named), record.head.time, slot);
        // One that is undecided asks for no more than it says.
        let most = match asked_undecided(named) {
            0 => u32::MAX,
            asked => asked,
        };
        note(&mut scratch.length, (charged >> 8).min(most));
        note(&mut scratch.left, (charged & 0xff).min(most));
    }
    // A rule that is not named asks for more than all that are.
    if scratch.length.get() < u64::from(verdict.action) {
        match charge(record.head.generation, UNNAMED, record.head.time, slot) & 0xff {
            left if left > Action::Block as u32 => scratch.left.set(u64::from(verdict.action)),
            left => note(&mut scratch.left, left),
        }
    }
    scratch.left.get() as u32
}

#[inline(always)]
fn note(strongest: &mut Hidden<u64>, action: u32) {
    if u64::from(action) > strongest.get() {
        strongest.set(u64::from(action));
    }
}

/// Notes who is charged: the user, in a user namespace whoever made that, and of root the cgroup.
#[inline(always)]
fn note_actor(scratch: &mut Scratch) {
    let task = Struct::current_task();
    let Some(cred) = task.to(&TASK_REAL_CRED) else { return };
    let user = user::of(cred);
    let of_host = user::is_of_host(cred) && user < FIRST_USER && !user::is_in_container(task);
    // SAFETY: the helper takes nothing and always succeeds.
    let cgroup = unsafe { bpf_get_current_cgroup_id() };
    scratch.charged.set(if user == 0 { CGROUP | cgroup } else { u64::from(user) });
    scratch.weight.set(weight(of_host));
}

/// Counts that a rule fired. What it asks for, shifted left by 8, and beside it what is left of that; 0 where
/// it only alerts.
///
/// A global function, which the verifier goes through once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn charge(generation: u64, rule: u32, time: u64, slot: u32) -> u32 {
    let (Some(budget), Some(scratch)) =
        (BUDGETS.get_ptr_mut(RuleKey::new(generation, rule)), SCRATCH.get_ptr_mut(slot))
    else {
        return 0;
    };
    // SAFETY: both point to live map values; what is read of the budget never changes, the scratch is this
    // program's own.
    let (action, count, length, scratch) =
        unsafe { ((*budget).action, (*budget).count, (*budget).window, &mut *scratch) };
    let window = time.checked_div(length).unwrap_or(0) as u32;
    let actor = scratch.charged.get();
    let firing = FiringsKey { generation, actor, rule, window, demotions: 0, padding: 0 };
    if scratch.spared.get() != 0 {
        demote_where_crowded(firing, scratch.weight.get(), time);
        return 0;
    }
    let left = if demote_where_crowded(firing, scratch.weight.get(), time) {
        Action::Alert as u32
    } else if action <= Action::Block as u32 || is_within(&firing, count) {
        action
    } else {
        Action::Block as u32
    };
    // SAFETY: `budget` points to a live map value, aligned to 8 bytes; its counts are only added to, atomically.
    unsafe {
        asm::add(&raw mut (*budget).fired, 1);
        asm::add(&raw mut (*budget).held, u64::from(left != action));
    }
    action << 8 | left
}

/// Whether an actor is within the budget of a rule in this window, counting this time.
#[inline(always)]
fn is_within(firing: &FiringsKey, count: u32) -> bool {
    if FIRINGS.get_ptr(firing).is_none() {
        // Whoever comes second finds the entry of the first; an error shows below.
        let _ = FIRINGS.insert(firing, 0, u64::from(BPF_NOEXIST));
    }
    let Some(fired) = FIRINGS.get_ptr_mut(firing) else { return false };
    // SAFETY: `fired` points to a live map value, aligned to 8 bytes, which is added to atomically and read
    // by single loads. Of those who read no more than the budget, the last to add read at least how many they
    // are.
    let fired = unsafe {
        asm::add(fired, 1);
        core::ptr::read_volatile(fired)
    };
    fired <= u64::from(count)
}

/// Whether a rule only alerts at this time. The event by which it hits too many actors in one window demotes it.
#[inline(always)]
fn demote_where_crowded(firing: FiringsKey, weight: u64, time: u64) -> bool {
    let rule = RuleKey::new(firing.generation, firing.rule);
    // Without an `Option`, whose bytes 5.10's verifier sees read where nothing was written to them.
    let before = DEMOTED.get_ptr(rule).map_or(Demotion::NONE, |demotion| {
        // SAFETY: it points to a live map value; of two that change it at once, both write what is right.
        unsafe { *demotion }
    });
    if before.holds(time) {
        return true;
    }
    let demotions = before.times;
    let seen = FiringsKey { actor: witness(firing.actor), demotions, ..firing };
    // Of all its events in the window, one makes the entry.
    if WITNESSES.get_ptr(seen).is_some() || WITNESSES.insert(seen, 0, u64::from(BPF_NOEXIST)).is_err() {
        return false;
    }
    let crowd = FiringsKey { actor: CROWD_OF_ALL, ..seen };
    if WITNESSES.get_ptr(crowd).is_none() {
        let _ = WITNESSES.insert(crowd, 0, u64::from(BPF_NOEXIST));
    }
    let Some(sum) = WITNESSES.get_ptr_mut(crowd) else { return false };
    // SAFETY: `sum` points to a live map value, aligned to 8 bytes, which is added to atomically and read by
    // single loads.
    let sum = unsafe {
        asm::add(sum, weight);
        core::ptr::read_volatile(sum)
    };
    // Where there is no room for it, the rule goes on: that of a rule that has a budget always finds some.
    sum >= CROWD && DEMOTED.insert(rule, Demotion::after(before, time), u64::from(BPF_ANY)).is_ok()
}

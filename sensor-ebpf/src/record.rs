//! Taking, finding and giving back the record of an event.
//!
//! The stages of an event are separate programs that share nothing but the context, so the record lives in a
//! map. The programs cannot migrate, but they can be preempted: while one task is between two stages, others
//! may run hooks on the same CPU. (LSM programs have no recursion guard; see `docs/record.md`.)
//! So each CPU has [`SLOTS`] records. An event *claims* a free one and is found again by the task it belongs
//! to, which can be in one hook at a time only.
//!
//! Claiming uses nothing but an atomic add without result, which all kernels have: whoever raised `claims` from 0
//! to 1 holds the record. Two tasks that raise it together may both give way, never both hold it.

use sensor_common::{
    event::Groups,
    maps::{Loss, SLOTS, Stage},
    record::Record,
};

use crate::{
    asm,
    kernel::{Ptr, Struct, TASK_REAL_CRED, task},
    maps::{RECORDS, SCRATCH, count_loss, count_preempted},
    scratch::Scratch,
    user,
};

/// A record that belongs to the current task, with the room beside it.
pub struct Held {
    pub record: &'static mut Record,
    pub scratch: &'static mut Scratch,
}

impl Held {
    /// The event goes to the generation with this number, in this bank, which has said nothing of it yet.
    #[inline(always)]
    pub fn set_judge(&mut self, generation: u64, bank: u32) {
        let (head, verdict) = (&mut self.record.head, &mut self.record.verdict);
        (head.generation, head.bank) = (generation, bank);
        (verdict.action, verdict.matched, verdict.noted) = (0, 0, 0);
    }

    /// Notes which program of a generation is the first, its early one where it has one; the groups that this reads.
    #[inline(always)]
    pub fn set_first_stage(&mut self, needs: Groups, early: Groups) -> Groups {
        let (stage, groups) = if early.is_empty() { (Stage::Rules, needs) } else { (Stage::Early, early) };
        self.scratch.stage.set(stage as u32);
        groups
    }
}

#[inline(always)]
fn slot(index: u32) -> Option<(*mut Record, *mut Scratch)> {
    Some((RECORDS.get_ptr_mut(index)?, SCRATCH.get_ptr_mut(index)?))
}

#[inline(always)]
fn hold(record: *mut Record, scratch: *mut Scratch) -> Held {
    // SAFETY: both point to live map values; the claim makes this program the only one that uses them.
    unsafe { Held { record: &mut *record, scratch: &mut *scratch } }
}

/// Takes a free record for the current task; `None` where all are taken.
#[inline(always)]
pub fn claim() -> Option<Held> {
    let owner = task();
    for index in 0..SLOTS {
        let (record, scratch) = slot(index)?;
        // SAFETY: `record` points to a live map value, aligned to 8 bytes; `claim` is read and written by other
        // programs on this CPU between any two instructions, hence volatile and atomic accesses only.
        unsafe {
            let claim = &raw mut (*record).claim;
            // Left behind by an event of this very task whose rules never reached finish.
            let own = core::ptr::read_volatile(&raw const (*claim).owner) == owner;
            let claims = &raw mut (*claim).claims;
            if own {
                count_loss(Loss::NoStage);
            } else {
                asm::add(claims, 1);
                if core::ptr::read_volatile(claims) != 1 {
                    asm::add(claims, u64::MAX);
                    continue;
                }
                core::ptr::write_volatile(&raw mut (*claim).owner, owner);
            }
        }
        if index > 0 {
            count_preempted();
        }
        let held = hold(record, scratch);
        held.scratch.set_slot(index);
        return Some(held);
    }
    None
}

/// 1 where one of this CPU's records is held by a task that acts for the same user as the current one, and
/// that is not root.
///
/// A global function, which the verifier goes through once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn is_held_for_same_user() -> u32 {
    let Some(own) = Struct::current_task().to(&TASK_REAL_CRED).map(user::of) else { return 0 };
    // Whose many services share one id.
    if own == user::ROOT {
        return 0;
    }
    for index in 0..SLOTS {
        let Some((record, _)) = slot(index) else { return 0 };
        // SAFETY: `record` points to a live map value; see `claim`.
        let owner = unsafe { core::ptr::read_volatile(&raw const (*record).claim.owner) };
        // A task that is in the middle of an event, preempted on this CPU, does not end. One whose rules
        // never reached finish may have; a probe of what was its memory cannot fault.
        if owner != 0
            && let Some(cred) = Struct::probed(owner as Ptr).to(&TASK_REAL_CRED)
            && user::of(cred) == own
        {
            return 1;
        }
    }
    0
}

/// Whether who finds all records of this CPU taken may have taken them himself: one of them is held for the same user.
#[inline(always)]
pub fn are_held_for_same_user() -> bool {
    is_held_for_same_user() != 0
}

/// Finds the record that the current task holds; `None`, and a counted loss, where it holds none.
#[inline(always)]
pub fn find() -> Option<Held> {
    let owner = task();
    for index in 0..SLOTS {
        let (record, scratch) = slot(index)?;
        // SAFETY: `record` points to a live map value; see `claim`.
        if unsafe { core::ptr::read_volatile(&raw const (*record).claim.owner) } == owner {
            return Some(hold(record, scratch));
        }
    }
    count_loss(Loss::NoStage);
    None
}

/// What the current task holds in this slot: for functions that the verifier goes through on their own, which
/// are given nothing but numbers.
#[inline(always)]
pub fn at(index: u32) -> Option<Held> {
    slot(index).map(|(record, scratch)| hold(record, scratch))
}

/// Gives the record back.
#[inline(always)]
pub fn release(held: Held) {
    let claim = &raw mut held.record.claim;
    // SAFETY: the record is held until `claims` falls back; `owner` goes first, so that nobody finds a record
    // that somebody else has just taken.
    unsafe {
        core::ptr::write_volatile(&raw mut (*claim).owner, 0);
        asm::add(&raw mut (*claim).claims, u64::MAX);
    }
}

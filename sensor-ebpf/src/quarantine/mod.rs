//! Pipes, FIFOs and unix sockets that nobody may read, because a rule asked for it when it saw what was
//! written or sent.
//!
//! | Module | Holds |
//! |---|---|
//! | [`read`] | reads: refused; a reader that slept is killed |
//! | [`socket`] | unix sockets: which one a message goes to, and receiving from it |
//! | [`splice`] | the ways out that copy nothing: refused, killed, or followed into the next pipe |
//! | [`owner`] | whose what is: another user's reader is not killed, a message to it is refused instead |
//! | [`end`] | what is no more is not in quarantine |
//!
//! These programs are attached while a rule in force asks for quarantine or something is in it, and only then.

mod end;
mod owner;
mod read;
mod socket;
mod source;
mod splice;

use aya_ebpf::{helpers::generated::bpf_send_signal, macros::map, maps::HashMap};
use sensor_common::{
    maps::{Kept, Mark, ObjectKey, QUARANTINE_MAX},
    verdict::rule_number,
};

use crate::{
    brakes,
    maps::{SETTINGS, count_kept},
    object::File,
    record::Held,
    stage::SIGKILL,
};

pub use owner::of_peer as owner_of_peer;
pub use socket::{is_anothers_peer, mark_receiver};

#[map]
static QUARANTINE: HashMap<ObjectKey, Mark> = HashMap::with_max_entries(QUARANTINE_MAX, 0);

/// Puts the pipe or FIFO that the event was about into quarantine.
#[inline(always)]
pub fn mark_pipe(held: &Held, file: &File) {
    keep(&file.key(), &mark(held, file.number(), file.device()));
}

/// The mark that says why what has this inode number, on this device, is in quarantine.
#[inline(always)]
fn mark(held: &Held, inode: u64, device: u32) -> Mark {
    let head = &held.record.head;
    Mark {
        time: head.time,
        generation: head.generation,
        rule: rule_number(held.record.verdict.rules[0]),
        pid: held.record.process.pid,
        uid: owner::acting(held.record.process.uid, held.record.process.euid),
        device,
        inode,
    }
}

/// Lets nobody read what has this key.
#[inline(always)]
fn keep(key: &ObjectKey, mark: &Mark) {
    if QUARANTINE.insert(key, mark, 0).is_err() {
        count_kept(Kept::Full);
    }
}

/// Whether the current process may not have what it takes out of what has this key; counts what becomes of it.
#[inline(always)]
fn is_kept(key: &ObjectKey, how: Kept) -> bool {
    // SAFETY: only that there is an entry is asked.
    let Some(settings) = unsafe { QUARANTINE.get(key) }.and_then(|_| SETTINGS.get(0)) else { return false };
    if settings.enforce == 0 || brakes::is_unattended(settings) {
        return false;
    }
    let spared = brakes::on_lifeline(settings.sensor);
    count_kept(if spared { Kept::Lifeline } else { how });
    !spared
}

/// Kills the current process, if it may not have what it takes out of what has this key; not another user's
/// than who wrote.
#[inline(always)]
fn kill_if_kept(key: &ObjectKey) {
    // SAFETY: a word of a live map value; a mark that is replaced meanwhile is as good.
    let Some(writer) = unsafe { QUARANTINE.get(key) }.map(|mark| mark.uid) else { return };
    let is_anothers = owner::is_anothers(writer, owner::current().1);
    if is_kept(key, if is_anothers { Kept::Spared } else { Kept::Killed }) && !is_anothers {
        // SAFETY: the helper signals the current process only.
        unsafe { bpf_send_signal(SIGKILL) };
    }
}

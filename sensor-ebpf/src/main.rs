//! The kernel side of Creance.
//!
//! | Module | Holds |
//! |---|---|
//! | [`fifo`], [`pipe`], [`unix`], [`sysv`], [`mqueue`], [`shm`], [`process`] | the hooks of one family each |
//! | [`moved`] | pages that are moved into a pipe |
//! | [`copied`], [`look`] | messages of unix sockets as the kernel has copied them, and as they were before |
//! | [`traced`] | the same, where only tracepoints of system calls are permitted |
//! | [`hook`] | from what a hook sees to its programs |
//! | [`stage`] | the way of an event: hook → rules → finish |
//! | [`subject`] | what an event is about |
//! | [`shadow`] | the way of an event through a candidate, and what is counted of it |
//! | [`limit`] | how many reports a rule may send, and whether there is room |
//! | [`noise`] | who makes rules match, and how often |
//! | [`brakes`] | lifeline, budgets, heartbeat: what holds blocking back |
//! | [`quarantine`] | pipes and FIFOs that nobody may read |
//! | [`record`] | taking, finding and giving back the record of an event |
//! | [`actor`], [`cgroup`], [`object`], [`path`], [`text`], [`payload`] | filling one part of the record each |
//! | [`mounts`] | where the host has mounted what a user mounted once more |
//! | [`scratch`] | room beside the record, and how to keep the verifier's work small |
//! | [`user`] | for whom a process acts |
//! | [`asm`] | what the language cannot say to this target |
//! | [`memory`] | copying bytes from processes and the kernel |
//! | [`maps`], [`kernel`] | what user space shares with these programs: maps, offsets |
//!
//! A hook is thin: it leaves at once where the object is no pipe or no rule asks for the event. Errors
//! never stop the host's work: a hook that cannot do its work counts that and allows.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, stmt_expr_attributes)]

mod actor;
mod asm;
mod brakes;
mod cgroup;
mod copied;
mod fifo;
mod hook;
mod kernel;
mod limit;
mod look;
mod maps;
mod memory;
mod mounts;
mod moved;
mod mqueue;
mod noise;
mod object;
mod path;
mod payload;
mod pipe;
mod process;
mod quarantine;
mod record;
mod scratch;
mod shadow;
mod shm;
mod stage;
mod state;
mod subject;
mod sysv;
mod text;
mod traced;
mod unix;
mod user;

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // The verifier accepts no program from which this could be reached.
    loop {}
}

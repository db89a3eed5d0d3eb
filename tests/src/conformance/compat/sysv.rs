//! System V IPC, as a 32-bit program uses it: by `ipc`, and by calls of their own.

use std::rc::Rc;

use anyhow::Result;
use sensor_common::event::Event::{
    ShmMap, SysvMsgCreate, SysvMsgOpen, SysvMsgReceive, SysvMsgSend, SysvSemCreate, SysvSemOpen, SysvSemOperate,
    SysvShmAttach, SysvShmCreate, SysvShmOpen,
};
use serde_json::json;

use super::{
    super::{
        call::call as native,
        known::{self, values},
        plan::{Plan, Seen, seen},
        sysv::{MODE, SEGMENT, attached, new, old},
    },
    entry::{Low, call, word},
};
use crate::conformance::setting::{PAYLOAD, PAYLOAD_LENGTH};

/// Keys of objects that are there, and of those that the plan makes.
const OLD: i32 = 0x0c0f_0010;
const NEW: i32 = 0x0c0f_0020;
const MAKE: u32 = (libc::IPC_CREAT | MODE).cast_unsigned();
const PRIVATE: u32 = 0;
const IPC: u32 = 117;
const KIND: u32 = 77;

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    queues(plan, low)?;
    memory(plan, low)?;
    semaphores(plan, low)
}

/// A step by `ipc` (`ipc/syscall.c`), with the arguments as that takes them, and one by the call's own number.
fn both(plan: &mut Plan, name: &'static str, seen: &[Seen], ipc: [u32; 6], own: u32, arguments: &[u32]) {
    let arguments = arguments.to_vec();
    plan.step(&format!("32-bit {name} by ipc"), seen.to_vec(), move || call(name, IPC, &ipc).map(drop));
    plan.step(&format!("32-bit {name} by its own number"), seen.to_vec(), move || {
        call(name, own, &arguments).map(drop)
    });
}

fn queues(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    let id = i32::try_from(native!(msgget(OLD, libc::IPC_CREAT | MODE))?)?;
    let made = [seen(SysvMsgCreate, &new(libc::IPC_PRIVATE))];
    both(plan, "msgget(IPC_PRIVATE)", &made, [13, PRIVATE, MAKE, 0, 0, 0], 399, &[PRIVATE, MAKE]);
    plan.step("32-bit msgget with a new key", vec![seen(SysvMsgCreate, &new(NEW))], || {
        call("msgget", 399, &[word(NEW), MAKE]).map(drop)
    });
    let opened = [seen(SysvMsgOpen, &old(OLD, id))];
    both(plan, "msgget with a known key", &opened, [13, word(OLD), 0, 0, 0, 0], 399, &[word(OLD), 0]);
    let message = known::all([&old(OLD, id), &values([("message_type", json!(KIND))]), &known::payload(PAYLOAD)]);
    // `struct compat_msgbuf`: the type, then the text.
    let text = low.bytes(&[&KIND.to_ne_bytes()[..], PAYLOAD].concat());
    let room = low.room(4 + PAYLOAD.len());
    let sent = [seen(SysvMsgSend, &message)];
    both(plan, "msgsnd", &sent, [11, word(id), PAYLOAD_LENGTH, 0, text, 0], 400, &[word(id), text, PAYLOAD_LENGTH, 0]);
    let received = [seen(SysvMsgReceive, &message)];
    // `ipc` takes buffer and type from a `struct ipc_kludge`, or, with 1 in the upper half, as they are.
    let ipc = [(1 << 16) | 0xc, word(id), PAYLOAD_LENGTH, 0, room, KIND];
    both(plan, "msgrcv", &received, ipc, 401, &[word(id), room, PAYLOAD_LENGTH, KIND, 0]);
    Ok(())
}

fn memory(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    let id = i32::try_from(native!(shmget(OLD, SEGMENT, libc::IPC_CREAT | MODE))?)?;
    let size = u32::try_from(SEGMENT)?;
    let made = [seen(SysvShmCreate, &new(libc::IPC_PRIVATE))];
    both(plan, "shmget(IPC_PRIVATE)", &made, [23, PRIVATE, size, MAKE, 0, 0], 395, &[PRIVATE, size, MAKE]);
    let sized = known::all([&old(OLD, id), &values([("segment_size", json!(SEGMENT))])]);
    let opened = [seen(SysvShmOpen, &sized)];
    both(plan, "shmget with a known key", &opened, [23, word(OLD), 0, 0, 0, 0], 395, &[word(OLD), 0, 0]);
    let seen = [seen(SysvShmAttach, &sized), seen(ShmMap, &attached(id, 0)?)];
    let address = low.room(4);
    both(plan, "shmat", &seen, [21, word(id), 0, address, 0, 0], 397, &[word(id), 0, 0]);
    Ok(())
}

fn semaphores(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    let id = i32::try_from(native!(semget(OLD, 2, libc::IPC_CREAT | MODE))?)?;
    let made = [seen(SysvSemCreate, &new(libc::IPC_PRIVATE))];
    both(plan, "semget(IPC_PRIVATE)", &made, [2, PRIVATE, 2, MAKE, 0, 0], 393, &[PRIVATE, 2, MAKE]);
    let opened = [seen(SysvSemOpen, &old(OLD, id))];
    both(plan, "semget with a known key", &opened, [2, word(OLD), 0, 0, 0, 0], 393, &[word(OLD), 0, 0]);
    // `struct sembuf`: number, operation, flags; 16 bits each.
    let raise = low.bytes(&[1_u16, 1, 0].map(u16::to_ne_bytes).concat());
    let operated = vec![seen(SysvSemOperate, &old(OLD, id))];
    plan.step("32-bit semop by ipc", operated.clone(), move || {
        call("semop", IPC, &[1, word(id), 1, 0, raise]).map(drop)
    });
    let second = low.words(&[1, 0]);
    plan.step("32-bit semtimedop by ipc", operated.clone(), move || {
        call("semtimedop", IPC, &[4, word(id), 1, 0, raise, second]).map(drop)
    });
    let second = low.words(&[1, 0, 0, 0]);
    plan.step("32-bit semtimedop_time64", operated, move || {
        call("semtimedop_time64", 420, &[word(id), raise, 1, second]).map(drop)
    });
    Ok(())
}

//! System V: message queues, shared memory, semaphores.

use anyhow::Result;
use sensor_common::event::Event::{
    ShmMap, SysvMsgCreate, SysvMsgOpen, SysvMsgReceive, SysvMsgSend, SysvSemCreate, SysvSemOpen, SysvSemOperate,
    SysvShmAttach, SysvShmCreate, SysvShmOpen,
};
use serde_json::json;

use super::{
    call::{call, syscall},
    gaps,
    known::{self, Values, values},
    plan::{Plan, seen},
    setting::{EFFECTIVE_USER, PAYLOAD},
};

/// Keys: of objects that are there, and of those that the plan makes.
const OLD: i32 = 0x0c0f_0001;
const NEW: i32 = 0x0c0f_0002;
pub const MODE: i32 = 0o640;
pub const SEGMENT: usize = 12288;

/// A message as the kernel wants it.
#[repr(C)]
struct Message {
    kind: libc::c_long,
    text: [u8; PAYLOAD.len()],
}

/// What is known of an object that is being made.
pub fn new(key: i32) -> Values {
    values([("key", json!(key)), ("id", json!(0)), ("mode", json!(MODE))])
}

/// What is known of one that is there.
pub fn old(key: i32, id: i32) -> Values {
    known::all([&new(key), &values([("id", json!(id)), ("owner", json!(EFFECTIVE_USER))])])
}

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan) -> Result<()> {
    queues(plan)?;
    memory(plan)?;
    semaphores(plan)
}

fn queues(plan: &mut Plan) -> Result<()> {
    let id = i32::try_from(call!(msgget(OLD, libc::IPC_CREAT | MODE))?)?;
    for (what, key) in [("msgget with a new key", NEW), ("msgget(IPC_PRIVATE)", libc::IPC_PRIVATE)] {
        plan.step(what, vec![seen(SysvMsgCreate, &new(key))], move || {
            call!(msgget(key, libc::IPC_CREAT | MODE)).map(drop)
        });
    }
    plan.step("msgget with a known key", vec![seen(SysvMsgOpen, &old(OLD, id))], || call!(msgget(OLD, 0)).map(drop));
    let message = known::all([&old(OLD, id), &values([("message_type", json!(77))]), &known::payload(PAYLOAD)]);
    plan.step("msgsnd", vec![seen(SysvMsgSend, &message)], move || {
        let mut message = Message { kind: 77, text: [0; PAYLOAD.len()] };
        message.text.copy_from_slice(PAYLOAD);
        call!(msgsnd(id, (&raw const message).cast(), PAYLOAD.len(), 0)).map(drop)
    });
    plan.step("msgrcv", vec![seen(SysvMsgReceive, &message)], move || {
        let mut message = Message { kind: 0, text: [0; PAYLOAD.len()] };
        call!(msgrcv(id, (&raw mut message).cast(), PAYLOAD.len(), 77, 0)).map(drop)
    });
    Ok(())
}

fn memory(plan: &mut Plan) -> Result<()> {
    let id = i32::try_from(call!(shmget(OLD, SEGMENT, libc::IPC_CREAT | MODE))?)?;
    for (what, key) in [("shmget with a new key", NEW), ("shmget(IPC_PRIVATE)", libc::IPC_PRIVATE)] {
        plan.step(what, vec![seen(SysvShmCreate, &new(key))], move || {
            call!(shmget(key, SEGMENT, libc::IPC_CREAT | MODE)).map(drop)
        });
    }
    let sized = known::all([&old(OLD, id), &values([("segment_size", json!(SEGMENT))])]);
    plan.step("shmget with a known key", vec![seen(SysvShmOpen, &sized)], || call!(shmget(OLD, 0, 0)).map(drop));
    for (what, flags) in [("shmat", 0), ("shmat(SHM_RDONLY)", libc::SHM_RDONLY)] {
        let mapped = attached(id, flags)?;
        plan.step(what, vec![seen(SysvShmAttach, &sized), seen(ShmMap, &mapped)], move || {
            // The raw call: the library's result is a pointer.
            syscall!(SYS_shmat, id, 0, flags).map(drop)
        });
    }
    Ok(())
}

/// The segment as the memory that is mapped when it is attached: what `/proc` says of such a map.
pub fn attached(id: i32, flags: i32) -> Result<Values> {
    let address = syscall!(SYS_shmat, id, 0, flags)?;
    let map = known::mapped(address)?;
    syscall!(SYS_shmdt, address)?;
    let how = values([
        ("owner", json!(EFFECTIVE_USER)),
        ("mode", json!(libc::S_IFREG | 0o777)),
        ("executable", json!(false)),
        ("writable", json!(flags & libc::SHM_RDONLY == 0)),
    ]);
    Ok(known::all([&map, &how]))
}

fn semaphores(plan: &mut Plan) -> Result<()> {
    let id = i32::try_from(call!(semget(OLD, 2, libc::IPC_CREAT | MODE))?)?;
    for (what, key) in [("semget with a new key", NEW), ("semget(IPC_PRIVATE)", libc::IPC_PRIVATE)] {
        plan.step(what, vec![seen(SysvSemCreate, &new(key))], move || {
            call!(semget(key, 2, libc::IPC_CREAT | MODE)).map(drop)
        });
    }
    plan.step("semget with a known key", vec![seen(SysvSemOpen, &old(OLD, id))], || call!(semget(OLD, 0, 0)).map(drop));
    let raise = [libc::sembuf { sem_num: 1, sem_op: 1, sem_flg: 0 }];
    plan.step("semop", vec![seen(SysvSemOperate, &old(OLD, id))], move || {
        syscall!(SYS_semop, id, raise.as_ptr(), raise.len()).map(drop)
    });
    plan.step("semtimedop", vec![seen(SysvSemOperate, &old(OLD, id))], move || {
        let time = libc::timespec { tv_sec: 1, tv_nsec: 0 };
        syscall!(SYS_semtimedop, id, raise.as_ptr(), raise.len(), &raw const time).map(drop)
    });
    plan.gap(&gaps::SEMCTL, vec![], move || call!(semctl(id, 0, libc::SETVAL, 5)).map(drop));
    Ok(())
}

//! POSIX message queues.

use std::{ffi::CString, path::Path};

use anyhow::Result;
use sensor_common::event::Event::{MqueueOpen, MqueueReceive, MqueueSend};
use serde_json::json;

use super::{
    call::{Room, call},
    fifo,
    known::{self, UNKNOWN, values},
    plan::{Plan, seen},
    setting::{EFFECTIVE_USER, PAYLOAD},
};

/// Where queues are files.
const DIRECTORY: &str = "/dev/mqueue";
const PRIORITY: u32 = 5;
/// Room for a message of a queue that is made without attributes.
const MESSAGE: usize = 8192;

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan) -> Result<()> {
    let (name, mode) = (c"/conformance", 0o640);
    let fd = i32::try_from(call!(mq_open(name.as_ptr(), libc::O_CREAT | libc::O_RDWR, mode, 0))?)?;
    // Opened by its name, its path begins at the root of the queues.
    let mut queue = known::open(fd)?;
    queue.insert("path".to_owned(), json!(name.to_str()?));

    for (what, flags) in [
        ("mq_open", libc::O_RDWR),
        ("mq_open for reading", libc::O_RDONLY | libc::O_NONBLOCK),
        ("mq_open with O_CREAT of a queue that is there", libc::O_WRONLY | libc::O_CREAT),
    ] {
        let opened = known::all([&queue, &known::opening(flags)]);
        plan.step(what, vec![seen(MqueueOpen, &opened)], move || {
            call!(mq_open(name.as_ptr(), flags, mode, 0)).map(drop)
        });
    }
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    let new = values([
        ("path", json!("/conformance-new")),
        ("mode", json!(libc::S_IFREG | mode)),
        ("owner", json!(EFFECTIVE_USER)),
        ("device", queue["device"].clone()),
        ("inode", UNKNOWN),
    ]);
    let opened = known::all([&new, &known::opening(flags)]);
    plan.step("mq_open of a new queue", vec![seen(MqueueOpen, &opened)], move || {
        call!(mq_open(c"/conformance-new".as_ptr(), flags, mode, 0)).map(drop)
    });
    let file = Path::new(DIRECTORY).join("conformance");
    let opened = known::all([&known::named(&file)?, &known::opening(libc::O_RDONLY)]);
    let path: CString = fifo::path(&file)?;
    plan.step("open of a queue as a file", vec![seen(MqueueOpen, &opened)], move || {
        call!(open(path.as_ptr(), libc::O_RDONLY)).map(drop)
    });

    let sent = known::all([&queue, &values([("message_type", json!(PRIORITY))]), &known::payload(PAYLOAD)]);
    let late = libc::timespec { tv_sec: i64::MAX, tv_nsec: 0 };
    let text: *const libc::c_char = PAYLOAD.as_ptr().cast();
    plan.step("mq_send", vec![seen(MqueueSend, &sent)], move || {
        call!(mq_send(fd, text, PAYLOAD.len(), PRIORITY)).map(drop)
    });
    plan.step("mq_timedsend", vec![seen(MqueueSend, &sent)], move || {
        call!(mq_timedsend(fd, text, PAYLOAD.len(), PRIORITY, &raw const late)).map(drop)
    });
    plan.step("mq_receive", vec![seen(MqueueReceive, &queue)], move || {
        call!(mq_receive(fd, Room::new(MESSAGE).start().cast(), MESSAGE, std::ptr::null_mut())).map(drop)
    });
    plan.step("mq_timedreceive", vec![seen(MqueueReceive, &queue)], move || {
        let mut room = Room::new(MESSAGE);
        call!(mq_timedreceive(fd, room.start().cast(), MESSAGE, std::ptr::null_mut(), &raw const late)).map(drop)
    });
    Ok(())
}

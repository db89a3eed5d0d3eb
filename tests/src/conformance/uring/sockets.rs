//! Unix sockets by `io_uring`.

use std::{ptr, rc::Rc};

use anyhow::Result;
use io_uring::{
    opcode::{Accept, Bind, Connect, Listen, Read, Recv, RecvMsg, Send, SendMsg, Write},
    types::Fd,
};
use sensor_common::event::Event::{PipeReceive, UnixAccept, UnixBind, UnixConnect, UnixListen, UnixReceive};

use super::{
    super::{
        call::{Room, call, segments},
        pipe::Pipe,
        plan::{Plan, seen},
        unix::{Address, Rights, addressed, connected, header, made, pair, sent, socket},
    },
    ring::Ring,
};
use crate::conformance::setting::{PAYLOAD, PAYLOAD_LENGTH, at};

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan, ring: &Rc<Ring>) -> Result<()> {
    connection(plan, ring)?;
    messages(plan, ring)?;
    descriptors(plan, ring)
}

fn connection(plan: &mut Plan, ring: &Rc<Ring>) -> Result<()> {
    let path = at(&format!("ring-{}", ring.actor));
    let address = Address::path(&path);
    let named = addressed(libc::SOCK_STREAM, &path.to_string_lossy());
    let new = socket(libc::SOCK_STREAM)?;
    ring.step(plan, Bind::CODE, "BIND", vec![seen(UnixBind, &named), made(&path.to_string_lossy())], move |ring| {
        ring.run(Bind::new(Fd(new), address.start(), address.1).build()).map(drop)
    });
    ring.step(plan, Listen::CODE, "LISTEN", vec![seen(UnixListen, &named)], move |ring| {
        ring.run(Listen::new(Fd(new), 1).build()).map(drop)
    });
    let path = at(&format!("ring-server-{}", ring.actor));
    let address = Address::path(&path);
    let named = addressed(libc::SOCK_STREAM, &path.to_string_lossy());
    let (server, client) = (socket(libc::SOCK_STREAM)?, socket(libc::SOCK_STREAM)?);
    call!(bind(server, address.start(), address.1))?;
    call!(listen(server, 1))?;
    ring.step(plan, Connect::CODE, "CONNECT", vec![seen(UnixConnect, &named)], move |ring| {
        ring.run(Connect::new(Fd(client), address.start(), address.1).build()).map(drop)
    });
    ring.step(plan, Accept::CODE, "ACCEPT", vec![seen(UnixAccept, &named)], move |ring| {
        ring.run(Accept::new(Fd(server), ptr::null_mut(), ptr::null_mut()).build()).map(drop)
    });
    Ok(())
}

fn messages(plan: &mut Plan, ring: &Rc<Ring>) -> Result<()> {
    let [from, to] = pair(libc::SOCK_STREAM)?;
    let both = connected(libc::SOCK_STREAM, "", std::process::id());
    let (sends, receives) = (|| vec![sent(&both)], || vec![seen(UnixReceive, &both)]);
    ring.step(plan, Send::CODE, "SEND", sends(), move |ring| {
        ring.run(Send::new(Fd(from), PAYLOAD.as_ptr(), PAYLOAD_LENGTH).build()).map(drop)
    });
    ring.step(plan, Recv::CODE, "RECV", receives(), move |ring| {
        ring.run(Recv::new(Fd(to), Room::new(PAYLOAD.len()).start().cast(), PAYLOAD_LENGTH).build()).map(drop)
    });
    ring.step(plan, Write::CODE, "WRITE to a socket", sends(), move |ring| {
        ring.run(Write::new(Fd(from), PAYLOAD.as_ptr(), PAYLOAD_LENGTH).build()).map(drop)
    });
    ring.step(plan, Read::CODE, "READ from a socket", receives(), move |ring| {
        let mut room = Room::new(PAYLOAD.len());
        ring.run(Read::new(Fd(to), room.start().cast(), PAYLOAD_LENGTH).build()).map(drop)
    });
    Ok(())
}

/// A pipe handed over.
fn descriptors(plan: &mut Plan, ring: &Rc<Ring>) -> Result<()> {
    let [from, to] = pair(libc::SOCK_STREAM)?;
    let both = connected(libc::SOCK_STREAM, "", std::process::id());
    let pipe = Pipe::new()?;
    ring.step(plan, SendMsg::CODE, "SENDMSG with SCM_RIGHTS", vec![sent(&both)], move |ring| {
        let parts = segments(&[&PAYLOAD[..4], &PAYLOAD[4..]]);
        let mut rights = Rights::new(pipe.reader);
        let header = rights.attach(header(&parts));
        ring.run(SendMsg::new(Fd(from), &raw const header).build()).map(drop)
    });
    let taken = vec![seen(UnixReceive, &both), seen(PipeReceive, &pipe.known)];
    ring.step(plan, RecvMsg::CODE, "RECVMSG with SCM_RIGHTS", taken, move |ring| {
        let mut room = Room::new(PAYLOAD.len());
        let mut part = room.segment();
        let mut rights = Rights::new(0);
        let mut header = rights.attach(header(&[]));
        (header.msg_iov, header.msg_iovlen) = (&raw mut part, 1);
        ring.run(RecvMsg::new(Fd(to), &raw mut header).build()).map(drop)
    });
    Ok(())
}

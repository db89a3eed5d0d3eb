//! Unix sockets, as a 32-bit program uses them: by `socketcall`, and by calls of their own.

use std::{os::fd::RawFd, rc::Rc};

use anyhow::Result;
use sensor_common::event::Event::{PipeReceive, UnixAccept, UnixBind, UnixConnect, UnixListen, UnixPair, UnixReceive};
use serde_json::json;

use super::{
    super::{
        known::values,
        pipe::Pipe,
        plan::{Plan, Seen, seen},
        unix::{Address, addressed, connected, made, pair, sent, socket},
    },
    entry::{Low, call, segments, word},
};
use crate::conformance::setting::{PAYLOAD, PAYLOAD_LENGTH, at};

const SOCKETCALL: u32 = 102;
const STREAM: i32 = libc::SOCK_STREAM;

/// A call, by its number in `socketcall` (`include/uapi/linux/net.h`) and by its own.
struct Call {
    name: &'static str,
    multiplexed: u32,
    own: u32,
}

/// `socketcall`, or the call itself.
const WAYS: [&str; 2] = ["by socketcall", "by its own number"];

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    for way in WAYS {
        connection(plan, low, way)?;
        messages(plan, low, way)?;
        descriptors(plan, low, way)?;
    }
    Ok(())
}

fn step(plan: &mut Plan, low: &Rc<Low>, way: &str, what: &Call, seen: Vec<Seen>, arguments: &[u32]) {
    let name = what.name;
    let (number, arguments) = if way == WAYS[0] {
        (SOCKETCALL, vec![what.multiplexed, low.words(arguments)])
    } else {
        (what.own, arguments.to_vec())
    };
    plan.step(&format!("32-bit {name} {way}"), seen, move || call(name, number, &arguments).map(drop));
}

fn connection(plan: &mut Plan, low: &Rc<Low>, way: &str) -> Result<()> {
    let none = values([("socket_type", json!(STREAM)), ("address", json!("")), ("abstract", json!(false))]);
    let socketpair = Call { name: "socketpair", multiplexed: 8, own: 360 };
    let ends = low.room(8);
    step(plan, low, way, &socketpair, vec![seen(UnixPair, &none)], &[word(libc::AF_UNIX), word(STREAM), 0, ends]);

    let path = at(&format!("stream {way}"));
    let address = Address::path(&path);
    let named = addressed(STREAM, &path.to_string_lossy());
    let (server, client) = (word(socket(STREAM)?), word(socket(STREAM)?));
    let (start, length) = (low.bytes(address.bytes()), address.1);
    let bind = Call { name: "bind", multiplexed: 2, own: 361 };
    step(plan, low, way, &bind, vec![seen(UnixBind, &named), made(&path.to_string_lossy())], &[server, start, length]);
    let listen = Call { name: "listen", multiplexed: 4, own: 363 };
    step(plan, low, way, &listen, vec![seen(UnixListen, &named)], &[server, 1]);
    let connect = Call { name: "connect", multiplexed: 3, own: 362 };
    step(plan, low, way, &connect, vec![seen(UnixConnect, &named)], &[client, start, length]);
    let accept = Call { name: "accept4", multiplexed: 18, own: 364 };
    step(plan, low, way, &accept, vec![seen(UnixAccept, &named)], &[server, 0, 0, 0]);
    Ok(())
}

fn messages(plan: &mut Plan, low: &Rc<Low>, way: &str) -> Result<()> {
    let [from, to] = pair(STREAM)?.map(word);
    let both = connected(STREAM, "", std::process::id());
    let (data, room) = (low.bytes(PAYLOAD), low.room(PAYLOAD.len()));
    let sendto = Call { name: "sendto", multiplexed: 11, own: 369 };
    step(plan, low, way, &sendto, vec![sent(&both)], &[from, data, PAYLOAD_LENGTH, 0, 0, 0]);
    let receive = Call { name: "recvfrom", multiplexed: 12, own: 371 };
    step(plan, low, way, &receive, vec![seen(UnixReceive, &both)], &[to, room, PAYLOAD_LENGTH, 0, 0, 0]);
    if way == WAYS[0] {
        // These two have no number of their own.
        let send = Call { name: "send", multiplexed: 9, own: 0 };
        step(plan, low, way, &send, vec![sent(&both)], &[from, data, PAYLOAD_LENGTH, 0]);
        let receive = Call { name: "recv", multiplexed: 10, own: 0 };
        step(plan, low, way, &receive, vec![seen(UnixReceive, &both)], &[to, room, PAYLOAD_LENGTH, 0]);
    }
    Ok(())
}

/// `struct compat_msghdr`, with one control message that hands over `fd`.
fn header(low: &Low, parts: u32, count: u32, fd: RawFd) -> u32 {
    // `struct compat_cmsghdr`: length, level, type; then the descriptor.
    let rights = low.words(&[16, word(libc::SOL_SOCKET), word(libc::SCM_RIGHTS), word(fd)]);
    low.words(&[0, 0, parts, count, rights, 16, 0])
}

/// A pipe handed over.
fn descriptors(plan: &mut Plan, low: &Rc<Low>, way: &str) -> Result<()> {
    let [from, to] = pair(STREAM)?.map(word);
    let both = connected(STREAM, "", std::process::id());
    let pipe = Pipe::new()?;
    let message = header(low, segments(low, &[&PAYLOAD[..4], &PAYLOAD[4..]]), 2, pipe.reader);
    let sendmsg = Call { name: "sendmsg with SCM_RIGHTS", multiplexed: 16, own: 370 };
    step(plan, low, way, &sendmsg, vec![sent(&both)], &[from, message, 0]);
    let room = low.words(&[low.room(PAYLOAD.len()), PAYLOAD_LENGTH]);
    let message = header(low, room, 1, 0);
    let receive = Call { name: "recvmsg with SCM_RIGHTS", multiplexed: 17, own: 372 };
    let taken = vec![seen(UnixReceive, &both), seen(PipeReceive, &pipe.known)];
    step(plan, low, way, &receive, taken, &[to, message, 0]);
    Ok(())
}

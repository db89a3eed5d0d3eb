//! Pipes and FIFOs in use: reads, writes, the data written, and the ways around reads and writes.

use sensor_common::{
    event::{Event, Groups},
    syscall::Syscall,
};

use super::{Call, traced_hook};
use crate::{
    object::{File, Type},
    payload::{self, Sent},
    pipe::{received_file, written_file},
    record::Held,
    scratch::Wanted,
    subject::{Nothing, Seen, Subject},
};

/// Whether a call reads what its first argument names, where it is one of those that read or write.
#[inline(always)]
pub fn reads(number: u32) -> bool {
    number == Syscall::Read as u32 || number == Syscall::Readv as u32 || number == Syscall::Preadv2 as u32
}

#[inline(always)]
fn used(call: Call) -> Seen<File> {
    let (file, kind) = File::pipe(call.file(0)?)?;
    let event = match (kind, reads(call.number)) {
        (Type::Fifo, true) => Event::FifoRead,
        (Type::Fifo, false) => Event::FifoWrite,
        (_, true) => Event::PipeRead,
        (_, false) => Event::PipeWrite,
    };
    Some((event, file))
}

traced_hook! { pipe::file_permission, used }
traced_hook! { pipe::file_receive, |call| received_file(call.new_file()?) }

/// Data that went into a pipe or FIFO.
struct Write {
    file: File,
    data: Sent,
}

impl Write {
    #[inline(always)]
    fn seen(call: Call) -> Seen<Self> {
        let (event, file) = written_file(call.file(0)?)?;
        Some((event, Self { file, data: Sent::written(&call) }))
    }
}

impl Subject for Write {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.file.fill(held, wanted);
        if wanted.contains(Groups::PAYLOAD) {
            payload::fill_sent(held, &self.data);
        }
    }
}

traced_hook! { pipe::pipe_write, Write::seen }
traced_hook! { pipe::create_pipe_files, |_| Some((Event::PipeCreate, Nothing)) }

#[inline(always)]
fn spliced(call: Call) -> Seen<File> {
    let (from, to) = (call.file(0).and_then(File::pipe), call.file(2).and_then(File::pipe));
    let (file, _) = to.or(from)?;
    Some((Event::PipeSplice, file))
}

traced_hook! { pipe::do_splice, spliced }

/// The pipe or FIFO that argument `n` names.
#[inline(always)]
fn pipe(call: &Call, n: usize, event: Event) -> Seen<File> {
    let (file, _) = File::pipe(call.file(n)?)?;
    Some((event, file))
}

traced_hook! { pipe::do_tee, |call| pipe(&call, 1, Event::PipeTee) }
traced_hook! { pipe::vmsplice, |call| pipe(&call, 0, Event::PipeVmsplice) }
traced_hook! { pipe::do_sendfile, |call| pipe(&call, 0, Event::PipeSendfile) }

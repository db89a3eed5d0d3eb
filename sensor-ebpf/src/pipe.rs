//! Pipes and FIFOs in use: reads, writes, the data written, and the ways around reads and writes.

use sensor_common::{
    event::{Event, Groups},
    maps::Generation,
};

use crate::{
    hook::{Context, fentry_hook, lsm_hook},
    kernel::{KIOCB_KI_FILP, PT_REGS_DI, Struct},
    object::{File, Type},
    payload, quarantine,
    record::Held,
    scratch::Wanted,
    subject::{Nothing, Seen, Subject},
};

/// Of the mask of `file_permission`: `include/linux/fs.h`.
pub const MAY_WRITE: u32 = 2;
pub const MAY_READ: u32 = 4;

#[inline(always)]
fn used<C: Context>(ctx: &C) -> Seen<File> {
    let (file, kind) = File::pipe(Struct::typed(ctx.arg(0)))?;
    let mask: u32 = ctx.arg(1);
    let event = match (kind, mask & MAY_WRITE != 0, mask & MAY_READ != 0) {
        (Type::Fifo, true, _) => Event::FifoWrite,
        (_, true, _) => Event::PipeWrite,
        (Type::Fifo, false, true) => Event::FifoRead,
        (_, false, true) => Event::PipeRead,
        (_, false, false) => return None,
    };
    Some((event, file))
}

lsm_hook! {
    /// `int file_permission(struct file *file, int mask)`
    file_permission, used
}

/// A file that comes from another process.
#[inline(always)]
pub fn received_file(file: Struct) -> Seen<File> {
    let (file, kind) = File::pipe(file)?;
    Some((if kind == Type::Fifo { Event::FifoReceive } else { Event::PipeReceive }, file))
}

#[inline(always)]
fn received<C: Context>(ctx: &C) -> Seen<File> {
    received_file(Struct::typed(ctx.arg(0)))
}

lsm_hook! {
    /// `int file_receive(struct file *file)`
    file_receive, received
}

/// A pipe or FIFO that data goes into.
#[inline(always)]
pub fn written_file(file: Struct) -> Seen<File> {
    File::pipe(file).map(written_to)
}

#[inline(always)]
fn written_to((file, kind): (File, Type)) -> (Event, File) {
    (if kind == Type::Fifo { Event::FifoPayload } else { Event::PipePayload }, file)
}

/// Data on its way into a pipe or FIFO.
struct Write {
    file: File,
    /// `struct iov_iter`
    from: Struct,
}

impl Write {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        let iocb = Struct::typed(ctx.arg(0));
        // Nothing but pipes and FIFOs is written to by this function (`pipefifo_fops`): no need to look.
        let (event, file) = written_to(File::new(iocb.follow(&KIOCB_KI_FILP)).in_use());
        Some((event, Self { file, from: Struct::typed(ctx.arg(1)) }))
    }
}

impl Subject for Write {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.file.fill(held, wanted);
        if wanted.contains(Groups::PAYLOAD) {
            payload::fill(held, self.from);
        }
    }

    #[inline(always)]
    fn matches_none(&self, event: Event, generation: &Generation) -> bool {
        payload::size(self.from) < u64::from(generation.least[event as usize])
    }

    #[inline(always)]
    fn quarantine(&self, held: &Held) {
        quarantine::mark_pipe(held, &self.file);
    }
}

fentry_hook! {
    /// `ssize_t anon_pipe_write(struct kiocb *iocb, struct iov_iter *from)`, until 6.14 `pipe_write`
    pipe_write, Write::seen
}

#[inline(always)]
fn created<C: Context>(_: &C) -> Seen<Nothing> {
    Some((Event::PipeCreate, Nothing))
}

fentry_hook! {
    /// `int create_pipe_files(struct file **res, int flags)`
    create_pipe_files, created
}

#[inline(always)]
fn spliced<C: Context>(ctx: &C) -> Seen<File> {
    let (from, to) = (File::pipe(Struct::typed(ctx.arg(0))), File::pipe(Struct::typed(ctx.arg(2))));
    let (file, _) = to.or(from)?;
    Some((Event::PipeSplice, file))
}

fentry_hook! {
    /// `ssize_t do_splice(struct file *in, loff_t *off_in, struct file *out, loff_t *off_out, size_t len,
    /// unsigned int flags)`
    do_splice, spliced
}

#[inline(always)]
fn teed<C: Context>(ctx: &C) -> Seen<File> {
    let (file, _) = File::pipe(Struct::typed(ctx.arg(1)))?;
    Some((Event::PipeTee, file))
}

fentry_hook! {
    /// `ssize_t do_tee(struct file *in, struct file *out, size_t len, unsigned int flags)`
    do_tee, teed
}

#[inline(always)]
fn vmspliced<C: Context>(ctx: &C) -> Seen<File> {
    let descriptor: u64 = Struct::typed(ctx.arg(0)).get(&PT_REGS_DI);
    let (file, _) = File::pipe(File::descriptor(descriptor as u32)?)?;
    Some((Event::PipeVmsplice, file))
}

fentry_hook! {
    /// `long __x64_sys_vmsplice(const struct pt_regs *regs)`, of `vmsplice(int fd, const struct iovec *,
    /// size_t, unsigned int)`
    vmsplice, vmspliced
}

#[inline(always)]
fn sent<C: Context>(ctx: &C) -> Seen<File> {
    let (file, _) = File::pipe(File::descriptor(ctx.arg(0))?)?;
    Some((Event::PipeSendfile, file))
}

fentry_hook! {
    /// `ssize_t do_sendfile(int out_fd, int in_fd, loff_t *ppos, size_t count, loff_t max)`
    do_sendfile, sent
}

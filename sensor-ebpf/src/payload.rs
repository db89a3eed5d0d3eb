//! The first bytes of the data that a process writes or sends.

use sensor_common::{maps::Loss, record::TEXT_MAX, syscall::Syscall};

use crate::{
    asm,
    kernel::{
        ITER_COUNT, ITER_IOV, ITER_IS_IOVEC, ITER_IS_KVEC, ITER_IS_UBUF, ITER_NR_SEGS, ITER_OFFSET, ITER_TYPE,
        ITER_UBUF, Ptr, Struct, value,
    },
    maps::count_loss,
    memory::Memory,
    record::Held,
    scratch::Scratch,
    traced::Call,
};

/// Most segments of a `writev` that are looked into.
const SEGMENTS: u64 = 8;

/// `ITER_IOVEC` until 5.13, when the types were flags and the lowest bit the direction.
const FLAG_ITER_IOVEC: u32 = 4;

/// How many bytes `iter` (a `struct iov_iter`) has.
#[inline(always)]
pub fn size(iter: Struct) -> u64 {
    iter.get(&ITER_COUNT)
}

/// Fills the payload from `iter` (a `struct iov_iter`): at most the first 256 bytes.
#[inline(always)]
pub fn fill(held: &mut Held, iter: Struct) {
    let count = size(iter);
    let skip: u64 = iter.get(&ITER_OFFSET);
    let kind = u32::from(iter.get::<u8>(&ITER_TYPE));
    if kind == value(&ITER_IS_UBUF) {
        // In one piece: the way of a plain write.
        held.scratch.from.set(iter.get(&ITER_UBUF));
        let from = (held.scratch.from.get() as Ptr).wrapping_add(skip as usize);
        fill_from(held, from, count, Memory::User);
        return;
    }
    let kind = if value(&ITER_IS_IOVEC) == FLAG_ITER_IOVEC { kind & !1 } else { kind };
    begin(held.scratch, skip, count);
    held.scratch.from.set(iter.get(&ITER_IOV));
    let segments =
        Segments { first: held.scratch.from.get() as Ptr, count: iter.get(&ITER_NR_SEGS), memory: Memory::Kernel };
    if kind == value(&ITER_IS_IOVEC) {
        gather(held.scratch, &segments, Memory::User);
    } else if kind == value(&ITER_IS_KVEC) {
        gather(held.scratch, &segments, Memory::Kernel);
    }
    keep_gathered(held, count);
}

/// Data that a process has written or sent, as it said where they lie. Without an `Option`: kernels refuse
/// the type information of one whose discriminant is not its first member.
pub struct Sent {
    /// The data, or an array of `struct iovec`.
    pub from: Ptr,
    /// Which of the two.
    pub is_vector: bool,
    /// How many segments, where it is such an array.
    pub segments: u64,
    /// How many bytes went.
    pub length: u64,
}

impl Sent {
    /// What a call wrote whose arguments are those of `write` or `writev`, as far as they are looked at.
    #[inline(always)]
    pub fn written(call: &Call) -> Self {
        let is_vector = call.number == Syscall::Writev as u32 || call.number == Syscall::Pwritev2 as u32;
        Self { from: call.arg(1) as Ptr, is_vector, segments: call.arg(2), length: call.result }
    }
}

/// Fills the payload from the memory of the process, which may have changed since: at most the first 256 bytes.
#[inline(always)]
pub fn fill_sent(held: &mut Held, sent: &Sent) {
    if !sent.is_vector {
        fill_from(held, sent.from, sent.length, Memory::User);
        return;
    }
    begin(held.scratch, 0, sent.length);
    gather(held.scratch, &Segments { first: sent.from, count: sent.segments, memory: Memory::User }, Memory::User);
    keep_gathered(held, sent.length);
}

/// Nothing is gathered yet of `count` bytes, before which `skip` bytes lie.
#[inline(always)]
fn begin(scratch: &mut Scratch, skip: u64, count: u64) {
    scratch.kept.set(0);
    scratch.skip.set(skip);
    scratch.left.set(count.min(TEXT_MAX as u64));
}

/// Writes down what was gathered of `count` bytes.
#[inline(always)]
fn keep_gathered(held: &mut Held, count: u64) {
    let (from, kept) = (held.scratch.bytes.as_ptr(), held.scratch.kept.get());
    // Some of the first bytes lie in more segments than are looked into, or could not be read.
    if kept != 0 && held.scratch.left.get() != 0 {
        count_loss(Loss::PayloadUnread);
    }
    keep(held, count, from, kept, Memory::Kernel);
}

/// A payload that is gathered from pieces in the kernel's memory: at most the first 256 bytes.
pub struct Gathered<'h> {
    held: &'h mut Held,
    size: u64,
}

impl<'h> Gathered<'h> {
    /// Nothing is gathered yet of `size` bytes.
    #[inline(always)]
    pub fn new(held: &'h mut Held, size: u64) -> Self {
        begin(held.scratch, 0, size);
        Self { held, size }
    }

    /// Appends `length` bytes at `from`; false where they cannot be read, and where there is enough.
    #[inline(always)]
    pub fn append(&mut self, from: Ptr, length: u64) -> bool {
        copy(self.held.scratch, from, length, Memory::Kernel) && self.held.scratch.left.get() != 0
    }

    /// Writes down what was gathered.
    #[inline(always)]
    pub fn finish(self) {
        keep_gathered(self.held, self.size);
    }
}

/// An array of `struct iovec` or `struct kvec`: both are a base and a length.
struct Segments {
    first: Ptr,
    count: u64,
    /// Where the array lies; not what it points to.
    memory: Memory,
}

/// Fills the payload from `count` bytes at `from`: at most the first 256.
#[inline(always)]
pub fn fill_from(held: &mut Held, from: Ptr, count: u64, memory: Memory) {
    keep(held, count, from, count, memory);
}

/// Fills the payload from the first `there` of `count` bytes, in the kernel's memory at `from`.
#[inline(always)]
pub fn fill_copied(held: &mut Held, from: Ptr, there: u64, count: u64) {
    keep(held, count, from, there, Memory::Kernel);
}

/// Writes down the first of `kept` bytes at `from`, of `count` in all, and counts data of which nothing could be read.
#[inline(always)]
fn keep(held: &mut Held, count: u64, from: Ptr, kept: u64, memory: Memory) {
    let object = &mut held.record.object;
    object.size = count;
    object.payload.full = count.min(u64::from(u32::MAX)) as u32;
    object.payload.len = 0;
    let kept = asm::bounded(kept as usize, TEXT_MAX);
    // SAFETY: `kept` is at most the size of the destination.
    let status = unsafe { memory.copy(object.payload.bytes.as_mut_ptr(), kept, from) };
    if status == 0 {
        object.payload.len = kept as u32;
    }
    held.scratch.note_kept(object.payload.len, object.payload.full.min(TEXT_MAX as u32));
    if object.payload.len == 0 && count != 0 {
        count_loss(Loss::PayloadUnread);
    }
}

/// Copies the first `left` bytes to the start of `scratch`, from segments in this memory. `kept` there is how
/// many it got.
#[inline(always)]
fn gather(scratch: &mut Scratch, segments: &Segments, memory: Memory) {
    for index in 0..SEGMENTS {
        if index >= segments.count || scratch.left.get() == 0 {
            return;
        }
        let segment = segments.first.wrapping_add(index as usize * 16);
        let (base, length) = (segments.memory.read_ptr(segment), segments.memory.read::<u64>(segment.wrapping_add(8)));
        let (Some(base), Some(length)) = (base, length) else { return };
        if !copy(scratch, base, length.saturating_sub(scratch.skip.get()), memory) {
            return;
        }
        scratch.skip.set(0);
    }
}

/// Appends `length` bytes behind those skipped at `base`, at most those left; false where they cannot be read.
#[inline(always)]
fn copy(scratch: &mut Scratch, base: Ptr, length: u64, memory: Memory) -> bool {
    let at = asm::bounded(scratch.kept.get() as usize, TEXT_MAX);
    let left = scratch.left.get();
    scratch.length.set(length.min(left));
    let length = asm::bounded(scratch.length.get() as usize, TEXT_MAX);
    let from = base.wrapping_add(scratch.skip.get() as usize);
    // SAFETY: `at` and `length` are at most `TEXT_MAX` each, the scratch area is much larger.
    let status = unsafe { memory.copy(scratch.bytes.as_mut_ptr().add(at), length, from) };
    if status == 0 {
        scratch.kept.set((at + length) as u64);
        scratch.left.set(left.wrapping_sub(length as u64));
    }
    status == 0
}

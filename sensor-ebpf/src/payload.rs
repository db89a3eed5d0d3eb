//! The first bytes of the data that a process writes or sends.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};
use sensor_common::{
    maps::Loss,
    record::{Object, TEXT_MAX},
};

use crate::{
    asm,
    kernel::{
        ITER_COUNT, ITER_IOV, ITER_IS_IOVEC, ITER_IS_KVEC, ITER_IS_UBUF, ITER_NR_SEGS, ITER_OFFSET, ITER_TYPE,
        ITER_UBUF, Ptr, Struct, probe, probe_ptr, value,
    },
    maps::count_loss,
    record::Held,
    scratch::Scratch,
};

/// Most segments of a `writev` that are looked into.
const SEGMENTS: u64 = 8;

/// `ITER_IOVEC` until 5.13, when the types were flags and the lowest bit the direction.
const FLAG_ITER_IOVEC: u32 = 4;

/// Where the bytes of a write lie.
#[derive(Clone, Copy)]
pub enum Memory {
    User,
    Kernel,
}

/// Fills the payload from `iter` (a `struct iov_iter`): at most the first 256 bytes.
#[inline(always)]
pub fn fill(held: &mut Held, iter: Struct) {
    let count: u64 = iter.get(&ITER_COUNT);
    let skip: u64 = iter.get(&ITER_OFFSET);
    let mut kind = u32::from(iter.get::<u8>(&ITER_TYPE));
    if value(&ITER_IS_IOVEC) == FLAG_ITER_IOVEC {
        kind &= !1;
    }
    if kind == value(&ITER_IS_UBUF) {
        // In one piece: the way of a plain write.
        held.scratch.from.set(iter.get(&ITER_UBUF));
        let from = (held.scratch.from.get() as Ptr).wrapping_add(skip as usize);
        fill_from(held, from, count, Memory::User);
        return;
    }
    held.scratch.kept.set(0);
    held.scratch.skip.set(skip);
    held.scratch.left.set(count.min(TEXT_MAX as u64));
    if kind == value(&ITER_IS_IOVEC) {
        gather(held.scratch, iter, Memory::User);
    } else if kind == value(&ITER_IS_KVEC) {
        gather(held.scratch, iter, Memory::Kernel);
    }
    let (from, kept) = (held.scratch.bytes.as_ptr(), held.scratch.kept.get());
    keep(&mut held.record.object, count, from, kept, Memory::Kernel);
}

/// Fills the payload from `count` bytes at `from`: at most the first 256.
#[inline(always)]
pub fn fill_from(held: &mut Held, from: Ptr, count: u64, memory: Memory) {
    keep(&mut held.record.object, count, from, count, memory);
}

/// Writes down the first of `kept` bytes at `from`, of `count` in all, and counts data of which nothing could be read.
#[inline(always)]
fn keep(object: &mut Object, count: u64, from: Ptr, kept: u64, memory: Memory) {
    object.size = count;
    object.payload.full = count.min(u64::from(u32::MAX)) as u32;
    object.payload.len = 0;
    let kept = asm::bounded(kept as usize, TEXT_MAX);
    // SAFETY: `kept` is at most the size of the destination; the helpers cannot fault on the source.
    let status = unsafe { read(object.payload.bytes.as_mut_ptr(), kept, from, memory) };
    if status == 0 {
        object.payload.len = kept as u32;
    }
    if object.payload.len == 0 && count != 0 {
        count_loss(Loss::PayloadUnread);
    }
}

/// Copies `length` bytes to where there is room for them; not 0 where they cannot be read.
///
/// # Safety
/// There must be room for `length` bytes behind `to`.
#[inline(always)]
unsafe fn read(to: *mut u8, length: usize, from: Ptr, memory: Memory) -> i64 {
    // SAFETY: the caller's promise; the helpers cannot fault on the source.
    unsafe {
        match memory {
            Memory::User => bpf_probe_read_user(to.cast(), length as u32, from.cast()),
            Memory::Kernel => bpf_probe_read_kernel(to.cast(), length as u32, from.cast()),
        }
    }
}

/// Copies the first `left` bytes to the start of `scratch`, from an array of `struct iovec` or `struct kvec`: both are a base
/// and a length. `kept` there is how many it got.
#[inline(always)]
fn gather(scratch: &mut Scratch, iter: Struct, memory: Memory) {
    scratch.from.set(iter.get(&ITER_IOV));
    let segments = scratch.from.get() as Ptr;
    let count: u64 = iter.get(&ITER_NR_SEGS);
    for index in 0..SEGMENTS {
        if index >= count || scratch.left.get() == 0 {
            return;
        }
        let segment = segments.wrapping_add(index as usize * 16);
        let (Some(base), Some(length)) = (probe_ptr(segment), probe::<u64>(segment.wrapping_add(8))) else { return };
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
    let status = unsafe { read(scratch.bytes.as_mut_ptr().add(at), length, from, memory) };
    if status == 0 {
        scratch.kept.set((at + length) as u64);
        scratch.left.set(left.wrapping_sub(length as u64));
    }
    status == 0
}

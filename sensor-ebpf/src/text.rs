//! How texts are kept: whole, by both of their ends, or unknown.

use sensor_common::record::{TEXT_MAX, Text};

use crate::{asm, kernel::Ptr, memory::Memory, scratch::Scratch};

/// How much of each end is kept of a text that is longer than the record has room for.
const END: usize = TEXT_MAX / 2;

/// No bytes: the text is known to be empty.
#[inline(always)]
pub fn empty(text: &mut Text<TEXT_MAX>) {
    text.len = 0;
    text.full = 0;
}

/// Nothing is known of the text: a rule can rely on nothing.
#[inline(always)]
pub fn unknown(text: &mut Text<TEXT_MAX>, scratch: &mut Scratch) {
    forget(text);
    scratch.unseen.set(1);
}

#[inline(always)]
fn forget(text: &mut Text<TEXT_MAX>) {
    text.len = 0;
    text.full = u32::MAX;
}

/// Keeps `full` bytes at `from`: all of them, or the first and the last [`END`] where there are more than the
/// record has room for. Unknown where they cannot be read.
#[inline(always)]
pub fn keep(text: &mut Text<TEXT_MAX>, scratch: &mut Scratch, memory: Memory, from: Ptr, full: u32) {
    copy(text, memory, from, full);
    scratch.note_kept(text.len, text.full);
}

#[inline(always)]
fn copy(text: &mut Text<TEXT_MAX>, memory: Memory, from: Ptr, full: u32) {
    forget(text);
    let to = text.bytes.as_mut_ptr();
    let is_cut = full as usize > TEXT_MAX;
    let head = if is_cut { END } else { asm::bounded(full as usize, TEXT_MAX) };
    // SAFETY: `head` is at most the size of the destination.
    if unsafe { memory.copy(to, head, from) } != 0 {
        return;
    }
    if is_cut {
        let tail = from.wrapping_add(full as usize).wrapping_sub(END);
        // SAFETY: behind the first `END` bytes there is room for as many.
        if unsafe { memory.copy(to.add(END), END, tail) } != 0 {
            return;
        }
    }
    text.len = if is_cut { TEXT_MAX as u32 } else { head as u32 };
    text.full = full;
}

/// Keeps a string that ends with a NUL, at the latest as the last of `room` bytes, at most [`TEXT_MAX`]; unknown
/// where it is unreadable, or longer than the record has room for.
#[inline(always)]
pub fn keep_string(text: &mut Text<TEXT_MAX>, scratch: &mut Scratch, memory: Memory, from: Ptr, room: usize) {
    forget(text);
    let room = asm::bounded(room, TEXT_MAX);
    // SAFETY: `room` is at most the size of the destination.
    let length = unsafe { memory.copy_string(text.bytes.as_mut_ptr(), room, from) };
    // As long as there is room: perhaps it was cut.
    if length > 0 && length < TEXT_MAX as i64 {
        text.len = (length - 1) as u32;
        text.full = text.len;
    }
    scratch.note_kept(text.len, text.full);
}

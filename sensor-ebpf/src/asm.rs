//! What the language cannot say to this target: an atomic addition, and a bound that stays where it is written.

use core::arch::asm;

/// Adds `value` to `*target` atomically, wrapping: the one atomic instruction that every kernel's BPF has.
///
/// `core` offers none for this target (it has no compare-and-swap before cpu v3), and an add whose result is used would
/// need an instruction that 5.10 does not know.
///
/// # Safety
/// `target` must point to a live, 8-byte aligned `u64` that all others access atomically or by single loads
/// and stores.
#[inline(always)]
pub unsafe fn add(target: *mut u64, value: u64) {
    // SAFETY: the caller's promise; `BPF_STX | BPF_XADD | BPF_DW` touches nothing else.
    unsafe {
        asm!("lock *(u64 *)({target} + 0) += {value}", target = in(reg) target, value = in(reg) value, options(nostack));
    }
}

/// The smaller of the two, found by a comparison of just this value.
///
/// The optimiser would otherwise derive the bound from a comparison of some other value that it knows to be related,
/// and the kernel's verifier does not see relations.
#[inline(always)]
pub fn bounded(mut value: usize, bound: usize) -> usize {
    // SAFETY: a move to itself; the compiler only forgets what it knew of `value`. (No instruction at all
    // would give two lines of source to the next one, which kernels refuse.)
    unsafe { asm!("{0} = {0}", inout(reg) value, options(nomem, nostack, preserves_flags)) };
    if value > bound { bound } else { value }
}

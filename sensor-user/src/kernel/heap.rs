//! Freed memory, given back to the kernel.

/// Gives back what the allocator keeps of freed memory: compiling and loading a generation takes many times what stays of it, in small
/// pieces, and the allocator gives back by itself only what lies at the end of its heap.
pub fn give_back() {
    // SAFETY: takes no address; the allocator locks itself.
    unsafe { libc::malloc_trim(0) };
}

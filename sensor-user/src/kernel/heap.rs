//! Freed memory, given back to the kernel.

/// From this size on a piece of memory is mapped by itself, and goes back to the kernel when it is freed.
const MAPPED: i32 = 128 * 1024;

/// Keeps the allocator from raising the size from which on pieces are mapped by themselves, as it does by
/// each such piece that is freed (mallopt(3), `M_MMAP_THRESHOLD`): programs and objects of megabytes would
/// leave holes that nothing fills. Before the first of them.
pub fn settle() {
    // SAFETY: takes two numbers; the allocator locks itself.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED) };
}

/// Gives back what the allocator keeps of freed memory: compiling and loading a generation takes many times
/// what stays of it, in small pieces, and the allocator gives back by itself only what lies at the end of its
/// heap.
pub fn give_back() {
    // SAFETY: takes no address; the allocator locks itself.
    unsafe { libc::malloc_trim(0) };
}

//! Where the generations lie that are in the kernel.

/// How many generations are in the kernel at once: the one in force, the one before it, and a candidate.
pub const BANKS: u32 = 3;

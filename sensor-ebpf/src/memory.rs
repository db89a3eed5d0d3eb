//! Memory from which bytes are copied: that of the kernel, or of the current process.

use aya_ebpf::helpers::generated::{
    bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_probe_read_user_str,
};

/// An address in the kernel, or the value 0.
pub type Ptr = *const u8;

/// Whose memory it is.
#[derive(Clone, Copy)]
pub enum Memory {
    User,
    Kernel,
}

impl Memory {
    /// Copies `length` bytes; not 0 where they cannot be read.
    ///
    /// # Safety
    /// There must be room for `length` bytes behind `to`.
    #[inline(always)]
    pub unsafe fn copy(self, to: *mut u8, length: usize, from: Ptr) -> i64 {
        // SAFETY: the caller's promise; the helpers cannot fault on the source.
        unsafe {
            match self {
                Self::User => bpf_probe_read_user(to.cast(), length as u32, from.cast()),
                Self::Kernel => bpf_probe_read_kernel(to.cast(), length as u32, from.cast()),
            }
        }
    }

    /// Copies a string and the NUL that ends it, at most `length` bytes with it; returns how many, or an error below 0.
    ///
    /// # Safety
    /// As of [`copy`](Self::copy).
    #[inline(always)]
    pub unsafe fn copy_string(self, to: *mut u8, length: usize, from: Ptr) -> i64 {
        // SAFETY: the caller's promise; the helpers cannot fault on the source.
        unsafe {
            match self {
                Self::User => bpf_probe_read_user_str(to.cast(), length as u32, from.cast()),
                Self::Kernel => bpf_probe_read_kernel_str(to.cast(), length as u32, from.cast()),
            }
        }
    }

    /// Reads a value; `None` where nothing can be read.
    #[inline(always)]
    pub fn read<T: Copy + Default>(self, from: Ptr) -> Option<T> {
        let mut value = T::default();
        // SAFETY: the destination is a local of the size given.
        let status = unsafe { self.copy((&raw mut value).cast(), size_of::<T>(), from) };
        (status == 0).then_some(value)
    }

    /// Reads a pointer; `None` where nothing can be read.
    #[inline(always)]
    pub fn read_ptr(self, from: Ptr) -> Option<Ptr> {
        self.read::<u64>(from).map(|pointer| pointer as Ptr)
    }
}

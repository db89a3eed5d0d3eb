//! Reading the kernel's structs.
//!
//! Offsets are read-only globals that user space sets, from the running kernel's BTF, before the programs are
//! loaded: the verifier sees constants. Through a pointer that the verifier knows the type of (a hook's
//! argument, or one loaded from there) [`load`] is a checked access to a typed member, and a wrong offset is
//! refused at load. Any other pointer goes through [`probe`], which cannot fault. A [`Struct`] knows which of
//! the two it is.

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_get_current_task_btf};
use sensor_common::{
    kernel::ABSENT, kernel_enumerators, kernel_members, kernel_optional_members, kernel_sizes, kernel_variables,
};

use crate::memory::Memory;
pub use crate::memory::Ptr;

/// Globals of 32 bits, each with what it is of: a struct or an enum.
macro_rules! numbers {
    ($($global:ident: $of:literal $(, $part:expr)?;)+) => {$(
        #[doc = concat!("Of `", $of, "` in this kernel.")]
        #[unsafe(no_mangle)]
        pub static $global: u32 = 0;
    )+};
}
kernel_members!(numbers);
kernel_optional_members!(numbers);
kernel_enumerators!(numbers);
kernel_sizes!(numbers);

macro_rules! variables {
    ($($global:ident: $name:literal;)+) => {$(
        #[doc = concat!("Address of the kernel's variable `", $name, "`.")]
        #[unsafe(no_mangle)]
        pub static $global: u64 = 0;
    )+};
}
kernel_variables!(variables);

/// Inode number of the mount namespace that the host's first process is in; 0 where that is not known.
#[unsafe(no_mangle)]
pub static HOST_MOUNT_NAMESPACE: u32 = 0;

/// Address of the `struct task_struct` of the current task: never 0.
#[inline(always)]
pub fn task() -> u64 {
    // SAFETY: the helper takes nothing and always succeeds.
    unsafe { bpf_get_current_task() }
}

/// The value that user space gave to a global.
#[inline(always)]
pub fn value(global: &'static u32) -> u32 {
    // SAFETY: a reference is valid to read. Volatile, because the compiler would otherwise use the 0 it sees.
    unsafe { core::ptr::read_volatile(global) }
}

/// Whether this kernel has what not every kernel has: a member, or an enumerator.
#[inline(always)]
pub fn has(optional: &'static u32) -> bool {
    value(optional) != ABSENT
}

/// The address of a variable of the kernel; 0 where it is not shown.
#[inline(always)]
pub fn address(global: &'static u64) -> u64 {
    // SAFETY: as for `value`.
    unsafe { core::ptr::read_volatile(global) }
}

/// The value of a variable of the kernel; `None` where it is not shown.
#[inline(always)]
pub fn variable(global: &'static u64) -> Option<u64> {
    probe(address(global) as Ptr)
}

/// The address of a member.
#[inline(always)]
pub fn member(base: Ptr, offset: &'static u32) -> Ptr {
    base.wrapping_add(value(offset) as usize)
}

/// Loads a member through a pointer whose type the verifier knows.
///
/// # Safety
/// `base` must be such a pointer; the verifier refuses the program otherwise.
#[inline(always)]
pub unsafe fn load<T: Copy>(base: Ptr, offset: &'static u32) -> T {
    // SAFETY: the verifier checks that the member exists there and has this size; the kernel handles faults.
    unsafe { core::ptr::read(member(base, offset).cast()) }
}

/// Reads a value at any address; `None` where nothing can be read.
#[inline(always)]
pub fn probe<T: Copy + Default>(address: Ptr) -> Option<T> {
    Memory::Kernel.read(address)
}

/// Reads the pointer at any address; `None` where nothing can be read.
#[inline(always)]
pub fn probe_ptr(address: Ptr) -> Option<Ptr> {
    Memory::Kernel.read_ptr(address)
}

/// A struct of the kernel.
#[derive(Clone, Copy)]
pub struct Struct {
    /// Its address.
    pub base: Ptr,
    typed: bool,
}

impl Struct {
    /// One that the verifier knows the type of: a hook's argument.
    #[inline(always)]
    pub const fn typed(base: Ptr) -> Self {
        Self { base, typed: true }
    }

    /// One at an address that came from a probe.
    #[inline(always)]
    pub const fn probed(base: Ptr) -> Self {
        Self { base, typed: false }
    }

    /// `struct task_struct` of the current task. Since 5.11 the verifier can know its type; on 5.10 each step
    /// from it is a probe. Which of the two is settled by a constant, so the verifier drops the other.
    #[inline(always)]
    pub fn current_task() -> Self {
        // SAFETY: the helpers take nothing and always succeed.
        unsafe {
            if has(&GET_CURRENT_TASK_BTF) {
                Self::typed(bpf_get_current_task_btf().cast())
            } else {
                Self::probed(bpf_get_current_task() as Ptr)
            }
        }
    }

    /// A member's value.
    #[inline(always)]
    pub fn get<T: Copy + Default>(self, offset: &'static u32) -> T {
        if self.typed {
            // SAFETY: the pointer is typed; the verifier checks the member.
            unsafe { load(self.base, offset) }
        } else {
            probe(member(self.base, offset)).unwrap_or_default()
        }
    }

    /// The struct that a member is.
    #[inline(always)]
    pub fn part(self, offset: &'static u32) -> Self {
        Self { base: member(self.base, offset), typed: self.typed }
    }

    /// The struct that a member points to, where it always points to one.
    #[inline(always)]
    pub fn follow(self, offset: &'static u32) -> Self {
        let base = if self.typed {
            // SAFETY: as above. Not as an integer: the verifier would forget the type.
            unsafe { load::<Ptr>(self.base, offset) }
        } else {
            self.get::<u64>(offset) as Ptr
        };
        Self { base, typed: self.typed }
    }

    /// The struct that a member points to; `None` where it points to none.
    #[inline(always)]
    pub fn to(self, offset: &'static u32) -> Option<Self> {
        let reached = self.follow(offset);
        (!reached.base.is_null()).then_some(reached)
    }
}

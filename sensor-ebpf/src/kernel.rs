//! Reading the kernel's structs.
//!
//! Offsets are read-only globals that user space sets, from the running kernel's BTF, before the programs are
//! loaded: the verifier sees constants. Through a pointer that the verifier knows the type of (a hook's
//! argument, or one loaded from there) [`load`] is a checked access to a typed member, and a wrong offset is
//! refused at load. Any other pointer goes through [`probe`], which cannot fault.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use sensor_common::{kernel_enumerators, kernel_members};

/// An address in the kernel, or the value 0.
pub type Ptr = *const u8;

macro_rules! members {
    ($($global:ident: $type:literal, $members:expr;)+) => {$(
        #[doc = concat!("Offset of a member of `struct ", $type, "`, bytes.")]
        #[unsafe(no_mangle)]
        pub static $global: u32 = 0;
    )+};
}
kernel_members!(members);

macro_rules! enumerators {
    ($($global:ident: $type:literal, $name:literal;)+) => {$(
        #[doc = concat!("Value of `", $name, "` in `enum ", $type, "`.")]
        #[unsafe(no_mangle)]
        pub static $global: u32 = 0;
    )+};
}
kernel_enumerators!(enumerators);

/// The value that user space gave to a global.
#[inline(always)]
pub fn value(global: &'static u32) -> u32 {
    // SAFETY: a reference is valid to read. Volatile, because the compiler would otherwise use the 0 it sees.
    unsafe { core::ptr::read_volatile(global) }
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
    let mut value = T::default();
    // SAFETY: the destination is a local of the size given; the helper cannot fault on the source.
    let status = unsafe { bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, address.cast()) };
    (status == 0).then_some(value)
}

/// Reads the pointer at any address; `None` where nothing can be read.
#[inline(always)]
pub fn probe_ptr(address: Ptr) -> Option<Ptr> {
    probe::<u64>(address).map(|pointer| pointer as Ptr)
}

//! The system call `bpf`, for programs that no compiler of ours made.

use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

pub const PROG_LOAD: i64 = 5;
pub const RAW_TRACEPOINT_OPEN: i64 = 17;

/// `union bpf_attr` as `BPF_PROG_LOAD` reads it.
#[allow(dead_code, reason = "the kernel reads it")]
#[repr(C)]
#[derive(Default)]
pub struct Load {
    pub kind: u32,
    pub count: u32,
    pub instructions: u64,
    pub license: u64,
    pub log_level: u32,
    pub log_size: u32,
    pub log: u64,
    pub kernel_version: u32,
    pub flags: u32,
    pub name: [u8; 16],
    pub interface: u32,
    pub attach_type: u32,
    pub btf: u32,
    pub function_info_size: u32,
    pub function_info: u64,
    pub function_info_count: u32,
    pub line_info_size: u32,
    pub line_info: u64,
    pub line_info_count: u32,
    pub target: u32,
}

/// The same as `BPF_RAW_TRACEPOINT_OPEN` reads it.
#[allow(dead_code, reason = "the kernel reads it")]
#[repr(C)]
pub struct Open {
    pub name: u64,
    pub program: u32,
    pub padding: u32,
}

/// The system call; what it makes.
///
/// # Errors
/// The kernel's.
pub fn bpf<T>(command: i64, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are as this command reads them, and what they point to lives through the call.
    let made = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    let made = i32::try_from(made).unwrap_or(-1);
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

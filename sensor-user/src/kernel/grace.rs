//! Waiting until no program can still be running on what was switched off.
//!
//! An update of a map of maps comes back only after an RCU grace period (`maybe_wait_bpf_programs` in the kernel's
//! `kernel/bpf/syscall.c`), and non-sleepable programs run under RCU, tail calls included. aya makes maps of maps only
//! where an object declares them with BTF, so these few calls are made here.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use anyhow::{Context, Result};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;

/// The members of `union bpf_attr` for `BPF_MAP_CREATE`, up to the last one used.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: i32,
}

/// The members of `union bpf_attr` for `BPF_MAP_UPDATE_ELEM`.
#[repr(C)]
struct MapUpdate {
    map_fd: i32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// A map of maps that serves for waiting only.
pub struct GracePeriod {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl GracePeriod {
    /// Makes the map.
    pub fn new() -> Result<Self> {
        let inner = create(BPF_MAP_TYPE_ARRAY, 0).context("cannot create an array map")?;
        let outer = create(BPF_MAP_TYPE_ARRAY_OF_MAPS, inner.as_raw_fd()).context("cannot create an array of maps")?;
        Ok(Self { outer, inner })
    }

    /// Returns when every program that was running at the time of the call has ended.
    pub fn wait(&self) -> Result<()> {
        let (key, value) = (0u32, self.inner.as_raw_fd());
        let attr = MapUpdate {
            map_fd: self.outer.as_raw_fd(),
            padding: 0,
            key: std::ptr::from_ref(&key) as u64,
            value: std::ptr::from_ref(&value) as u64,
            flags: 0,
        };
        bpf(BPF_MAP_UPDATE_ELEM, &attr).context("cannot wait for running programs")?;
        Ok(())
    }
}

fn create(map_type: u32, inner_map_fd: i32) -> Result<OwnedFd> {
    let attr = MapCreate { map_type, key_size: 4, value_size: 4, max_entries: 1, map_flags: 0, inner_map_fd };
    let fd = i32::try_from(bpf(BPF_MAP_CREATE, &attr)?)?;
    // SAFETY: the kernel has just returned this descriptor to us and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<i64> {
    // SAFETY: `attr` is a prefix of `union bpf_attr` of the size given; pointers in it are to locals of the caller,
    // which outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

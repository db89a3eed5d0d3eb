//! A user namespace and mounts of one's own, as any user may make them.

use std::{
    ffi::{CStr, CString},
    fs, ptr,
};

use anyhow::Result;

use crate::{conformance::call::call, suite::NotHere};

/// Becomes root of a user namespace with mounts of its own.
pub fn own_mounts() -> Result<()> {
    // SAFETY: takes nothing.
    let (user, group) = unsafe { (libc::getuid(), libc::getgid()) };
    if call!(unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)).is_err() {
        return Err(NotHere("no user namespaces for users").into());
    }
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    Ok(())
}

/// Mounts something somewhere.
pub fn mount(what: &str, target: &str, kind: &CStr, flags: libc::c_ulong) -> Result<()> {
    let (what, target) = (CString::new(what)?, CString::new(target)?);
    call!(mount(what.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, ptr::null())).map(drop)
}

/// Mounts a directory in another place too.
pub fn bind(what: &str, target: &str) -> Result<()> {
    mount(what, target, c"none", libc::MS_BIND)
}

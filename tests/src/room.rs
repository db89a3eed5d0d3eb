//! A room on the machine of the developer in which tests run as in a VM, on the kernel that is there: mount
//! and IPC namespaces, a root of its own, and in it what an initramfs has. Nothing of it is left when its
//! processes have ended.
//!
//! Made by a program that starts itself anew three times: outside, as [`make`]; in the room, where [`live`]
//! is what process 1 is in a VM; and there as the suite.

use std::{
    ffi::CString,
    fs,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    ptr,
};

use anyhow::{Context, Result, ensure};
use sensor_user::rule_files::baseline;

use crate::{conformance::call::call, init, rules, sensor::CREANCE, suite, work};

/// Where the old root stays until the room is closed.
const OUTSIDE: &str = "/outside";
/// Device files: major is 1 for each.
const DEVICES: &[(&str, u32)] = &[("/dev/null", 3), ("/dev/zero", 5), ("/dev/urandom", 9)];

/// Makes a room in `directory`, which is empty, of this program, and goes on there as [`live`]. Returns where
/// that failed only.
///
/// # Errors
/// Where this kernel or its owner does not permit it.
pub fn make(directory: &Path, only: &[&str]) -> Result<()> {
    call!(unshare(libc::CLONE_NEWNS | libc::CLONE_NEWIPC)).context("namespaces of our own")?;
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    call!(mount(ptr::null(), c"/".as_ptr(), ptr::null(), flags, ptr::null()))?;
    init::mount("tmpfs", &directory.to_string_lossy())?;
    let at = |path: &str| directory.join(path.trim_start_matches('/'));
    for new in ["/bin", OUTSIDE] {
        fs::create_dir_all(at(new))?;
    }
    fs::copy(std::env::current_exe()?, at(work::PROGRAM)).context("cannot copy this program")?;
    fs::hard_link(at(work::PROGRAM), at(CREANCE))?;
    write_rules(&at(rules::SHIPPED))?;
    let (new, old) = (c_path(directory)?, c_path(&at(OUTSIDE))?);
    // SAFETY: two strings that end in NUL and live through the call.
    let pivoted = unsafe { libc::syscall(libc::SYS_pivot_root, new.as_ptr(), old.as_ptr()) };
    ensure!(pivoted == 0, "pivot_root: {}", std::io::Error::last_os_error());
    std::env::set_current_dir("/")?;
    let error = Command::new(work::PROGRAM).arg("room").args(only).exec();
    Err(error).context("cannot start in the room")
}

/// Runs the tests in the room, those whose name contains `only`, and tells on standard output.
///
/// # Errors
/// Where the room could not be furnished.
pub fn live(only: &[&str]) -> Result<ExitStatus> {
    call!(umount2(c"/outside".as_ptr(), libc::MNT_DETACH))?;
    for (kind, target) in init::MOUNTS {
        // The devices of the machine are not ours.
        let kind = if *kind == "devtmpfs" { "tmpfs" } else { kind };
        init::mount(kind, target).with_context(|| format!("cannot mount {kind} on {target}"))?;
    }
    for (path, minor) in DEVICES {
        let path = CString::new(*path)?;
        call!(mknod(path.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, *minor)))?;
    }
    symlink("/proc/self/fd", "/dev/fd")?;
    fs::set_permissions("/tmp", std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
    let mut suite = Command::new(work::PROGRAM);
    suite.args(["suite", suite::TRACEPOINTS]).args(only).stdin(Stdio::null());
    let status = suite.status().context("cannot start the suite")?;
    crate::conformance::leave()?;
    Ok(status)
}

/// The shipped rules, as this program holds them.
fn write_rules(to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for source in baseline::sources() {
        let name = Path::new(&source.name).file_name().context("a shipped rule file without a name")?;
        fs::write(to.join(name), &source.text)?;
    }
    Ok(())
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).context("a path with a NUL")
}

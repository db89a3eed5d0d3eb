//! Who the daemon is on the host.

use std::{fs, os::unix::fs::MetadataExt as _};

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf,
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};

/// The program that tells.
pub const PROGRAM: &str = "who_am_i";

/// Inode number of the host's own pid namespace: the same on every kernel (`PROC_PID_INIT_INO`).
const HOSTS: u64 = 0xefff_fffc;

/// The process id of the daemon as the kernel counts from its start on, in whatever pid namespace it runs. (There
/// its own number is another process's on the host.)
///
/// # Errors
/// The kernel does not run the program that tells.
pub fn process_id(ebpf: &mut Ebpf) -> Result<u32> {
    let program: &mut RawTracePoint =
        ebpf.program_mut(PROGRAM).context("the sensor's object lacks a program")?.try_into()?;
    let context = "the kernel does not tell the daemon its process id";
    program.load().context(context)?;
    let id = program.test_run(RawTracePointRunOptions::new()).context(context)?.return_value;
    program.unload()?;
    ensure!(id != 0, "{context}: it says 0");
    Ok(id)
}

/// Whether the daemon sees the host's processes under their own numbers, process 1 among them.
pub fn sees_host() -> bool {
    fs::metadata("/proc/self/ns/pid").is_ok_and(|namespace| namespace.ino() == HOSTS)
}

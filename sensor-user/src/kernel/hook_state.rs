//! The state of a program that is attached to the kernel, for `creance status`.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
};

use anyhow::{Context, Result};
use aya::programs::ProgramFd;

/// Reads `recursion_misses` of a program, as the kernel shows it with the descriptor (since 5.12; 0 before).
pub(super) fn recursion_misses(program: &ProgramFd) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd());
    let info = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let value = info.lines().find_map(|line| line.strip_prefix("recursion_misses:"));
    value.map_or(Ok(0), |value| {
        value.trim().parse().with_context(|| format!("{path} has no number of recursion misses"))
    })
}

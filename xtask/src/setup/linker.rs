//! bpf-linker: turns the compiler's bitcode into an eBPF object. Built here, against the compiler's LLVM.

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{apt, packagers};
use crate::project;

/// The newest that builds with the project's compiler.
const VERSION: &str = "^0.13";

/// The versions of LLVM that it can be built against.
pub const LLVM_VERSIONS: RangeInclusive<u32> = 21..=23;

/// Where it is installed.
pub fn path() -> PathBuf {
    packagers::directory().join("bpf-linker")
}

/// Builds and installs it below `target/tools`, where it is not there for this version of LLVM already.
///
/// # Errors
/// Where LLVM's development package or the crate cannot be had.
pub fn install(llvm: u32) -> Result<()> {
    let built_for = project::target("tools/bpf-linker.llvm");
    if path().exists() && fs::read_to_string(&built_for).is_ok_and(|text| text == llvm.to_string()) {
        return Ok(());
    }
    let prefix = format!("/usr/lib/llvm-{llvm}");
    if !Path::new(&prefix).join("lib/libLLVM.so").exists() {
        apt::install(&[&format!("llvm-{llvm}-dev"), "g++", "zlib1g-dev", "libzstd-dev"])?;
    }
    println!("setup: cargo install bpf-linker {VERSION} for LLVM {llvm} into target/tools (about a minute)");
    packagers::cargo_install("bpf-linker", VERSION, |cargo| {
        cargo.env("LLVM_PREFIX", &prefix).args(["--no-default-features", "--target", "x86_64-unknown-linux-gnu"]);
        cargo.args(["--features", &format!("llvm-{llvm}")]);
    })?;
    fs::write(&built_for, llvm.to_string()).with_context(|| format!("cannot write {}", built_for.display()))
}

//! Builds the eBPF object with its own compiler, then the static user-space binaries that carry it.

use std::{env, fs, process::Command};

use anyhow::{Context, Result};

use crate::{
    command, project,
    setup::{self, Compiler},
};

/// The object, then the binaries.
///
/// # Errors
/// Where either does not build; the compiler's own words are on the terminal.
pub fn everything() -> Result<()> {
    ebpf()?;
    user_space()
}

/// `sensor-ebpf` → `target/ebpf/sensor-ebpf.o`, replaced only where it changed: user space rebuilds when it does.
///
/// # Errors
/// Where it does not build.
pub fn ebpf() -> Result<()> {
    let compiler = Compiler::find_or_install()?;
    let directory = project::target("ebpf");
    let mut path = vec![setup::linker_directory()];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut cargo = compiler.cargo();
    cargo.args(["build", "--quiet", "--release", "--target", "bpfel-unknown-none", "-Z", "build-std=core"]);
    cargo.current_dir(project::root().join("sensor-ebpf")).env("CARGO_TARGET_DIR", directory.join("build"));
    cargo.env("PATH", env::join_paths(path)?);
    // Type information of our own programs: without it the verifier knows no global functions.
    cargo.env("RUSTFLAGS", "-C link-arg=--btf");
    command::run(&mut cargo).context("the eBPF object does not build")?;

    let built = directory.join("build/bpfel-unknown-none/release/sensor-ebpf");
    let object = directory.join("sensor-ebpf.o");
    let stripped = directory.join("stripped.o");
    // The linker makes BTF of the debug information, which has done its duty then: five sixths of the file.
    let mut objcopy = Command::new(format!("/usr/lib/llvm-{}/bin/llvm-objcopy", compiler.llvm()?));
    objcopy.arg("--strip-debug").arg(&built).arg(&stripped);
    command::run(&mut objcopy).context("the eBPF object cannot be stripped")?;
    let new = fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))?;
    if fs::read(&object).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(&object, new).with_context(|| format!("cannot write {}", object.display()))
}

/// `creance` and the VMs' init.
///
/// # Errors
/// Where they do not build.
pub fn user_space() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--release", "--workspace", "--bins"]).current_dir(project::root());
    command::run(&mut cargo).context("user space does not build")
}

/// `creance` with faults on purpose, for the fault table.
///
/// # Errors
/// Where it does not build.
pub fn with_faults() -> Result<()> {
    let mut cargo = Command::new("cargo");
    // With the whole workspace, so that what it is made of has the features that it has elsewhere, and is not built anew.
    cargo.args(["build", "--quiet", "--release", "--workspace", "--bin", "creance-faults"]);
    cargo.args(["--features", "sensor-user/faults"]).current_dir(project::root());
    command::run(&mut cargo).context("the build with faults does not build")
}

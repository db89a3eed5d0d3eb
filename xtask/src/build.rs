//! Builds the eBPF object with its own compiler, then the static user-space binaries that carry it.

use std::{env, fs, path::Path, process::Command};

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
    let mut path = vec![setup::tools_directory()];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut cargo = compiler.cargo();
    kernel_side(cargo.arg("build"));
    cargo.env("PATH", env::join_paths(path)?);
    // Type information of our own programs: without it the verifier knows no global functions.
    cargo.env("RUSTFLAGS", "-C link-arg=--btf");
    command::run(&mut cargo).context("the eBPF object does not build")?;

    let built = directory.join("build/bpfel-unknown-none/release/sensor-ebpf");
    let object = directory.join("sensor-ebpf.o");
    let stripped = directory.join("stripped.o");
    // The linker makes BTF of the debug information, which has done its duty then: five sixths of the file.
    let program = format!("/usr/lib/llvm-{}/bin/llvm-objcopy", compiler.llvm()?);
    let objcopy = |arguments: &[&str], input: &Path| {
        let mut objcopy = Command::new(&program);
        objcopy.args(arguments).arg(input).arg(&stripped).current_dir(&directory);
        command::run(&mut objcopy).context("the eBPF object cannot be stripped")
    };
    objcopy(&["--strip-debug", "--dump-section=.BTF.ext=functions"], &built)?;
    let functions = directory.join("functions");
    fs::write(&functions, without_lines(&fs::read(&functions)?).context("the object's .BTF.ext is none")?)?;
    objcopy(&["--update-section=.BTF.ext=functions", "--remove-section=.rel.BTF.ext"], &stripped.clone())?;
    let new = fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))?;
    if fs::read(&object).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(&object, new).with_context(|| format!("cannot write {}", object.display()))
}

/// Clippy on `sensor-ebpf`, where each warning is an error; what it says is on its stderr.
///
/// # Errors
/// Where there is no such clippy.
pub fn ebpf_clippy() -> Result<Command> {
    let mut cargo = Compiler::find_or_install()?.clippy()?;
    kernel_side(cargo.arg("--quiet")).args(["--", "-D", "warnings"]);
    Ok(cargo)
}

/// What every build of `sensor-ebpf` has in common.
fn kernel_side(cargo: &mut Command) -> &mut Command {
    cargo.args(["--release", "--target", "bpfel-unknown-none", "-Z", "build-std=core"]);
    cargo.current_dir(project::root().join("sensor-ebpf")).env("CARGO_TARGET_DIR", project::target("ebpf/build"))
}

/// `.BTF.ext` without what says which line each instruction comes from: most of the object, and of the
/// daemon's memory. What it says of functions, verifiers ask for.
///
/// Format: `Documentation/bpf/btf.rst` of the kernel.
fn without_lines(ext: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| Some(u32::from_le_bytes(ext.get(at..at + 4)?.try_into().ok()?));
    let header = word(4)?;
    let part = |at: usize| {
        let (offset, length) = (header.checked_add(word(at)?)? as usize, word(at + 4)? as usize);
        ext.get(offset..offset.checked_add(length)?)
    };
    // Older headers know no relocations.
    let (functions, relocations) = (part(8)?, if header >= 32 { part(24)? } else { &[] });
    let lengths = [functions, relocations].map(|part| u32::try_from(part.len()).ok());
    let [Some(functions_length), Some(relocations_length)] = lengths else { return None };
    let words = [32, 0, functions_length, functions_length, 0, functions_length, relocations_length];
    let words = words.into_iter().flat_map(u32::to_le_bytes);
    Some([ext.get(..4)?, &words.collect::<Vec<_>>(), functions, relocations].concat())
}

/// `creance` and the VMs' init.
///
/// # Errors
/// Where they do not build.
pub fn user_space() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--workspace", "--bins"]).current_dir(project::root());
    command::run(&mut cargo).context("user space does not build")
}

/// `creance` with faults on purpose, for the fault table.
///
/// # Errors
/// Where it does not build.
pub fn with_faults() -> Result<()> {
    let mut cargo = Command::new("cargo");
    // With the whole workspace, so that what it is made of has the features that it has elsewhere, and is not
    // built anew.
    cargo.args(["build", "--release", "--workspace", "--bin", "creance-faults"]);
    cargo.args(["--features", "sensor-user/faults"]).current_dir(project::root());
    command::run(&mut cargo).context("the build with faults does not build")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_left_out_and_the_rest_stays() {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        let magic = [0x9f, 0xeb, 1, 0];
        let ext = [&magic[..], &words(&[32, 0, 8, 8, 12, 20, 4]), &words(&[8, 1]), &[7; 12], &[9; 4]].concat();
        let left = [&magic[..], &words(&[32, 0, 8, 8, 0, 8, 4]), &words(&[8, 1]), &[9; 4]].concat();
        assert_eq!(without_lines(&ext), Some(left.clone()));
        assert_eq!(without_lines(&left), Some(left));
        assert!((0..ext.len()).all(|length| without_lines(&ext[..length]).is_none()));
    }
}

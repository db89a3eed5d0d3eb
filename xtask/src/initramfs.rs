//! The file system of the VMs: one uncompressed archive (it boots fastest), with static programs, and one
//! that brings its libraries.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    build, command,
    cpio::Archive,
    project::{self, KernelSeries},
    setup,
};

/// Where a FIFO may be made, a rule be found, or a file system be mounted.
const DIRECTORIES: &[&str] = &[
    "bin",
    "dev",
    "etc",
    "home",
    "home/user",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "usr/sbin",
    "var",
    "var/lib",
    "var/tmp",
    "rules",
];

/// What a VM with this kernel needs, installed and built, and the archive that it starts from.
///
/// # Errors
/// Where something cannot be had or does not build.
pub fn ready(kernel: KernelSeries) -> Result<PathBuf> {
    setup::compiler()?;
    setup::machines(&[kernel])?;
    build::everything()?;
    build()
}

/// Writes the archive and returns where.
///
/// # Errors
/// Where a program that belongs into it is missing.
pub fn build() -> Result<PathBuf> {
    let mut archive = Archive::default();
    for directory in DIRECTORIES {
        archive.directory(directory);
    }
    archive.device("dev/console", 5, 1);
    archive.file(&["init", "bin/vm-init"], 0o755, &read(&project::binary("vm-init"))?);
    archive.file(&["bin/creance"], 0o755, &read(&project::binary("creance"))?);
    archive.file(&["bin/bash"], 0o755, &read(&found("bash-static")?)?);

    // Hard links: a process started as `cat` has the executable /bin/cat, as on a real machine.
    let busybox = found("busybox")?;
    let list = command::output(std::process::Command::new(&busybox).arg("--list"))?;
    let names: Vec<_> = list.lines().filter(|name| *name != "init").map(|name| format!("bin/{name}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    archive.file(&names, 0o755, &read(&busybox)?);

    dynamic(&mut archive, &found("stress-ng")?)?;

    archive.file(&["etc/passwd"], 0o644, b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n");
    archive.file(&["etc/group"], 0o644, b"root:x:0:\nuser:x:1000:\n");
    archive.file(&["etc/hosts"], 0o644, b"127.0.0.1 localhost\n");
    tree(&mut archive, &project::root().join("rules"), "rules")?;

    let directory = project::target("vm");
    fs::create_dir_all(&directory)?;
    let path = directory.join("initramfs.cpio");
    fs::write(&path, archive.finish()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// A program with its libraries and its loader, each where the program looks for it.
fn dynamic(archive: &mut Archive, program: &Path) -> Result<()> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    archive.file(&[&format!("bin/{name}")], 0o755, &read(program)?);
    let list = command::output(std::process::Command::new("ldd").arg(program))?;
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`
    let libraries: BTreeSet<_> = list.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new).collect();
    let above = |path: &&Path| path.ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
    let directories: BTreeSet<PathBuf> = libraries.iter().flat_map(above).collect();
    for directory in directories.iter().filter_map(|path| path.strip_prefix("/").ok()) {
        let name = directory.to_string_lossy();
        if !name.is_empty() && !DIRECTORIES.contains(&&*name) {
            archive.directory(&name);
        }
    }
    for library in libraries {
        let name = library.strip_prefix("/")?.to_string_lossy().into_owned();
        archive.file(&[&name], 0o755, &read(library)?);
    }
    Ok(())
}

/// Everything below a directory, in the order of its names; nothing where there is no such directory.
fn tree(archive: &mut Archive, from: &Path, to: &str) -> Result<()> {
    let Ok(entries) = from.read_dir() else { return Ok(()) };
    let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = format!("{to}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            archive.directory(&name);
            tree(archive, &path, &name)?;
        } else {
            archive.file(&[&name], 0o644, &read(&path)?);
        }
    }
    Ok(())
}

fn found(program: &str) -> Result<PathBuf> {
    command::find(program).with_context(|| format!("{program} is missing: run `cargo xtask setup`"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

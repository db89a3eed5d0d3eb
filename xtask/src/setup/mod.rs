//! What a fresh machine lacks: a compiler for eBPF, its linker, QEMU, static shells for the VMs, kernels.
//!
//! Everything is looked for first, by file and not by package manager, so that a second run takes no time.

mod apt;
mod compiler;
mod headers;
mod kernels;
mod linker;
mod lists;
mod packagers;
mod qemu;
mod servers;
mod uml;

use std::{fs, path::Path, time::Instant};

use anyhow::Result;

pub use self::{
    compiler::Compiler,
    headers::fetch as headers,
    packagers::{CARGO_DEB, CARGO_GENERATE_RPM, Packager, directory as tools_directory, install as packager},
    uml::kernel as user_mode_linux,
};
use crate::{
    command,
    project::{self, KernelSeries},
};

/// Programs that go into the VMs, and the package that each comes from.
const VM_PROGRAMS: &[(&str, &str)] =
    &[("busybox", "busybox-static"), ("bash-static", "bash-static"), ("stress-ng", "stress-ng")];

/// All of it, for people: says what is there, what it does, and the disk it takes.
///
/// # Errors
/// Where a right or the network is missing, in words that say which.
pub fn everything() -> Result<()> {
    let started = Instant::now();
    let compiler = compiler()?;
    machines(&[])?;
    println!("compiler    {compiler}");
    println!("bpf-linker  {}", linker::path().display());
    for program in ["qemu-system-x86_64"].into_iter().chain(VM_PROGRAMS.iter().map(|(program, _)| *program)) {
        if let Some(path) = command::find(program) {
            println!("{program:<11} {}", path.display());
        }
    }
    for series in KernelSeries::ALL.iter().filter(|series| series.image().exists()) {
        let release = fs::read_to_string(series.directory().join("release")).unwrap_or_default();
        println!("kernel      {} ({})", series.image().display(), release.trim());
    }
    println!(
        "disk        {} MB in target/tools and target/kernels",
        (size("tools") + size("kernels")).div_ceil(1_000_000)
    );
    println!("ready after {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// What building needs; prints only what it installs.
///
/// # Errors
/// Where a right or the network is missing.
pub fn compiler() -> Result<Compiler> {
    if command::find("cc").is_none() {
        apt::install(&["gcc", "libc6-dev"])?;
    }
    let compiler = Compiler::find_or_install()?;
    linker::install(compiler.llvm()?)?;
    Ok(compiler)
}

/// What the VMs need, with the usual kernels and `kernels`; prints only what it installs.
///
/// # Errors
/// Where a right or the network is missing.
pub fn machines(kernels: &[KernelSeries]) -> Result<()> {
    qemu::install()?;
    apt::install_programs(VM_PROGRAMS)?;
    KernelSeries::USUAL.iter().chain(kernels).try_for_each(|series| kernels::fetch(*series))
}

/// What VMs with these kernels need that have a network and a disk; prints only what it installs.
///
/// # Errors
/// Where a right or the network is missing.
pub fn hosts(kernels: &[KernelSeries]) -> Result<()> {
    file_systems()?;
    kernels.iter().try_for_each(|series| kernels::fetch_with_network(*series))?;
    machines(kernels)
}

/// What a fleet on loopback needs; prints only what it fetches.
///
/// # Errors
/// Where a right or the network is missing.
pub fn servers() -> Result<()> {
    servers::fetch()
}

/// A browser; prints only what it installs.
///
/// # Errors
/// Where a right or the network is missing.
pub fn browser() -> Result<()> {
    apt::install_programs(&[("chromium", "chromium")])
}

/// What makes the image of a Debian host; prints only what it installs.
///
/// # Errors
/// Where a right or the network is missing.
pub fn debian() -> Result<()> {
    apt::install_programs(&[("mmdebstrap", "mmdebstrap")])?;
    file_systems()
}

/// What makes a disk with files.
///
/// # Errors
/// Where a right or the network is missing.
pub fn file_systems() -> Result<()> {
    if command::find("mke2fs").is_none() && !Path::new(MKE2FS).exists() {
        apt::install(&["e2fsprogs"])?;
    }
    Ok(())
}

/// What reads an RPM package.
///
/// # Errors
/// Where a right or the network is missing.
pub fn rpm() -> Result<()> {
    apt::install_programs(&[("rpm", "rpm")])
}

/// Where Debian has it; not on everybody's `PATH`.
pub const MKE2FS: &str = "/sbin/mke2fs";

fn size(directory: &str) -> u64 {
    fn walk(path: &Path) -> u64 {
        let Ok(entries) = fs::read_dir(path) else { return 0 };
        entries
            .flatten()
            .map(|entry| match entry.metadata() {
                Ok(data) if data.is_dir() => walk(&entry.path()),
                Ok(data) => data.len(),
                Err(_) => 0,
            })
            .sum()
    }
    walk(&project::target(directory))
}

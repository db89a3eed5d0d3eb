//! The compiler of the eBPF object. It builds `core` for a target that has none, and so needs its own
//! library source beside it, and switches that a stable compiler offers to the standard library's builders only.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{apt, linker};
use crate::{command, project};

const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";

/// A compiler with its library source.
#[derive(Clone, Copy, Debug)]
pub enum Compiler {
    /// rustup's nightly.
    Nightly,
    /// Debian's `rustc-web`, which follows the releases of Rust.
    Debian,
}

impl Compiler {
    /// rustup's nightly where it has its source, else Debian's, installed where it is missing.
    ///
    /// # Errors
    /// Where Debian's cannot be installed.
    pub fn find_or_install() -> Result<Self> {
        if Self::Nightly.is_usable() {
            return Ok(Self::Nightly);
        }
        if !Self::Debian.is_usable() {
            apt::install(DEBIAN_PACKAGES).context("the eBPF object needs a compiler with its library source: rustup's nightly with rust-src (`rustup component add rust-src --toolchain nightly`), or Debian's")?;
        }
        Ok(Self::Debian)
    }

    /// `cargo` of this compiler, ready for more arguments.
    pub fn cargo(self) -> Command {
        match self {
            Self::Nightly => {
                let mut command = command::fresh("cargo");
                command.env("RUSTUP_TOOLCHAIN", "nightly");
                command
            }
            Self::Debian => {
                let mut command = command::fresh("/usr/bin/cargo");
                command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                command
            }
        }
    }

    /// `cargo clippy` of this compiler, installed where it is missing, ready for more arguments.
    ///
    /// # Errors
    /// Where it is missing and cannot be installed.
    pub fn clippy(self) -> Result<Command> {
        let mut command = match self {
            Self::Nightly => self.cargo(),
            Self::Debian => {
                if !Path::new(DEBIAN_CLIPPY).exists() {
                    apt::install(&["rust-web-clippy"])?;
                }
                // By its path: `cargo clippy` would find that of rustup first.
                let mut command = command::fresh(DEBIAN_CLIPPY);
                command.env("CARGO", "/usr/bin/cargo").env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                command
            }
        };
        command.arg("clippy");
        Ok(command)
    }

    /// The major version of the LLVM in it: its bitcode can be linked by the same version only.
    ///
    /// # Errors
    /// Where the compiler does not say.
    pub fn llvm(self) -> Result<u32> {
        let about = command::output(self.rustc().arg("-vV"))?;
        about
            .lines()
            .find_map(|line| line.strip_prefix("LLVM version: ")?.split('.').next()?.parse().ok())
            .with_context(|| format!("rustc -vV names no LLVM version:\n{about}"))
    }

    fn rustc(self) -> Command {
        match self {
            Self::Nightly => {
                let mut command = command::fresh("rustc");
                command.env("RUSTUP_TOOLCHAIN", "nightly");
                command
            }
            Self::Debian => command::fresh("/usr/bin/rustc"),
        }
    }

    /// Whether it is there, with its source, and bpf-linker knows its bitcode.
    fn is_usable(self) -> bool {
        self.has_source() && self.llvm().is_ok_and(|version| linker::LLVM_VERSIONS.contains(&version))
    }

    fn has_source(self) -> bool {
        let present = match self {
            Self::Nightly => nightly_sysroots().next().is_some(),
            Self::Debian => Path::new("/usr/bin/rustc").exists() && Path::new("/usr/bin/cargo").exists(),
        };
        present
            && command::output(self.rustc().args(["--print", "sysroot"])).is_ok_and(|sysroot| {
                Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs").exists()
            })
    }
}

/// Where rustup keeps toolchains called nightly: asking `rustc +nightly` where there is none might install it.
fn nightly_sysroots() -> impl Iterator<Item = PathBuf> {
    let home =
        std::env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".rustup")));
    let toolchains = home.and_then(|home| home.join("toolchains").read_dir().ok());
    toolchains
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("nightly-x86_64"))
        .map(|entry| entry.path())
}

impl fmt::Display for Compiler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = command::output(self.rustc().arg("--version").current_dir(project::root())).unwrap_or_default();
        let origin = match self {
            Self::Nightly => "rustup",
            Self::Debian => "Debian",
        };
        write!(formatter, "{} ({origin}), with its source", version.trim())
    }
}

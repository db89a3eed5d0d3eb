//! Where things are, and the kernels that the project is tested on.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::OnceLock,
};

/// The target that user space is built for: `.cargo/config.toml` names the same.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The root of the checkout that cargo runs this program for. Asked at run time: a checkout that was copied
/// with its `target/` has a program that was built elsewhere, and must not work there.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        Path::new(&here).parent().unwrap_or(Path::new(".")).to_owned()
    })
}

/// A path below `target/`, which git ignores and `cargo clean` removes.
pub fn target(relative: &str) -> PathBuf {
    root().join("target").join(relative)
}

/// A built user-space binary.
pub fn binary(name: &str) -> PathBuf {
    target(TARGET).join("release").join(name)
}

/// A kernel series that Debian packages and the project is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelSeries {
    /// Debian 11.
    V5_10,
    /// Debian 12.
    V6_1,
    /// Debian 13, and Debian 12's backport.
    V6_12,
    /// Debian 13's backport.
    V6_18,
    /// Debian 13's backport.
    V7_3,
}

impl KernelSeries {
    /// All of them, oldest first.
    pub const ALL: &[Self] = &[Self::V5_10, Self::V6_1, Self::V6_12, Self::V6_18, Self::V7_3];
    /// Those that every test run uses; the others take their turn with `--all-kernels`.
    pub const USUAL: &[Self] = &[Self::V6_1, Self::V6_12];

    /// Such as `6.12`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V6_18 => "6.18",
            Self::V7_3 => "7.3",
        }
    }

    /// The Debian suite that has it, where that is not Debian 12, on which the project is developed.
    pub const fn suite(self) -> Option<&'static str> {
        match self {
            Self::V5_10 => Some("bullseye"),
            Self::V6_1 | Self::V6_12 => None,
            Self::V6_18 | Self::V7_3 => Some("trixie-backports"),
        }
    }

    /// Where `setup` keeps this kernel: `vmlinuz`, `modules`, and `release` with the text that `uname -r` prints.
    pub fn directory(self) -> PathBuf {
        target("kernels").join(self.name())
    }

    /// The kernel image.
    pub fn image(self) -> PathBuf {
        self.directory().join("vmlinuz")
    }

    /// The directory with the modules that drive QEMU's network card.
    pub fn modules(self) -> PathBuf {
        self.directory().join("modules")
    }
}

impl fmt::Display for KernelSeries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for KernelSeries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|series| series.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|series| series.name()).collect();
            format!("no kernel {text} here; there are {}", names.join(", "))
        })
    }
}

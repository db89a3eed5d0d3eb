//! Where things are, and the kernels that the project is tested on.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::OnceLock,
};

/// The target that user space is built for: `.cargo/config.toml` names the same.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The root of the checkout that this program works on.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let (package, program) = (env::var_os("CARGO_MANIFEST_DIR"), env::current_exe().unwrap_or_default());
        root_of(package.as_deref().map(Path::new), &program)
    })
}

/// The root of the checkout whose cargo says that this is `package`; started without cargo, of the one in whose
/// `target/` the `program` lies. Asked at run time: a checkout that was copied with its `target/` has a program
/// that was built elsewhere, and must not work there.
fn root_of(package: Option<&Path>, program: &Path) -> PathBuf {
    let by_cargo = package.and_then(Path::parent);
    let by_place = || program.ancestors().find(|directory| directory.join("xtask/Cargo.toml").is_file());
    by_cargo.or_else(by_place).unwrap_or(Path::new(".")).to_owned()
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

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use super::*;

    /// Wherever it was built: a copy of a checkout is a checkout.
    #[test]
    fn the_root_is_that_of_the_checkout_that_runs_and_not_of_the_one_that_built() {
        let copy = env::temp_dir().join(format!("creance-copy-{}", std::process::id()));
        let program = copy.join("target/release/xtask");
        fs::create_dir_all(copy.join("xtask")).unwrap();
        fs::write(copy.join("xtask/Cargo.toml"), "").unwrap();
        assert_eq!(root_of(Some(&copy.join("xtask")), Path::new("/elsewhere/target/release/xtask")), copy);
        assert_eq!(root_of(None, &program), copy);
        fs::remove_dir_all(&copy).unwrap();
        assert_eq!(root(), Path::new("..").canonicalize().unwrap());
    }
}

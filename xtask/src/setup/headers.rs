//! Debian's headers of a kernel, to build a module for it: fetched and unpacked below `target/`, not installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{apt, lists::Lists};
use crate::{
    command,
    project::{self, KernelSeries},
};

/// The directory in which a module for the kernel of this series is built. The kernel itself must be there.
///
/// # Errors
/// Where the archive has no headers of this very kernel (any more), or there is no network.
pub fn fetch(series: KernelSeries) -> Result<PathBuf> {
    let release = fs::read_to_string(series.directory().join("release"))
        .with_context(|| format!("kernel {series} is missing: run `cargo xtask setup`"))?;
    let root = project::target("kernels/headers").join(release.trim());
    let build = root.join("usr/src").join(format!("linux-headers-{}", release.trim()));
    tools(&build)?;
    if build.join("Makefile").exists() {
        return Ok(build);
    }
    let lists = Lists::of(series)?;
    let new = root.with_extension("new");
    fs::remove_dir_all(&new).ok();
    for package in packages(release.trim()) {
        let archive = lists.fetch(&package, &root.with_extension("package"))?;
        fs::create_dir_all(&new)?;
        command::run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&new))
            .with_context(|| format!("{package} cannot be unpacked"))?;
    }
    fs::remove_dir_all(root.with_extension("package")).ok();
    fs::remove_dir_all(&root).ok();
    fs::rename(&new, &root).with_context(|| format!("cannot put the headers into {}", root.display()))?;
    relocate(&build, &root)?;
    Ok(build)
}

/// The packages for a release such as `6.12.117+deb12-cloud-amd64`: two of headers, and what builds with them.
fn packages(release: &str) -> [String; 3] {
    let version = release.strip_suffix("-cloud-amd64").unwrap_or(release);
    [
        format!("linux-headers-{release}"),
        format!("linux-headers-{version}-common"),
        format!("linux-kbuild-{}", kbuild(version)),
    ]
}

/// Until 6.1, the package is named after the series: `6.1.0-57` has `linux-kbuild-6.1`.
fn kbuild(version: &str) -> &str {
    version.split_once(".0-").map_or(version, |(series, _)| series)
}

/// The headers' makefile names the others where Debian installs them; here they are below `root`.
fn relocate(build: &Path, root: &Path) -> Result<()> {
    let makefile = build.join("Makefile");
    let text = fs::read_to_string(&makefile).with_context(|| format!("no {}", makefile.display()))?;
    Ok(fs::write(&makefile, text.replace(" /usr/src/", &format!(" {}/usr/src/", root.display())))?)
}

/// Make, and the compiler that the kernel was built with: the headers name it.
fn tools(build: &Path) -> Result<()> {
    let variables = fs::read_to_string(build.join(".kernelvariables")).unwrap_or_default();
    let compiler = variables.split_whitespace().find_map(|word| word.strip_prefix("$(CROSS_COMPILE)")).unwrap_or("gcc");
    let mut missing: Vec<_> = ["make", compiler].into_iter().filter(|tool| command::find(tool).is_none()).collect();
    missing.dedup();
    if missing.is_empty() { Ok(()) } else { apt::install(&missing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kernel_has_its_packages() {
        let names = ["linux-headers-6.12.117+deb12-cloud-amd64", "linux-headers-6.12.117+deb12-common"];
        let packages = packages("6.12.117+deb12-cloud-amd64");
        assert_eq!(packages[..2], names);
        assert_eq!(packages[2], "linux-kbuild-6.12.117+deb12");
        assert_eq!(kbuild("6.1.0-57"), "6.1");
    }
}

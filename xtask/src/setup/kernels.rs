//! Debian's cloud kernels: the image is kept, and the drivers of a network card, the only modules that a VM needs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use super::lists::Lists;
use crate::project::KernelSeries;

/// Fetches the newest kernel of the series that apt knows, unless one is here already.
///
/// # Errors
/// Where apt knows none, or it cannot be fetched.
pub fn fetch(series: KernelSeries) -> Result<()> {
    if series.image().exists() { Ok(()) } else { fetch_newest(series) }
}

/// The same, and the drivers of a network card, which a kernel that was fetched long ago may lack.
///
/// # Errors
/// Where apt knows none, or it cannot be fetched, or has no such drivers.
pub fn fetch_with_network(series: KernelSeries) -> Result<()> {
    if !series.modules().exists() {
        fetch_newest(series)?;
    }
    Ok(())
}

fn fetch_newest(series: KernelSeries) -> Result<()> {
    let lists = Lists::of(series)?;
    let package = lists.find(|lists| newest(lists, series))?.with_context(|| match series.suite() {
        Some(suite) => {
            format!("Debian's {suite} has no linux-image-{series}.*-cloud-amd64 (any more): take another kernel with --kernel")
        }
        None => {
            format!("apt knows no linux-image-{series}.*-cloud-amd64: add a Debian 12 source with its security updates")
        }
    })?;
    let directory = series.directory();
    let unpacked = directory.with_extension("new");
    unpack(&lists.fetch(&package, &unpacked)?, &unpacked)?;
    fs::remove_dir_all(&directory).ok();
    fs::rename(&unpacked, &directory).with_context(|| format!("cannot put the kernel into {}", directory.display()))
}

/// The newest package with an image of the series. Since 7.1 the image is in a package of its own, `linux-binary-…`.
fn newest(lists: &Lists, series: KernelSeries) -> Result<Option<String>> {
    let series = series.name().replace('.', "\\.");
    for kind in ["binary", "image"] {
        let names = lists.search(&format!("^linux-{kind}-{series}\\..*-cloud-amd64$"))?;
        if let Some(newest) = names.into_iter().max_by_key(|name| version(name)) {
            return Ok(Some(newest));
        }
    }
    Ok(None)
}

/// The numbers in a package's name, for comparison: 6.12.117 is newer than 6.12.96.
fn version(package: &str) -> Vec<u64> {
    package.split(|character: char| !character.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// What drives QEMU's network card, as far as it is not part of the image.
const NETWORK: &[&str] = &[
    "*/virtio.ko*",
    "*/virtio_ring.ko*",
    "*/virtio_pci*.ko*",
    "*/virtio_net.ko*",
    "*/net_failover.ko*",
    "*/core/failover.ko*",
];

/// Keeps the image of the package in `directory`, the kernel's release, and in `modules` the drivers of a network card.
fn unpack(package: &Path, directory: &Path) -> Result<()> {
    let mut archive = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn()?;
    let stream = archive.stdout.take().context("dpkg-deb has no output")?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--wildcards", "./boot/vmlinuz-*", "./usr/lib/modules/*/vmlinuz"])
        .args(NETWORK)
        .stdin(stream)
        .stderr(Stdio::null())
        .current_dir(directory);
    // Some of these places have nothing, which tar calls a failure.
    tar.status()?;
    archive.wait()?;
    let (image, release) = image(directory).with_context(|| format!("{} holds no kernel image", package.display()))?;
    fs::rename(image, directory.join("vmlinuz"))?;
    fs::write(directory.join("release"), release)?;
    fs::create_dir(directory.join("modules"))?;
    for module in modules(directory) {
        fs::rename(&module, directory.join("modules").join(module.file_name().unwrap_or_default()))?;
    }
    fs::remove_file(package)?;
    Ok(())
}

/// The modules in an unpacked package.
fn modules(directory: &Path) -> Vec<PathBuf> {
    let entries = directory.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| if path.is_dir() { modules(&path) } else { vec![path] })
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(".ko")))
        .collect()
}

/// The image in an unpacked package, with the kernel's release: `boot/vmlinuz-RELEASE` or
/// `usr/lib/modules/RELEASE/vmlinuz`.
fn image(directory: &Path) -> Option<(PathBuf, String)> {
    let list = |path: &str| directory.join(path).read_dir().into_iter().flatten().flatten();
    for entry in list("boot") {
        if let Some(release) = entry.file_name().to_string_lossy().strip_prefix("vmlinuz-") {
            return Some((entry.path(), release.to_owned()));
        }
    }
    let modules = list("usr/lib/modules").next();
    modules.map(|entry| (entry.path().join("vmlinuz"), entry.file_name().to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        let old = version("linux-image-6.12.96+deb12-cloud-amd64");
        assert!(version("linux-image-6.12.117+deb12-cloud-amd64") > old);
        assert!(version("linux-image-6.1.0-56-cloud-amd64") > version("linux-image-6.1.0-9-cloud-amd64"));
    }
}

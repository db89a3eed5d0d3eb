//! Disks that outlive the reboots of a VM.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{command, project, setup};

/// A new disk of this name with these files in its root.
///
/// # Errors
/// Where it cannot be made.
pub fn make(name: &str, files: &[&Path]) -> Result<PathBuf> {
    setup::file_systems()?;
    let place = project::target("vm").join(name);
    fs::remove_dir_all(&place).ok();
    fs::create_dir_all(&place)?;
    for file in files {
        fs::copy(file, place.join(file.file_name().unwrap_or_default()))
            .with_context(|| format!("cannot copy {}", file.display()))?;
    }
    let disk = place.with_extension("ext4");
    fs::remove_file(&disk).ok();
    let mut mke2fs = Command::new(setup::MKE2FS);
    command::output(mke2fs.args(["-q", "-t", "ext4", "-d"]).arg(&place).arg(&disk).arg("192M"))?;
    fs::remove_dir_all(&place).ok();
    Ok(disk)
}

//! Where a host keeps what belongs to content, and what its owner has put there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use sensor_content::{
    key::{KEY_FILE_MAX, PublicKey},
    life::{BootId, Id},
    policy::{
        Policy,
        approval::{self, APPROVAL_MAX},
    },
    store::Switch,
};

use crate::files;

/// Generations, attempts, journal.
pub const STATE: &str = "/var/lib/creance";
/// The owner's policy.
pub const POLICY: &str = "/etc/creance/content.toml";
/// Public keys of trusted publishers, `*.pub`.
pub const KEYS: &str = "/etc/creance/keys";
/// Releases that the owner has approved.
pub const APPROVALS: &str = "/etc/creance/approvals";
/// By being there, the switch that works when nothing else does.
pub const SAFE_MODE: &str = "/etc/creance/safe-mode";

/// The trusted keys in a directory; none, where there is none.
///
/// # Errors
/// When one cannot be read.
pub fn trusted_keys(directory: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let context = || format!("the trusted keys in {} cannot be read", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(context)?,
    };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>().with_context(context)?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "pub"));
    paths.sort();
    paths.iter().map(|path| public_key(path)).collect()
}

/// The public key in a file.
///
/// # Errors
/// When there is none.
pub fn public_key(path: &Path) -> anyhow::Result<PublicKey> {
    let text = files::read_text(path, KEY_FILE_MAX, "key")?;
    PublicKey::from_pem(&text).with_context(|| path.display().to_string())
}

/// Whether the owner has approved the generation; true where the policy asks for no approval.
///
/// # Errors
/// When the owner's key cannot be read.
pub fn is_approved(policy: &Policy, approvals: &Path, id: Id) -> anyhow::Result<bool> {
    let Some(key) = policy.approval_key() else { return Ok(true) };
    let key = public_key(key)?;
    let path = approvals.join(approval::file_name(id));
    Ok(files::read_text(&path, APPROVAL_MAX, "approval").is_ok_and(|text| approval::is_approved(&text, id, &key)))
}

/// This start of the kernel.
///
/// # Errors
/// When `/proc` is not there.
pub fn boot() -> anyhow::Result<BootId> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("this start of the kernel has no name")?;
    Ok(BootId(text.trim().to_owned()))
}

/// The stronger of the switches in the file `safe_mode` and on the kernel's command line.
pub fn switch(safe_mode: &Path) -> Option<Switch> {
    // A file that is there and cannot be read still means that somebody wanted less.
    let in_file = safe_mode
        .symlink_metadata()
        .ok()
        .map(|_| Switch::in_file(&files::read_text(safe_mode, APPROVAL_MAX, "switch").unwrap_or_default()));
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    in_file.into_iter().chain(Switch::on_command_line(&line)).min()
}

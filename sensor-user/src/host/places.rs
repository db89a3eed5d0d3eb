//! Where a host keeps what belongs to content, and what its owner has put there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use sensor_content::{
    key::{KEY_FILE_MAX, PrivateKey, PublicKey},
    life::{BootId, Id},
    policy::{
        Policy,
        approval::{self, APPROVAL_MAX},
    },
    store::Switch,
};

use super::files;

/// Generations, attempts, journal.
pub const STATE: &str = "/var/lib/creance";
/// What the owner and the publishers of this host have put there.
pub const CONFIGURATION: &str = "/etc/creance";
/// The owner's policy.
pub const POLICY: &str = "/etc/creance/content.toml";
/// Releases that the owner has approved.
pub const APPROVALS: &str = "/etc/creance/approvals";

/// The owner's policy, of a host that is configured in the directory `config`.
pub fn policy_file(config: &Path) -> PathBuf {
    config.join("content.toml")
}

/// The file that is a switch, of a host that is configured in the directory `config`.
pub fn safe_mode(config: &Path) -> PathBuf {
    config.join("safe-mode")
}

/// Longest policy, bytes.
const POLICY_MAX: usize = 1 << 20;

/// The policy in a file.
///
/// # Errors
/// With file, line and column.
pub fn policy(path: &Path) -> anyhow::Result<Policy> {
    let text = files::read_text(path, POLICY_MAX, "policy")?;
    Policy::parse(&text).map_err(|error| anyhow!("{}:{error}", path.display()))
}

/// The owner's policy, where there is such a file.
///
/// # Errors
/// With file, line and column; or where it is there and cannot be read.
pub fn policy_if_any(path: &Path) -> anyhow::Result<Option<Policy>> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => policy(path).map(Some),
    }
}

/// The same for its author, who wants to know of what says nothing any more.
///
/// # Errors
/// With file, line and column.
pub fn check_policy(path: &Path) -> anyhow::Result<Policy> {
    let text = files::read_text(path, POLICY_MAX, "policy")?;
    Policy::check(&text, Timestamp::now()).map_err(|error| anyhow!("{}:{error}", path.display()))
}

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

/// The private key in a file.
///
/// # Errors
/// When there is none.
pub fn private_key(path: &Path) -> anyhow::Result<PrivateKey> {
    let text = files::read_text(path, KEY_FILE_MAX, "key")?;
    PrivateKey::from_pem(&text).with_context(|| path.display().to_string())
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

/// A switch as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switched {
    /// The strongest of those that are set.
    pub switch: Option<Switch>,
    /// What was set and is no switch.
    pub complaints: Vec<String>,
}

impl Switched {
    /// What is no switch, or cannot be read, still means that somebody wanted less: the baseline.
    fn note(&mut self, place: &str, read: Result<Switch, String>) {
        let switch = read.unwrap_or_else(|error| {
            self.complaints
                .push(format!("{place}: {error}; it is taken for `baseline` until it is one of them, or gone"));
            Switch::Baseline
        });
        self.switch = Some(self.switch.map_or(switch, |other| other.min(switch)));
    }
}

/// The stronger of the switches in the file `safe_mode` and on the kernel's command line.
pub fn switch(safe_mode: &Path) -> Switched {
    let mut found = switch_in(safe_mode);
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    for read in Switch::on_command_line(&line) {
        found.note("creance.content= on the kernel's command line", read.map_err(|error| error.to_string()));
    }
    found
}

/// The switch in the file `safe_mode`.
pub fn switch_in(safe_mode: &Path) -> Switched {
    let mut found = Switched::default();
    if safe_mode.symlink_metadata().is_ok() {
        let text = files::read_text(safe_mode, APPROVAL_MAX, "switch").map_err(|error| format!("{error:#}"));
        let read = text.and_then(|text| Switch::in_file(&text).map_err(|error| error.to_string()));
        found.note(&safe_mode.display().to_string(), read);
    }
    found
}

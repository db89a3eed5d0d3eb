//! Where a host keeps what belongs to content, and what its owner has put there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use sensor_content::{
    bundle::{Category, Number},
    key::{KEY_FILE_MAX, PrivateKey, PublicKey},
    life::{BootId, Id},
    policy::{
        Answer, Host, Offer, Policy,
        approval::{self, APPROVAL_MAX},
    },
    store::Switch,
};

use crate::{daemon::settings::Settings, files};

/// Generations, attempts, journal.
pub const STATE: &str = "/var/lib/creance";
/// What the owner and the publishers of this host have put there.
pub const CONFIGURATION: &str = "/etc/creance";
/// The owner's policy.
pub const POLICY: &str = "/etc/creance/content.toml";
/// Releases that the owner has approved.
pub const APPROVALS: &str = "/etc/creance/approvals";

/// The places of a daemon that keeps its generations in `state` and is configured in the directory `config`; times in seconds.
///
/// # Errors
/// When `/proc` is not there.
pub fn settings(state: PathBuf, config: &Path, settle: u64, up: u64) -> anyhow::Result<Settings> {
    Ok(Settings {
        state,
        policy: config.join("content.toml"),
        keys: config.join("keys"),
        approvals: config.join("approvals"),
        safe_mode: safe_mode(config),
        boot: boot()?,
        program: "/proc/self/exe".into(),
        settle: Duration::from_secs(settle),
        up: Duration::from_secs(up),
    })
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

/// What the policy says of a generation to a host on which `running` is in force and that knows the releases `known`, each since
/// when; with the approvals in a directory.
///
/// # Errors
/// When the owner's key cannot be read.
pub fn decide(
    policy: &Policy,
    approvals: &Path,
    (id, category): (Id, Category),
    (running, known): (Number, &BTreeMap<Number, Timestamp>),
) -> anyhow::Result<Answer> {
    let now = Timestamp::now();
    let first_seen = known.get(&id.number).copied().unwrap_or(now);
    let approved = is_approved(policy, approvals, id)?;
    let numbers: Vec<_> = known.keys().copied().collect();
    let offer = Offer { number: id.number, category, first_seen };
    Ok(policy.decide(&offer, &Host { running, known: &numbers, approved }, now))
}

/// Whether the owner has approved the generation; true where the policy asks for no approval.
///
/// # Errors
/// When the owner's key cannot be read.
fn is_approved(policy: &Policy, approvals: &Path, id: Id) -> anyhow::Result<bool> {
    let Some(key) = policy.approval_key() else { return Ok(true) };
    let key = public_key(key)?;
    let path = approvals.join(approval::file_name(id));
    Ok(files::read_text(&path, APPROVAL_MAX, "approval").is_ok_and(|text| approval::is_approved(&text, id, &key)))
}

/// This start of the kernel.
fn boot() -> anyhow::Result<BootId> {
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

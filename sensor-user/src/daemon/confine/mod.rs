//! What the daemon gives up once it has started: capabilities, where it may write, system calls.
//!
//! Best effort: what a kernel does not offer is said, in the log and in `creance status`, and the daemon goes
//! on. Each of these belongs to a thread and to those that it starts, so all this happens while there is one
//! thread.

mod calls;

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
    path_beneath_rules,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

use crate::{api::confinement::Confinement, kernel::probe::Mode};

/// What the daemon still needs, and what for.
///
/// | Capability | For |
/// |---|---|
/// | `CAP_BPF`, `CAP_PERFMON` | maps, and programs that look into the kernel: capabilities(7) |
/// | `CAP_DAC_READ_SEARCH` | executables of the lifeline, wherever they are |
/// | `CAP_SYS_ADMIN`, on tracepoints only | `perf_event_open`, with which they are attached: Debian's kernels ask for it where `kernel.perf_event_paranoid` is 3, as it is there |
const DAEMON: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::PERFMON).union(CapabilitySet::DAC_READ_SEARCH);

/// What the daemon needs in this mode.
fn needed(mode: Mode) -> CapabilitySet {
    if mode == Mode::Tracepoints { DAEMON.union(CapabilitySet::SYS_ADMIN) } else { DAEMON }
}

/// What the [`ProcessScan`](super::brakes::process_scan::ProcessScan) needs: to see which executables other users' processes run.
const PROCESS_SCAN: CapabilitySet = CapabilitySet::SYS_PTRACE.union(CapabilitySet::DAC_READ_SEARCH);

/// Confines the daemon: of all files it can write those below the directories `writable` only, and remove
/// `passing` itself.
pub fn daemon(mode: Mode, writable: &[PathBuf], passing: Option<&Path>) -> Confinement {
    let files = files(writable, passing).unwrap_or_else(|error| format!("not confined: {error:#}"));
    let capabilities = keep(needed(mode)).unwrap_or_else(|error| format!("not given up: {error:#}"));
    let calls = match set_no_new_privs(true).map_err(anyhow::Error::from).and_then(|()| calls::deny()) {
        Ok(count) => format!("{count} denied (seccomp)"),
        Err(error) => format!("not confined: {error:#}"),
    };
    Confinement { capabilities, files, calls }
}

/// Confines the calling thread, which looks at other processes: Landlock would forbid just that.
///
/// # Errors
/// When the kernel does not take it; what was given up until then is.
pub fn process_scan() -> anyhow::Result<()> {
    keep(PROCESS_SCAN)?;
    set_no_new_privs(true)?;
    calls::deny().map(drop)
}

/// Gives up all other capabilities, for good; those that are left.
fn keep(wanted: CapabilitySet) -> anyhow::Result<String> {
    let had = capabilities(None)?.permitted;
    let kept = had & wanted;
    if had.contains(CapabilitySet::SETPCAP) {
        for capability in CapabilitySet::all().difference(wanted).iter() {
            // The kernel may be too old to know it.
            let _ = remove_capability_from_bounding_set(capability);
        }
    }
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })?;
    let names: Vec<_> = kept.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    Ok(if names.is_empty() { "none".to_owned() } else { names.join(", ") })
}

/// Everything can be read, what is below these directories can be written, and this program can be executed
/// (as the child that runs a bundle's tests), nothing else.
fn files(writable: &[PathBuf], passing: Option<&Path>) -> anyhow::Result<String> {
    let abi = ABI::V4;
    let write = AccessFs::from_all(abi) & !AccessFs::Execute;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let places = writable.iter().map(PathBuf::as_path).chain([Path::new("/dev/null")]);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(["/"], read))?
        .add_rules(path_beneath_rules(places, write))?
        // A directory is removed from the one above it.
        .add_rules(path_beneath_rules(passing.and_then(Path::parent), AccessFs::RemoveDir))?
        .add_rule(PathBeneath::new(PathFd::new("/proc/self/exe")?, AccessFs::Execute | AccessFs::ReadFile))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => {
            let names: Vec<_> = writable.iter().map(|path| path.display().to_string()).collect();
            format!("written below {} only (Landlock)", names.join(", "))
        }
        RulesetStatus::NotEnforced => "not confined: this kernel has no Landlock, or does not use it".to_owned(),
    })
}

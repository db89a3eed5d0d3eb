//! What this host is, as far as a roll-out must know.

use std::{fs, path::Path, time::SystemTime};

use sensor_content::{fleet::host_id, rollout::HostId};

/// The host as roll-outs see it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Which host it is; the machine's own name is hashed.
    pub host: HostId,
    /// Release of its kernel.
    pub kernel: String,
    /// Whether it would hang after a kernel panic: no reboot is set, and no watchdog runs.
    pub hangs: bool,
    /// When its kernel left evidence of a crash last.
    pub crashed: Option<SystemTime>,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let machine = text("/etc/machine-id");
        // A host without a name is another one after each start: it is a canary by chance, and no worse off.
        let name = if machine.is_empty() { text("/proc/sys/kernel/random/boot_id") } else { machine };
        let panics = text("/proc/sys/kernel/panic");
        Self {
            host: host_id(&name),
            kernel: text("/proc/sys/kernel/osrelease"),
            hangs: matches!(panics.as_str(), "" | "0") && !watchdog_runs(Path::new("/sys/class/watchdog")),
            crashed: ["/sys/fs/pstore", "/var/lib/systemd/pstore"]
                .iter()
                .filter_map(|path| newest(Path::new(path)))
                .max(),
        }
    }
}

/// Whether a watchdog in this directory is active.
fn watchdog_runs(directory: &Path) -> bool {
    let active = |path: &Path| fs::read_to_string(path.join("state")).is_ok_and(|state| state.trim() == "active");
    fs::read_dir(directory).into_iter().flatten().flatten().any(|entry| active(&entry.path()))
}

/// When something was written last into this directory or those below.
fn newest(directory: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    entries
        .filter_map(|entry| {
            let data = entry.metadata().ok()?;
            if data.is_dir() { newest(&entry.path()) } else { data.modified().ok() }
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_and_watchdogs_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(newest(path), None);
        assert!(!watchdog_runs(path));
        fs::create_dir_all(path.join("watchdog0/dmesg")).unwrap();
        fs::write(path.join("watchdog0/state"), "inactive\n").unwrap();
        assert!(!watchdog_runs(path));
        fs::write(path.join("watchdog0/state"), "active\n").unwrap();
        assert!(watchdog_runs(path) && newest(path).is_some());
    }
}

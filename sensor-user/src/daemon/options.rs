//! How a daemon is started.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use sensor_content::store::Directory;

use super::{
    core::Permits,
    events::rotation::{self, Rotation},
};
use crate::{host::settings::Settings, kernel};

/// How a daemon is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the first rules; without it nothing is judged until the first push.
    pub rules: Option<PathBuf>,
    /// Where generations are kept, if they are.
    pub content: Option<Settings>,
    /// Where to listen.
    pub socket: PathBuf,
    /// The group whose members may read status and metrics.
    pub group: Option<u32>,
    /// Where Prometheus finds the figures, on a unix socket.
    pub metrics: PathBuf,
    /// Where else, on loopback.
    pub metrics_listen: Option<SocketAddr>,
    /// Where events are written; `-` is standard output.
    pub events: Vec<PathBuf>,
    /// When such a file is put aside.
    pub rotation: Rotation,
    /// What is permitted.
    pub permits: Permits,
    /// Whether verdicts to block, quarantine and kill are carried out.
    pub enforce: bool,
    /// A file with executables to be on the lifeline.
    pub lifeline: Option<PathBuf>,
    /// While this file exists nothing is blocked.
    pub off_file: PathBuf,
    /// For the kernel side.
    pub kernel: kernel::Options,
}

impl Options {
    /// The directories below which the daemon writes; those that are not there are made.
    pub(super) fn writable(&self) -> anyhow::Result<Vec<PathBuf>> {
        let above = |path: &Path| path.parent().map(Path::to_owned);
        let sockets = [above(&self.socket), above(&self.metrics)].into_iter().flatten();
        let state = self.content.as_ref().map(|settings| settings.state.clone());
        let pins = [self.kernel.pin_dir.clone()];
        let own: BTreeSet<_> = sockets.chain(state.clone()).chain(pins).collect();
        let files = self.events.iter().filter(|path| **path != Path::new("-"));
        // Of a symbolic link, also where it leads to.
        let events: BTreeSet<_> =
            files.flat_map(|path| [above(path), above(&rotation::followed(path))]).flatten().collect();
        // Where one cannot be made, its file cannot be opened: that is said, and keeps nobody from starting.
        for directory in &events {
            let _ = fs::create_dir_all(directory);
        }
        for directory in &own {
            let made = if state.as_ref() == Some(directory) {
                Directory::open(directory.clone()).map(drop)
            } else {
                fs::create_dir_all(directory)
            };
            made.with_context(|| format!("the directory {} cannot be made", directory.display()))?;
        }
        Ok(own.into_iter().chain(events).collect::<BTreeSet<_>>().into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    use sensor_common::event::Mode;

    use super::*;
    use crate::kernel::WhenGone;

    #[test]
    fn what_is_kept_of_content_is_for_its_owner_only() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("log")).unwrap();
        std::os::unix::fs::symlink("../large/events", root.path().join("log/linked")).unwrap();
        let below = |name: &str| root.path().join(name);
        let options = Options {
            rules: None,
            content: Some(Settings::new(below("state"), root.path(), 0, 0).unwrap()),
            socket: below("run/control.sock"),
            group: None,
            metrics: below("run/metrics.sock"),
            metrics_listen: None,
            events: vec!["-".into(), below("log/events"), below("log/linked")],
            rotation: Rotation::NEVER,
            permits: Permits::default(),
            enforce: false,
            lifeline: None,
            off_file: below("off"),
            kernel: kernel::Options {
                mode: Mode::Lsm,
                pin_dir: below("pins"),
                ring_bytes: 4096,
                patience: Duration::ZERO,
                when_gone: WhenGone::Keep,
                reports: 0,
            },
        };
        assert_eq!(options.writable().unwrap(), ["log", "log/../large", "pins", "run", "state"].map(below));
        assert_eq!(fs::metadata(below("state")).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(below("pins").is_dir() && below("log").is_dir() && below("large").is_dir());
    }
}

//! Watches the file that turns blocking off.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use inotify::{Inotify, WatchMask};
use tokio::io::{Interest, unix::AsyncFd};

use crate::log::say;

/// How long a change can go unseen where its directory came or went.
const LATEST: Duration = Duration::from_secs(1);

/// A watch on the file that turns blocking off.
pub struct OffFile {
    path: PathBuf,
    changes: AsyncFd<Inotify>,
}

impl OffFile {
    /// Watches the file at `path`; its directory is made where it is not there. Needs a running runtime.
    ///
    /// # Errors
    /// When nothing can be watched.
    pub fn new(path: &Path) -> Result<Self> {
        let inotify = Inotify::init().context("no inotify")?;
        // SAFETY: inotify owns its descriptor, and neither replaces nor closes it while it is owned by the `AsyncFd`.
        let registered = unsafe { AsyncFd::register_with_interest(inotify, Interest::READABLE) };
        let changes = registered.map_err(io::Error::from).context("inotify cannot be waited for")?;
        if let Some(directory) = path.parent()
            && let Err(error) = fs::create_dir_all(directory)
        {
            say(format_args!(
                "{} cannot be made ({error}): {} is looked for each second",
                directory.display(),
                path.display()
            ));
        }
        let file = Self { path: path.to_owned(), changes };
        file.watch();
        Ok(file)
    }

    /// The path of the file, where it is there. What cannot be looked up counts as there: to doubt is not to block.
    pub fn present(&self) -> Option<PathBuf> {
        let absent = fs::symlink_metadata(&self.path)
            .is_err_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory));
        (!absent).then(|| self.path.clone())
    }

    /// Waits until the file may have come or gone.
    ///
    /// # Errors
    /// When waiting fails.
    pub async fn changed(&mut self) -> Result<()> {
        if let Ok(ready) = tokio::time::timeout(LATEST, self.changes.readable_mut()).await {
            let mut ready = ready.context("waiting for a file failed")?;
            // Which changes there were does not matter.
            let mut buffer = [0; 4096];
            while ready.get_inner_mut().read_events(&mut buffer).is_ok_and(|mut events| events.next().is_some()) {}
            ready.clear_ready();
        }
        self.watch();
        Ok(())
    }

    /// Watches the directory: once more where it is a new one, else nothing happens.
    fn watch(&self) {
        let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM;
        if let Some(directory) = self.path.parent() {
            // Without the directory there is no file; it is looked for again each second.
            drop(self.changes.get_ref().watches().add(directory, mask));
        }
    }
}

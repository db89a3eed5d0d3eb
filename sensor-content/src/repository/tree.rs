//! The files of a publisher: `metadata/` and `targets/`, for any web server.
//!
//! Everything new is written beside what is there, under names that hold a version or a digest;
//! `timestamp.json` is replaced last. So a client, or a power cut, meets the old repository or the new one.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::de::DeserializeOwned;
use tough::schema::{Signed, Snapshot, Timestamp as TufTimestamp};

use super::{
    client::{Client, ClientError},
    edit_error::EditError,
    encoding::hex,
    fetch::Files,
    metadata::Metadata,
    names::{DOCUMENT, bundle_name},
    roles::Role,
};
use crate::{
    bundle::Number,
    digest::Digest,
    store::{Directory, replace},
};

/// What is older and not referred to is removed: so long may a client take from the first file to the last.
const KEPT: Duration = Duration::from_hours(2);

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Not there, or not readable.
    #[error("{path}: {error}")]
    Io {
        /// What.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// There is one already.
    #[error("{0} holds a repository already; nothing was changed")]
    Exists(String),
    /// Somebody else is at it.
    #[error("another command works on {0}; try again when it is done")]
    Busy(String),
    /// It is no metadata.
    #[error("{path} is no metadata: {reason}")]
    Malformed {
        /// What.
        path: String,
        /// Why.
        reason: String,
    },
    /// It would not be right.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A host would not believe it.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A repository's files, for this process alone as long as it lives.
#[derive(Debug)]
pub struct Tree {
    path: PathBuf,
    _lock: File,
}

impl Tree {
    /// The repository in `path`, which is made where it is not there.
    ///
    /// # Errors
    /// [`TreeError::Busy`], or the directory cannot be written.
    pub fn open(path: &Path) -> Result<Self, TreeError> {
        let failed = |error| TreeError::Io { path: path.display().to_string(), error };
        for below in ["metadata", "targets"] {
            fs::create_dir_all(path.join(below)).map_err(failed)?;
        }
        let lock = File::create(path.join(".lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(TreeError::Busy(path.display().to_string())),
            Err(fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Whether there is a repository.
    pub fn is_founded(&self) -> bool {
        self.path.join("metadata/timestamp.json").exists()
    }

    /// What is in force.
    ///
    /// # Errors
    /// It is not all there, or not signed as it must be.
    pub fn read(&self) -> Result<Metadata, TreeError> {
        let timestamp: Signed<TufTimestamp> = self.json("timestamp.json")?;
        let of = |meta: Option<&tough::schema::Metafile>, name: &str| {
            let missing = || TreeError::Malformed { path: name.to_owned(), reason: "it is not named".into() };
            Ok::<_, TreeError>(format!("{}.{name}", meta.ok_or_else(missing)?.version))
        };
        let snapshot: Signed<Snapshot> =
            self.json(&of(timestamp.signed.meta.get("snapshot.json"), "snapshot.json")?)?;
        let role = |role: Role| {
            let name = format!("{}.json", role.name());
            of(snapshot.signed.meta.get(&name), &name)
        };
        let (targets, content) = (self.json(&role(Role::Targets)?)?, self.json(&role(Role::Content)?)?);
        let rollout = self.json(&role(Role::Rollout)?)?;
        let root = self.json(&self.newest_root()?)?;
        let metadata = Metadata { root, targets, content, rollout, snapshot, timestamp };
        metadata.verify()?;
        Ok(metadata)
    }

    /// Puts `metadata` in force, with these new targets.
    ///
    /// # Errors
    /// What was in force is in force still.
    pub fn write(&self, metadata: &Metadata, targets: &[(String, &[u8])]) -> Result<(), TreeError> {
        metadata.verify()?;
        for (name, bytes) in targets {
            let path = PathBuf::from(format!("targets/{}.{name}", Digest::of(bytes)));
            self.put(&path, bytes)?;
        }
        for (name, bytes) in metadata.files()? {
            self.put(&Path::new("metadata").join(name), &bytes)?;
        }
        self.clear_away(metadata);
        Ok(())
    }

    /// The bytes of the document in force.
    ///
    /// # Errors
    /// It is named and not there.
    pub fn document(&self, metadata: &Metadata) -> Result<Option<Vec<u8>>, TreeError> {
        self.target(&metadata.rollout.signed, DOCUMENT)
    }

    /// The bytes of a bundle.
    ///
    /// # Errors
    /// It is named and not there.
    pub fn bundle(&self, metadata: &Metadata, number: Number) -> Result<Option<Vec<u8>>, TreeError> {
        self.target(&metadata.content.signed, &bundle_name(number))
    }

    /// The newest root, as hosts must trust it.
    ///
    /// # Errors
    /// There is none.
    pub fn root(&self) -> Result<Vec<u8>, TreeError> {
        let path = self.path.join("metadata").join(self.newest_root()?);
        fs::read(&path).map_err(|error| TreeError::Io { path: path.display().to_string(), error })
    }

    /// Copies what is in force to `to`, which must not be there, for a network without a road here. The copy
    /// is read as a host would before it gets its name.
    ///
    /// # Errors
    /// Nothing is at `to`.
    pub fn export(&self, to: &Path, now: jiff::Timestamp) -> Result<usize, TreeError> {
        let failed = |error| TreeError::Io { path: to.display().to_string(), error };
        if to.exists() {
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already")));
        }
        let new = to.with_extension("new");
        let _ = fs::remove_dir_all(&new);
        fs::create_dir_all(&new).map_err(failed)?;
        let result = self.copy(&new, now);
        if let Err(error) = result {
            let _ = fs::remove_dir_all(&new);
            return Err(error);
        }
        fs::rename(&new, to).map_err(failed)?;
        result
    }

    fn copy(&self, to: &Path, now: jiff::Timestamp) -> Result<usize, TreeError> {
        let metadata = self.read()?;
        let copy = Self::open(to)?;
        let mut targets = Vec::new();
        for number in metadata.generations() {
            targets.extend(self.bundle(&metadata, number)?.map(|bytes| (bundle_name(number), bytes)));
        }
        targets.extend(self.document(&metadata)?.map(|bytes| (DOCUMENT.to_owned(), bytes)));
        let borrowed: Vec<_> = targets.iter().map(|(name, bytes)| (name.clone(), bytes.as_slice())).collect();
        // Hosts that trust an older root need the way to this one.
        let versions = metadata.versions();
        let newest = versions.iter().find(|(role, _)| *role == Role::Root).map_or(0, |(_, version)| *version);
        for version in 1..newest {
            let name = Path::new("metadata").join(format!("{version}.root.json"));
            if let Ok(bytes) = fs::read(self.path.join(&name)) {
                copy.put(&name, &bytes)?;
            }
        }
        copy.write(&metadata, &borrowed)?;
        let root = String::from_utf8_lossy(&copy.root()?).into_owned();
        let scratch = to.join(".check");
        let mut client = Client::open(std::sync::Arc::new(Files::new(to.to_owned())), &root, scratch.clone())?;
        let checked = client.poll(now);
        let numbers: Vec<_> = client.view().listed.keys().copied().collect();
        let bundles: Result<Vec<_>, _> = numbers.iter().map(|number| client.bundle(*number, now)).collect();
        let _ = fs::remove_dir_all(&scratch);
        let _ = fs::remove_file(to.join(".lock"));
        checked?;
        Ok(bundles?.len())
    }

    fn newest_root(&self) -> Result<String, TreeError> {
        let failed = |error| TreeError::Io { path: self.path.display().to_string(), error };
        let mut newest = 0;
        for entry in fs::read_dir(self.path.join("metadata")).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let version = name.to_str().and_then(|name| name.strip_suffix(".root.json")?.parse::<u64>().ok());
            // A rotation that was cut off has written its root and nothing else: no host has seen a
            // `timestamp` by its keys.
            newest = newest.max(version.unwrap_or(0));
        }
        Ok(format!("{newest}.root.json"))
    }

    fn target(&self, role: &tough::schema::Targets, name: &str) -> Result<Option<Vec<u8>>, TreeError> {
        let found = role.targets.iter().find(|(target, _)| target.raw() == name);
        let Some((_, target)) = found else { return Ok(None) };
        let digest = hex(&target.hashes.sha256);
        let path = self.path.join(format!("targets/{digest}.{name}"));
        fs::read(&path).map(Some).map_err(|error| TreeError::Io { path: path.display().to_string(), error })
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, TreeError> {
        let path = self.path.join("metadata").join(name);
        let shown = path.display().to_string();
        let bytes = fs::read(&path).map_err(|error| TreeError::Io { path: shown.clone(), error })?;
        serde_json::from_slice(&bytes).map_err(|error| TreeError::Malformed { path: shown, reason: error.to_string() })
    }

    /// Writes a file whole, readable for a web server; one that is there and the same is left alone.
    fn put(&self, below: &Path, bytes: &[u8]) -> Result<(), TreeError> {
        let path = self.path.join(below);
        let failed = |error| TreeError::Io { path: path.display().to_string(), error };
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        fs::create_dir_all(directory).map_err(failed)?;
        replace(&mut Directory::public(directory.to_owned()), name, bytes).map_err(failed)
    }

    /// Removes what nobody reads any more; that it cannot is no harm.
    fn clear_away(&self, metadata: &Metadata) {
        let old = |path: &Path| {
            let modified = path.metadata().and_then(|data| data.modified()).ok();
            modified.and_then(|time| SystemTime::now().duration_since(time).ok()).is_some_and(|age| age > KEPT)
        };
        let current: Vec<_> = metadata.files().unwrap_or_default().into_iter().map(|(name, _)| name).collect();
        for entry in fs::read_dir(self.path.join("metadata")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let counted = name.ends_with(".snapshot.json") || name.ends_with(".rollout.json");
            if counted && !current.contains(&name) && old(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let document = metadata.rollout.signed.targets.values().next();
        let document = document.map(|target| hex(&target.hashes.sha256));
        for entry in fs::read_dir(self.path.join("targets")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let current = document.as_ref().is_some_and(|digest| name.starts_with(digest.as_str()));
            if name.ends_with(".rollout") && !current && old(&entry.path().join("current.json")) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

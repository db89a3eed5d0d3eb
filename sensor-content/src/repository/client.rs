//! What a host believes of a repository: what is signed, newest, whole and not expired; and what it remembers of it.
//!
//! `tough` judges signatures, thresholds, versions and sizes. What it leaves out is here: one conditional
//! request where nothing has changed; rollback protection that survives a power cut, because it is written
//! whole or not at all; and a clock that jumps. `tough` gives up for as long as the clock is behind what it
//! was; here a clock that was set back is believed, and the time at which the newest metadata was signed is
//! the least that it can be.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tough::{IntoVec, Repository, RepositoryLoader, TargetName};
use url::Url;

use super::{
    fetch::{Fetch, FetchError, Reply, Request},
    memory::Memory,
    names::{DOCUMENT, DOCUMENT_MAX, ISSUED, METADATA_MAX, PACE, bundle_name},
    roles::Role,
    transport::{BASE, PATIENCE, Road, TIMESTAMP},
    view::{Listed, View},
};
use crate::{
    bundle::{BUNDLE_MAX, Number},
    digest::Digest,
    fleet::Paced,
    life::Id,
    printable::escaped,
    store::{Directory, Fs, replace, sealed},
};

const MEMORY: &str = "seen";
const MEMORY_MAX: usize = 8 << 20;
/// Of `tough`'s own: when it looked at the clock last.
const KNOWN_TIME: &str = "latest_known_time.json";
/// What `tough` remembers of what was believed.
const BELIEVED: &str = "tough";
/// The same, of what is looked at: `tough` writes there before it has seen all.
const LOOKED_AT: &str = "looked-at";
/// Files whose names hold their version.
const CACHE: &str = "cache";

/// What a poll brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Nothing has changed.
    Unchanged,
    /// There is a new view.
    New,
}

/// Why the view is what it was.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The repository does not answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What it says is not believed.
    #[error("the repository is not believed: {0}")]
    Refused(String),
    /// It is frozen: somebody holds news back, or the publisher is away.
    #[error("what the repository says has expired at {0}: somebody holds news back, or nobody signs")]
    Expired(Timestamp),
    /// The trusted root is none.
    #[error("the trusted root is no root of a repository: {0}")]
    Root(String),
    /// This host's disk.
    #[error("what is known of the repository cannot be kept: {0}")]
    Store(#[from] std::io::Error),
}

/// A host's client of one repository.
#[derive(Debug)]
pub struct Client {
    fetch: Arc<dyn Fetch>,
    directory: PathBuf,
    store: Directory,
    memory: Memory,
    root: String,
    /// Whether the owner gave another root than before.
    anew: bool,
    /// As it was loaded by this process last.
    repository: Option<Repository>,
    patience: Duration,
}

impl Client {
    /// A client that trusts `root` (`root.json` as the publisher made it) and remembers in `directory`. What
    /// was remembered of a repository counts as long as the owner gives the same root, or the newest of those
    /// that followed it: with another one all begins [anew](Self::began_anew), the versions too.
    ///
    /// # Errors
    /// [`ClientError::Root`], [`ClientError::Store`].
    pub fn open(fetch: Arc<dyn Fetch>, root: &str, directory: PathBuf) -> Result<Self, ClientError> {
        let mut store = Directory::open(directory.clone())?;
        for part in [BELIEVED, LOOKED_AT, CACHE] {
            Directory::open(directory.join(part))?;
        }
        let seen = store.read(MEMORY, MEMORY_MAX)?;
        let memory = seen.as_deref().and_then(sealed::unseal::<Memory>);
        if seen.is_some() && memory.is_none() {
            store.rename(MEMORY, "seen.damaged")?;
        }
        let mut memory = memory.unwrap_or_default();
        let (shipped, given) = (version_of(root)?, Digest::of(root.as_bytes()));
        let anew = memory.given.is_some_and(|before| before != given) && !memory.has_as_root(root);
        if anew {
            memory = Memory::default();
            [BELIEVED, LOOKED_AT, CACHE].iter().try_for_each(|part| empty(&directory.join(part)))?;
        }
        // The newest that is known: an older one's keys may have been stolen since.
        let newer = memory.root.clone().filter(|newer| version_of(newer).is_ok_and(|newer| newer >= shipped));
        let root = newer.unwrap_or_else(|| root.to_owned());
        if memory.given.replace(given) != Some(given) {
            replace(&mut store, MEMORY, &sealed::seal(&memory)?)?;
        }
        Ok(Self { fetch, directory, store, memory, root, anew, repository: None, patience: PATIENCE })
    }

    /// Whether all that was known of a repository was forgotten, because the owner gave another root.
    pub const fn began_anew(&self) -> bool {
        self.anew
    }

    /// The same, less patient with slow servers.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What was believed last.
    pub const fn view(&self) -> &View {
        &self.memory.view
    }

    /// When the newest metadata was signed, as the online key says.
    pub const fn issued(&self) -> Option<Timestamp> {
        self.memory.issued
    }

    /// Whether the view may still be acted on: what has expired may stop content, and brings none.
    ///
    /// # Errors
    /// [`ClientError::Expired`].
    pub fn fresh(&self, now: Timestamp) -> Result<(), ClientError> {
        let expires = self.memory.view.expires;
        if self.memory.timestamp.is_some() && self.memory.least(now) >= expires {
            Err(ClientError::Expired(expires))
        } else {
            Ok(())
        }
    }

    /// Asks whether there is news, and believes what must be believed.
    ///
    /// # Errors
    /// The view is what it was.
    pub fn poll(&mut self, now: Timestamp) -> Result<Polled, ClientError> {
        let (bytes, etag) = match self.timestamp(self.memory.etag.as_deref())? {
            Reply::Unchanged => return self.fresh(now).map(|()| Polled::Unchanged),
            Reply::Fresh { bytes, etag } => (bytes, etag),
        };
        let digest = Digest::of(&bytes);
        if self.memory.timestamp == Some(digest) {
            return self.fresh(now).map(|()| Polled::Unchanged);
        }
        let repository = self.load(bytes)?;
        let mut memory = self.judge(&repository, now)?;
        memory.view = Self::view_of(&repository)?;
        (memory.etag, memory.timestamp) = (etag, Some(digest));
        replace(&mut self.store, MEMORY, &sealed::seal(&memory)?)?;
        copy(&self.directory.join(LOOKED_AT), &self.directory.join(BELIEVED))?;
        if let Some(root) = &memory.root {
            self.root.clone_from(root);
        }
        self.memory = memory;
        self.repository = Some(repository);
        Ok(Polled::New)
    }

    /// The bytes of a bundle that exists.
    ///
    /// # Errors
    /// It does not come, or is another.
    pub fn bundle(&self, number: Number, now: Timestamp) -> Result<Vec<u8>, ClientError> {
        self.fresh(now)?;
        let _ = fs::remove_file(self.directory.join(LOOKED_AT).join(KNOWN_TIME));
        let loaded;
        let repository = if let Some(repository) = &self.repository {
            repository
        } else {
            let Reply::Fresh { bytes, .. } = self.timestamp(None)? else {
                return Err(ClientError::Refused("an answer that was not asked for".into()));
            };
            loaded = self.load(bytes)?;
            self.judge(&loaded, now)?;
            &loaded
        };
        let bytes = Self::target(repository, &bundle_name(number), BUNDLE_MAX)?;
        bytes.ok_or_else(|| ClientError::Refused(format!("generation {number} does not exist any more")))
    }

    /// Asks for `timestamp.json`, unless it is what `etag` stands for.
    fn timestamp(&self, etag: Option<&str>) -> Result<Reply, FetchError> {
        let path = TIMESTAMP;
        self.fetch.fetch(&Request { path, max: METADATA_MAX, patience: self.patience, etag, part: None })
    }

    fn load(&self, timestamp: Vec<u8>) -> Result<Repository, ClientError> {
        let looked_at = self.directory.join(LOOKED_AT);
        copy(&self.directory.join(BELIEVED), &looked_at)?;
        let road = Road::new(Arc::clone(&self.fetch), timestamp, self.directory.join(CACHE), self.patience);
        let base = |below: &str| {
            Url::parse(&format!("{BASE}{below}/")).map_err(|error| ClientError::Refused(error.to_string()))
        };
        let loader = RepositoryLoader::new(&self.root, base("metadata")?, base("targets")?)
            .transport(road.clone())
            .datastore(looked_at);
        let repository = runtime()?.block_on(loader.load()).map_err(|error| refused(&error));
        if repository.is_ok() {
            road.keep();
        } else {
            road.forget();
        }
        repository
    }

    /// Whether `repository` is no older than what was seen, nor expired; what to remember of it.
    fn judge(&self, repository: &Repository, now: Timestamp) -> Result<Memory, ClientError> {
        let mut memory = self.memory.clone();
        let versions = versions_of(repository)?;
        let rotated = versions.get("root") > memory.versions.get("root");
        let older = |(role, version): (&String, &u64)| memory.versions.get(role).is_some_and(|seen| version < seen);
        // A thief of the online key may have counted to the end: who has the root keys begins anew.
        if !rotated && let Some((role, version)) = versions.iter().find(|role| older(*role)) {
            let seen = memory.versions.get(role).copied().unwrap_or(0);
            return Err(ClientError::Refused(format!(
                "version {version} of `{role}` is older than {seen}, which was seen"
            )));
        }
        memory.versions = versions;
        let issued = repository.timestamp().signed._extra.get(ISSUED).and_then(|issued| issued.as_str());
        let issued: Option<Timestamp> = issued.and_then(|issued| issued.parse().ok());
        memory.issued = if rotated { issued } else { issued.max(memory.issued) };
        let expires = expiry(repository);
        if memory.least(now) >= expires {
            return Err(ClientError::Expired(expires));
        }
        memory.root =
            Some(serde_json::to_string(repository.root()).map_err(|error| ClientError::Refused(error.to_string()))?);
        Ok(memory)
    }

    fn view_of(repository: &Repository) -> Result<View, ClientError> {
        let document = Self::target(repository, DOCUMENT, DOCUMENT_MAX)?;
        let document = document
            .map(|bytes| serde_json::from_slice(&bytes))
            .transpose()
            .map_err(|error| ClientError::Refused(format!("{DOCUMENT} is no document of this version: {error}")))?;
        let content = repository.targets().signed.delegated_targets("content").map_err(|error| refused(&error))?;
        let (mut listed, mut paces) = (BTreeMap::new(), BTreeMap::new());
        for (name, target) in &content.signed.targets {
            let field = |name: &str| target.custom.get(name).cloned().unwrap_or_default();
            let read = || -> Result<Listed, serde_json::Error> {
                let id = Id {
                    number: serde_json::from_value(field("generation"))?,
                    digest: serde_json::from_value(field("digest"))?,
                };
                Ok(Listed { id, category: serde_json::from_value(field("category"))? })
            };
            let this = read().ok().filter(|listed| bundle_name(listed.id.number) == name.raw());
            let this = this.ok_or_else(|| {
                ClientError::Refused(format!("`content` says nonsense of {}", crate::printable::ascii(name.raw())))
            })?;
            listed.insert(this.id.number, this);
            // Nonsense in one release must not keep the order from a host that another is to be left.
            if let Some(pace) = target.custom.get(PACE) {
                let pace = serde_json::from_value(pace.clone());
                let pace = pace.map_or_else(|error| Paced::Unreadable(escaped(&error.to_string())), Paced::Signed);
                paces.insert(this.id.number, pace);
            }
        }
        Ok(View { document, listed, paces, expires: expiry(repository) })
    }

    /// The bytes of a target, if there is one.
    fn target(repository: &Repository, name: &str, max: usize) -> Result<Option<Vec<u8>>, ClientError> {
        let target_name = TargetName::new(name).map_err(|error| refused(&error))?;
        let Ok(target) = repository.targets().signed.find_target(&target_name, false) else { return Ok(None) };
        if target.length > max as u64 {
            return Err(ClientError::Refused(format!(
                "{name} is said to have {} bytes, and {max} are taken",
                target.length
            )));
        }
        let read = async {
            match repository.read_target(&target_name).await? {
                Some(stream) => stream.into_vec().await.map(Some),
                None => Ok(None),
            }
        };
        runtime()?.block_on(read).map_err(|error| refused(&error))
    }
}

/// Makes the files in `to` those in `from`, but for what `tough` remembers of the clock: a clock that was set
/// back is believed, and versions protect.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    empty(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() != KNOWN_TIME {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Removes the files in a directory.
fn empty(directory: &Path) -> std::io::Result<()> {
    fs::read_dir(directory)?.try_for_each(|entry| fs::remove_file(entry?.path()))
}

fn runtime() -> Result<tokio::runtime::Runtime, std::io::Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn version_of(root: &str) -> Result<u64, ClientError> {
    let root: tough::schema::Signed<tough::schema::Root> =
        serde_json::from_str(root).map_err(|error| ClientError::Root(error.to_string()))?;
    Ok(root.signed.version.get())
}

/// Versions by role. `content` and `rollout` must be there: `tough` lets a snapshot pass that leaves one out.
fn versions_of(repository: &Repository) -> Result<BTreeMap<String, u64>, ClientError> {
    let targets = repository.targets();
    let delegated = |role: Role| {
        let missing = |_| ClientError::Refused(format!("`{role}` is missing"));
        targets.signed.delegated_targets(role.name()).map(|role| role.signed.version).map_err(missing)
    };
    let of = |role| {
        Ok::<_, ClientError>(match role {
            Role::Root => repository.root().signed.version,
            Role::Targets => targets.signed.version,
            Role::Content | Role::Rollout => delegated(role)?,
            Role::Snapshot => repository.snapshot().signed.version,
            Role::Timestamp => repository.timestamp().signed.version,
        })
    };
    Role::ALL.iter().map(|role| Ok((role.name().to_owned(), of(*role)?.get()))).collect()
}

/// When the first of all roles expires.
fn expiry(repository: &Repository) -> Timestamp {
    let targets = &repository.targets().signed;
    let delegated = [Role::Content, Role::Rollout].map(|role| targets.delegated_targets(role.name()).ok());
    let delegated = delegated.into_iter().flatten().map(|role| role.signed.expires);
    let own = [
        repository.root().signed.expires,
        targets.expires,
        repository.snapshot().signed.expires,
        repository.timestamp().signed.expires,
    ];
    own.into_iter().chain(delegated).min().unwrap_or(Timestamp::MIN)
}

/// A refusal in the words of all that led to it.
fn refused(error: &dyn Error) -> ClientError {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(fetch) = error.downcast_ref::<FetchError>() {
            return ClientError::Fetch(fetch.clone());
        }
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = error.source();
    }
    ClientError::Refused(escaped(&words))
}

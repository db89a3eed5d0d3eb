//! What `tough` asks for, over a [`Fetch`]: `timestamp.json` is at hand already, and what never changes is
//! asked for once.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tough::{Transport, TransportError, TransportErrorKind, TransportStream, async_trait};
use url::Url;

use super::{
    METADATA_MAX,
    fetch::{Fetch, FetchError, Reply, Request},
};
use crate::bundle::BUNDLE_MAX;

/// Longest time for one file of metadata.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Longest time for a bundle.
const BUNDLE_PATIENCE: Duration = Duration::from_mins(10);
/// Where `tough` thinks that the repository is: what stands below is asked for.
pub const BASE: &str = "repository://here/";

/// What is asked for first, and again and again.
pub const TIMESTAMP: &str = "metadata/timestamp.json";

/// How names begin of what broke off.
const PART: &str = "part-";

/// Fetches for `tough`, within the limits of this client.
#[derive(Clone)]
pub struct Road {
    fetch: Arc<dyn Fetch>,
    timestamp: Bytes,
    /// Files whose names hold their version, and parts of what broke off.
    cache: PathBuf,
    patience: Duration,
    kept: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl Road {
    pub fn new(fetch: Arc<dyn Fetch>, timestamp: Vec<u8>, cache: PathBuf, patience: Duration) -> Self {
        Self { fetch, timestamp: timestamp.into(), cache, patience, kept: Arc::default() }
    }

    /// Keeps what will not change, and nothing else. To be called when it was found to be what is signed. A
    /// cache that cannot be written is none.
    pub fn keep(&self) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in fs::read_dir(&self.cache).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_none_or(|name| !name.starts_with(PART) && !kept.contains_key(name)) {
                let _ = fs::remove_file(entry.path());
            }
        }
        for (name, bytes) in kept.iter() {
            let path = self.cache.join(name);
            if !path.exists() {
                let _ = fs::write(path, bytes);
            }
        }
    }

    /// Keeps nothing: what is there may be what is not believed.
    pub fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.keep();
    }

    fn get(&self, path: &str) -> Result<Bytes, FetchError> {
        if path == TIMESTAMP {
            return Ok(self.timestamp.clone());
        }
        let name = path.strip_prefix("metadata/");
        let keeps = name.filter(|name| name.ends_with(".targets.json") || name.ends_with(".content.json"));
        // Only its name is believed: that it is what is signed is checked whenever it is read.
        let there = keeps.and_then(|name| fs::read(self.cache.join(name)).ok());
        let bytes = match there {
            Some(bytes) => bytes.into(),
            None => self.ask(path, name.is_none())?,
        };
        if let Some(name) = keeps {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Bytes::clone(&bytes));
        }
        Ok(bytes)
    }

    /// Where the beginning of a bundle is kept; of others, none is.
    fn part(&self, path: &str) -> PathBuf {
        let digest = path.trim_start_matches("targets/").split('.').next().unwrap_or_default();
        let name = format!("{PART}{digest}");
        for entry in fs::read_dir(&self.cache).into_iter().flatten().flatten() {
            let other = entry.file_name();
            if other.to_str().is_some_and(|other| other.starts_with(PART) && other != name) {
                let _ = fs::remove_file(entry.path());
            }
        }
        self.cache.join(name)
    }

    fn ask(&self, path: &str, bundle: bool) -> Result<Bytes, FetchError> {
        let part = bundle.then(|| self.part(path));
        let request = Request {
            path,
            max: if bundle { BUNDLE_MAX } else { METADATA_MAX },
            patience: if bundle { self.patience.max(BUNDLE_PATIENCE) } else { self.patience },
            etag: None,
            part: part.as_deref(),
        };
        let Reply::Fresh { bytes, .. } = self.fetch.fetch(&request)? else {
            return Err(FetchError::Failed {
                path: path.to_owned(),
                reason: "an answer that was not asked for".into(),
            });
        };
        Ok(bytes.into())
    }
}

impl fmt::Debug for Road {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Road({:?})", self.fetch)
    }
}

#[async_trait]
impl Transport for Road {
    // It has a thread of its own, which may wait.
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let path = url.as_str().strip_prefix(BASE).unwrap_or_default();
        let bytes = self.get(path).map_err(|error| {
            let kind = match error {
                FetchError::NotFound(_) => TransportErrorKind::FileNotFound,
                _ => TransportErrorKind::Other,
            };
            TransportError::new_with_cause(kind, path, error)
        })?;
        Ok(Box::pin(One(Some(bytes))))
    }
}

/// A stream of one piece.
struct One(Option<Bytes>);

impl futures_core::Stream for One {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.take().map(Ok))
    }
}

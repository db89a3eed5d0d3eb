//! Files of a repository, by whatever road.

use std::{
    fmt, fs,
    io::Read,
    path::{Component, Path, PathBuf},
    time::Duration,
};

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Below the repository's address, such as `metadata/timestamp.json`.
    pub path: &'a str,
    /// Longest body, bytes.
    pub max: usize,
    /// Longest time for all of it.
    pub patience: Duration,
    /// What [`Reply::Fresh`] said of it last: if nothing changed, nothing is sent.
    pub etag: Option<&'a str>,
    /// A file with what came of it before the connection broke, to go on from there.
    pub part: Option<&'a Path>,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Its bytes, and by what it may be asked for again.
    Fresh {
        /// All of them.
        bytes: Vec<u8>,
        /// The server's word for this version.
        etag: Option<String>,
    },
    /// It is what it was.
    Unchanged,
}

/// Why nothing came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It is not there.
    #[error("{0} is not there")]
    NotFound(String),
    /// It is too long.
    #[error("{path} is longer than {max} bytes: that is refused")]
    TooLong {
        /// What was asked for.
        path: String,
        /// So much is taken.
        max: usize,
    },
    /// It wants to send us elsewhere.
    #[error("{path} is redirected to {to}: that is not followed; write the new address into the policy")]
    Redirected {
        /// What was asked for.
        path: String,
        /// Where it is said to be.
        to: String,
    },
    /// It did not come in time.
    #[error("{0} did not come in time")]
    Slow(String),
    /// Something else.
    #[error("{path} cannot be had: {reason}")]
    Failed {
        /// What was asked for.
        path: String,
        /// Why.
        reason: String,
    },
}

/// A road to a repository.
pub trait Fetch: fmt::Debug + Send + Sync {
    /// Gets a file.
    ///
    /// # Errors
    /// Nothing came, or not all of it.
    fn fetch(&self, request: &Request) -> Result<Reply, FetchError>;
}

/// A repository in a directory of this host: an air gap's copy.
#[derive(Clone, Debug)]
pub struct Files(PathBuf);

impl Files {
    /// The repository in this directory.
    pub const fn new(directory: PathBuf) -> Self {
        Self(directory)
    }
}

impl Fetch for Files {
    fn fetch(&self, request: &Request) -> Result<Reply, FetchError> {
        let failed = |reason: String| FetchError::Failed { path: request.path.to_owned(), reason };
        let below = Path::new(request.path);
        if !below.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(failed("that is no path below a repository".into()));
        }
        let file = match fs::File::open(self.0.join(below)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(FetchError::NotFound(request.path.to_owned()));
            }
            other => other.map_err(|error| failed(error.to_string()))?,
        };
        let mut bytes = Vec::new();
        file.take(request.max as u64 + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
        if bytes.len() > request.max {
            return Err(FetchError::TooLong { path: request.path.to_owned(), max: request.max });
        }
        Ok(Reply::Fresh { bytes, etag: None })
    }
}

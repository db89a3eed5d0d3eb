//! A repository on a web server: conditional requests, no redirects, limits on size and time, and broken
//! downloads go on.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use ureq::{
    Agent, Proxy,
    http::{Response, StatusCode, header},
    tls::{RootCerts, TlsConfig, TlsProvider},
};

use super::fetch::{Fetch, FetchError, Reply, Request};

/// Longest head of a reply, bytes.
const HEAD_MAX: usize = 16 << 10;

/// A repository on a web server, and its mirrors.
#[derive(Clone, Debug)]
pub struct Http {
    agent: Agent,
    /// Addresses of the repository and its mirrors, each with a slash at its end.
    bases: Vec<String>,
}

impl Http {
    /// A repository at the first of these addresses that answers; by a proxy, where one is given.
    ///
    /// # Errors
    /// The address of the proxy is none.
    pub fn new(addresses: &[String], proxy: Option<&str>) -> Result<Self, String> {
        let proxy = proxy.map(Proxy::new).transpose().map_err(|_| "this is no address of a proxy".to_owned())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider)
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(proxy)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_response_header_size(HEAD_MAX)
            // A host polls every ten minutes: an idle connection is the server's memory for nothing.
            .max_idle_connections(1)
            .user_agent(concat!("creance/", env!("CARGO_PKG_VERSION")))
            .build();
        let bases = addresses.iter().map(|address| format!("{}/", address.trim_end_matches('/'))).collect();
        Ok(Self { agent: config.into(), bases })
    }

    fn fetch_from(&self, base: &str, request: &Request) -> Result<Reply, FetchError> {
        let path = request.path.to_owned();
        let have = request.part.and_then(|part| part.metadata().ok()).map_or(0, |data| data.len());
        let mut asked = self.agent.get(format!("{base}{path}"));
        if let Some(etag) = request.etag {
            asked = asked.header(header::IF_NONE_MATCH, etag);
        }
        if have > 0 {
            asked = asked.header(header::RANGE, format!("bytes={have}-"));
        }
        let asked = asked.config().timeout_global(Some(request.patience)).build();
        let reply = asked.call().map_err(|error| failed(&path, error))?;
        match reply.status() {
            StatusCode::NOT_MODIFIED if request.etag.is_some() => Ok(Reply::Unchanged),
            StatusCode::OK => body(reply, request, 0),
            StatusCode::PARTIAL_CONTENT if have > 0 => body(reply, request, have),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(FetchError::NotFound(path)),
            // What is there is not a beginning of it.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                forget(request.part);
                self.fetch_from(base, request)
            }
            status if status.is_redirection() => {
                let to = reply.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
                Err(FetchError::Redirected { path, to: crate::printable::ascii(to) })
            }
            status => Err(FetchError::Failed { path, reason: format!("the server says {status}") }),
        }
    }
}

impl Fetch for Http {
    fn fetch(&self, request: &Request) -> Result<Reply, FetchError> {
        let mut last = None;
        for base in &self.bases {
            match self.fetch_from(base, request) {
                Err(error) => last = Some(error),
                reply => return reply,
            }
        }
        Err(last.unwrap_or_else(|| FetchError::Failed {
            path: request.path.to_owned(),
            reason: "the repository has no address".into(),
        }))
    }
}

/// Reads the body, from byte `from` on; what comes is kept in `part`, if there is one, should the connection break.
fn body(reply: Response<ureq::Body>, request: &Request, from: u64) -> Result<Reply, FetchError> {
    let path = || request.path.to_owned();
    let etag = reply.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
    let left = (request.max as u64).saturating_sub(from);
    let mut reader = reply.into_body().into_reader();
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    let mut kept = request.part.map(|part| open(part, from)).transpose().map_err(|error| broken(&path(), &error))?;
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(broken(&path(), &error)),
        };
        if (bytes.len() + count) as u64 > left {
            forget(request.part);
            return Err(FetchError::TooLong { path: path(), max: request.max });
        }
        let new = buffer.get(..count).unwrap_or_default();
        if let Some(file) = &mut kept {
            file.write_all(new).map_err(|error| broken(&path(), &error))?;
        }
        bytes.extend_from_slice(new);
    }
    if let Some(part) = request.part {
        if from > 0 {
            bytes = std::fs::read(part).map_err(|error| broken(&path(), &error))?;
        }
        forget(Some(part));
    }
    Ok(Reply::Fresh { bytes, etag })
}

fn open(part: &Path, from: u64) -> io::Result<File> {
    OpenOptions::new().create(true).write(true).append(from > 0).truncate(from == 0).open(part)
}

fn forget(part: Option<&Path>) {
    // What cannot be removed is written over, or found too long.
    let _ = part.map(std::fs::remove_file);
}

fn failed(path: &str, error: ureq::Error) -> FetchError {
    match error {
        ureq::Error::Timeout(_) | ureq::Error::BodyStalled => FetchError::Slow(path.to_owned()),
        ureq::Error::Io(error) => broken(path, &error),
        other => FetchError::Failed { path: path.to_owned(), reason: other.to_string() },
    }
}

fn broken(path: &str, error: &io::Error) -> FetchError {
    if error.kind() == io::ErrorKind::TimedOut {
        return FetchError::Slow(path.to_owned());
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match inner {
        Some(ureq::Error::Timeout(_) | ureq::Error::BodyStalled) => FetchError::Slow(path.to_owned()),
        _ => FetchError::Failed { path: path.to_owned(), reason: error.to_string() },
    }
}

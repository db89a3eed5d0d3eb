//! The client's end of the control socket.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use sensor_content::life::Entry;
use sensor_rules::Source;

use crate::api::{
    protocol::{Pushed, Quarantined, REQUEST_MAX, Refused, Reply, Request},
    status::{Brakes, Status},
};

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

/// Why there is no answer, or none that was hoped for. Each message says all, its cause included: an error
/// has no source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error("no daemon answers on {}: {cause}\n{}", path.display(), advice(cause))]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the daemon broke: {0}\nIts log says why; `creance status` tells whether it still runs.")]
    Broken(io::Error),
    /// The daemon refused; nothing changed.
    #[error("{}", .0.message)]
    Refused(Box<Refused>),
    /// The daemon could not answer the request.
    #[error("{0}")]
    Daemon(String),
    /// What came is no reply to this request.
    #[error(
        "the daemon answered what this program does not understand: {0}\nAre both of the same version? Restart the daemon after an upgrade."
    )]
    Strange(String),
    /// The request is longer than the daemon reads.
    #[error(
        "the rules take {size} bytes on the control socket, and the daemon reads at most {REQUEST_MAX}: push fewer or shorter files"
    )]
    TooLong {
        /// Its size, bytes.
        size: usize,
    },
    /// The events came faster than they were read.
    #[error(
        "read too slowly: the daemon ended the stream, and {unsent} events were not sent\nThe events are in the files given with `creance daemon --events`, if any."
    )]
    TooSlow {
        /// How many events were not sent.
        unsent: u64,
    },
}

impl From<io::Error> for Error {
    fn from(cause: io::Error) -> Self {
        Self::Broken(cause)
    }
}

impl Error {
    /// Whether the daemon does not read on.
    fn is_hang_up(&self) -> bool {
        matches!(self, Self::Broken(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset))
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "Only root may talk to the daemon: try with sudo.",
        _ => "Start it with `creance daemon --rules DIR`, or name its socket with --socket.",
    }
}

impl Client {
    /// Connects to the daemon that listens on the socket at `path`.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let stream = UnixStream::connect(path).map_err(|cause| Error::Unreachable { path: path.to_owned(), cause })?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Makes `sources` the next generation, or where the owner's policy asks for it the candidate.
    ///
    /// # Errors
    /// [`Error::Refused`] when the rules, or the programs made of them, are not accepted; what ran still runs.
    pub fn push(&mut self, sources: Vec<Source>, skip_checks: bool) -> Result<Pushed, Error> {
        let sources = sources.into_iter().map(Into::into).collect();
        self.pushed(&Request::Push { sources, skip_checks, no_shadow: false })
    }

    /// Puts a bundle in force, on probation, or lets it judge in the shadow.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is not accepted; what ran still runs.
    pub fn push_bundle(&mut self, bundle: &[u8], policy_aside: bool) -> Result<Pushed, Error> {
        self.pushed(&Request::push_bundle(bundle, policy_aside, false))
    }

    /// Asks for what is answered by [`Reply::Pushed`].
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn pushed(&mut self, request: &Request) -> Result<Pushed, Error> {
        match self.ask(request)? {
            Reply::Pushed(pushed) => Ok(pushed),
            other => Err(unwanted(other)),
        }
    }

    /// What became of generations, oldest first.
    ///
    /// # Errors
    /// When the daemon keeps none.
    pub fn history(&mut self) -> Result<Vec<Entry>, Error> {
        match self.ask(&Request::History)? {
            Reply::History(entries) => Ok(entries),
            other => Err(unwanted(other)),
        }
    }

    /// What runs.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn status(&mut self) -> Result<Status, Error> {
        match self.ask(&Request::Status)? {
            Reply::Status(status) => Ok(*status),
            other => Err(unwanted(other)),
        }
    }

    /// Returns to the generation before; its number.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is none.
    pub fn rollback(&mut self) -> Result<u64, Error> {
        match self.ask(&Request::Rollback)? {
            Reply::RolledBack { generation } => Ok(generation),
            other => Err(unwanted(other)),
        }
    }

    /// Carries verdicts to block, quarantine and kill out from now on, or only reports them; what holds now.
    ///
    /// # Errors
    /// When the daemon cannot.
    pub fn enforce(&mut self, on: bool) -> Result<bool, Error> {
        match self.ask(&Request::Enforce { on })? {
            Reply::Enforcing { on } => Ok(on),
            other => Err(unwanted(other)),
        }
    }

    /// What holds blocking back.
    ///
    /// # Errors
    /// When the daemon cannot tell.
    pub fn brakes(&mut self) -> Result<Brakes, Error> {
        match self.ask(&Request::Brakes)? {
            Reply::Brakes(brakes) => Ok(brakes),
            other => Err(unwanted(other)),
        }
    }

    /// Lets the rule with this id that a brake holds, or all such rules, be carried out again; how many there were.
    ///
    /// # Errors
    /// When the daemon cannot.
    pub fn release_brake(&mut self, rule: Option<String>) -> Result<usize, Error> {
        match self.ask(&Request::ReleaseBrake { rule })? {
            Reply::Released { count } => Ok(count),
            other => Err(unwanted(other)),
        }
    }

    /// What is in quarantine, oldest first.
    ///
    /// # Errors
    /// When the daemon cannot tell.
    pub fn quarantine(&mut self) -> Result<Vec<Quarantined>, Error> {
        match self.ask(&Request::Quarantine)? {
            Reply::Quarantine(all) => Ok(all),
            other => Err(unwanted(other)),
        }
    }

    /// Lets what has this inode number, or everything in quarantine, be read again; how many there were.
    ///
    /// # Errors
    /// When the daemon cannot.
    pub fn release(&mut self, inode: Option<u64>) -> Result<usize, Error> {
        match self.ask(&Request::Release { inode })? {
            Reply::Released { count } => Ok(count),
            other => Err(unwanted(other)),
        }
    }

    /// The recent events, oldest first, and with `follow` all that come; each as one line of JSON
    /// (`docs/events.md`). When the iterator is there, the daemon has the request: no event from then on is
    /// missing.
    ///
    /// # Errors
    /// When the daemon does not answer; the iterator's: [`Error::TooSlow`], or a broken connection.
    pub fn events(mut self, follow: bool) -> Result<Events, Error> {
        match self.ask(&Request::Events { follow })? {
            Reply::Listening => Ok(Events { client: self, over: false }),
            other => Err(unwanted(other)),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Reply, Error> {
        match self.send(request) {
            // A daemon that turns a client away says why and hangs up, perhaps before the client has said a word.
            Err(error) if error.is_hang_up() => self.receive().map_err(|_| error),
            Err(error) => Err(error),
            Ok(()) => self.receive(),
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), Error> {
        let mut line = serde_json::to_vec(request).map_err(io::Error::from)?;
        line.push(b'\n');
        if line.len() > REQUEST_MAX {
            return Err(Error::TooLong { size: line.len() });
        }
        Ok(self.stream.get_mut().write_all(&line)?)
    }

    fn receive(&mut self) -> Result<Reply, Error> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the daemon closed it").into());
        }
        serde_json::from_str(&line).map_err(|error| Error::Strange(format!("{error} in {:.200}", line.trim_end())))
    }
}

/// A reply that is not the one wanted, as an error.
fn unwanted(reply: Reply) -> Error {
    match reply {
        Reply::Refused(refused) => Error::Refused(refused),
        Reply::Error { message } => Error::Daemon(message),
        Reply::TooSlow { unsent } => Error::TooSlow { unsent },
        other => Error::Strange(format!("{other:?}")),
    }
}

/// Events as they come, see [`Client::events`].
#[derive(Debug)]
pub struct Events {
    client: Client,
    over: bool,
}

impl Iterator for Events {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let item = match self.client.receive() {
            Ok(Reply::Event(line)) => return Some(Ok(String::from(Box::<str>::from(line)))),
            Ok(Reply::End) => None,
            Ok(other) => Some(Err(unwanted(other))),
            Err(error) => Some(Err(error)),
        };
        self.over = true;
        item
    }
}

//! The daemon's end of the control socket.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::admission::{Access, Admitted};
use crate::{
    api::protocol::{READER_REQUEST_MAX, REQUEST_MAX, Reply, Request},
    daemon::events::journal::{Entry, Follower, Journal},
    log::say,
};

/// How many clients that may ask for everything are served at once; the next is told so.
pub const CLIENTS_MAX: usize = 64;
/// The same of those that may only read the status: they take no place of the others.
pub const READERS_MAX: usize = 32;
/// How long a client may leave a reply unread.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long one that may only read the status may take for its next request: nobody keeps a place for nothing.
const READER_PATIENCE: Duration = Duration::from_mins(1);
/// How many events are sent at once.
const BATCH: usize = 256;

/// What to say to those that may only read the status and ask for more.
const ONLY_STATUS: &str = "you may only read the status: everything else is for root; try with sudo";

/// What the server needs of the daemon.
pub trait Service: Send + Sync + 'static {
    /// What to answer one who may ask for that. May take long: it is called on a thread of its own.
    fn answer(&self, request: Request, access: Access) -> Answer;
    /// Where events are.
    fn journal(&self) -> &Journal;
}

/// What to send back.
pub enum Answer {
    /// This.
    Reply(Box<Reply>),
    /// Events of the journal.
    Events {
        /// Those that come, too.
        follow: bool,
    },
}

/// How many are served at once, of each kind.
struct Places {
    full: Arc<Semaphore>,
    readers: Arc<Semaphore>,
}

impl Places {
    fn new() -> Self {
        Self { full: Arc::new(Semaphore::new(CLIENTS_MAX)), readers: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    /// A place for one with this access, or why there is none.
    fn take(&self, access: Access) -> Result<OwnedSemaphorePermit, String> {
        let (places, max) = match access {
            Access::Full => (&self.full, CLIENTS_MAX),
            Access::Status => (&self.readers, READERS_MAX),
        };
        let taken = || format!("{max} clients are connected already: try again when one has left");
        Arc::clone(places).try_acquire_owned().map_err(|_| taken())
    }
}

/// Serves clients until the task is dropped. Errors of one client concern no other.
pub async fn serve<S: Service>(listener: UnixListener, service: Arc<S>, admitted: Admitted) {
    let places = Places::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: wait for clients to leave.
                say(format_args!("the control socket accepts nobody for a second: {error}"));
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let admitted = admitted.access(&stream).and_then(|access| Ok((access, places.take(access)?)));
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            let (input, output) = stream_halves(stream);
            let mut client = Connection { input, output };
            // A client that leaves in the middle is no event.
            let _ = match admitted {
                Err(message) => client.send(&Reply::Error { message }).await,
                Ok((access, _place)) => client.converse(&service, access).await,
            };
        });
    }
}

fn stream_halves(stream: UnixStream) -> (BufReader<OwnedReadHalf>, OwnedWriteHalf) {
    let (input, output) = stream.into_split();
    (BufReader::new(input), output)
}

struct Connection {
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
}

/// What a client said.
enum Said {
    Request(Request),
    Nonsense(String),
    TooLong,
    Nothing,
}

impl Connection {
    async fn converse<S: Service>(&mut self, service: &Arc<S>, access: Access) -> io::Result<()> {
        loop {
            match self.hear(access, READER_PATIENCE).await? {
                Said::Nothing => return Ok(()),
                Said::TooLong if access == Access::Status => {
                    return self.send(&Reply::Error { message: ONLY_STATUS.into() }).await;
                }
                Said::TooLong => {
                    let message =
                        format!("the request is longer than {REQUEST_MAX} bytes: push fewer or shorter files");
                    return self.send(&Reply::Error { message }).await;
                }
                Said::Nonsense(message) => self.send(&Reply::Error { message }).await?,
                Said::Request(request) if access == Access::Status && !request.is_status() => {
                    self.send(&Reply::Error { message: ONLY_STATUS.into() }).await?;
                }
                Said::Request(request) => {
                    let answerer = Arc::clone(service);
                    match tokio::task::spawn_blocking(move || answerer.answer(request, access)).await {
                        Ok(Answer::Reply(reply)) => self.send(&reply).await?,
                        Ok(Answer::Events { follow }) => self.tell(service.journal(), follow).await?,
                        Err(error) => {
                            let message = format!(
                                "the daemon failed on this request: {error}\nThis is a defect: please report it."
                            );
                            self.send(&Reply::Error { message }).await?;
                        }
                    }
                }
            }
        }
    }

    /// The next request; of one that may only read the status, only a short one, and within `patience`.
    async fn hear(&mut self, access: Access, patience: Duration) -> io::Result<Said> {
        match access {
            Access::Full => self.listen(REQUEST_MAX).await,
            Access::Status => timeout(patience, self.listen(READER_REQUEST_MAX)).await.unwrap_or(Ok(Said::Nothing)),
        }
    }

    async fn listen(&mut self, max: usize) -> io::Result<Said> {
        let mut line = Vec::new();
        (&mut self.input).take(max as u64).read_until(b'\n', &mut line).await?;
        if line.pop_if(|last| *last == b'\n').is_none() {
            return Ok(if line.len() == max { Said::TooLong } else { Said::Nothing });
        }
        Ok(match serde_json::from_slice(&line) {
            Ok(request) => Said::Request(request),
            Err(error) => Said::Nonsense(format!("this is no request: {error}")),
        })
    }

    /// Sends the recent events, and with `follow` what comes until the client leaves or cannot keep up.
    async fn tell(&mut self, journal: &Journal, follow: bool) -> io::Result<()> {
        if !follow {
            self.send(&Reply::Listening).await?;
            self.send_events(&journal.recent()).await?;
            return self.send(&Reply::End).await;
        }
        let Follower { recent, mut coming, mut last } = journal.follow();
        self.send(&Reply::Listening).await?;
        self.send_events(&recent).await?;
        drop(recent);
        let mut batch = Vec::with_capacity(BATCH);
        let mut nothing = [0];
        loop {
            let count = tokio::select! {
                count = coming.recv_many(&mut batch, BATCH) => count,
                // Whatever a follower says, it ends the stream.
                _ = self.input.read(&mut nothing) => return Ok(()),
            };
            if count == 0 {
                return self.send(&Reply::TooSlow { unsent: journal.seq().saturating_sub(last) }).await;
            }
            last = batch.last().map_or(last, |event| event.seq);
            self.send_events(&batch).await?;
            batch.clear();
        }
    }

    async fn send_events(&mut self, events: &[Entry]) -> io::Result<()> {
        for events in events.chunks(BATCH) {
            let mut text = String::new();
            for event in events {
                // As `Reply::Event` serialises, without parsing the line again.
                text += "{\"event\":";
                text += &event.line;
                text += "}\n";
            }
            self.write(text.as_bytes()).await?;
        }
        Ok(())
    }

    async fn send(&mut self, reply: &Reply) -> io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        self.write(&line).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.output.write_all(bytes)).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn readers_take_no_place_of_those_who_may_do_everything() {
        let places = Places::new();
        let readers: Vec<_> = (0..READERS_MAX).map(|_| places.take(Access::Status).unwrap()).collect();
        assert!(places.take(Access::Status).unwrap_err().contains("32 clients"));
        let full: Vec<_> = (0..CLIENTS_MAX).map(|_| places.take(Access::Full).unwrap()).collect();
        assert!(places.take(Access::Full).unwrap_err().contains("64 clients"));
        drop((readers, full));
        assert!(places.take(Access::Status).is_ok() && places.take(Access::Full).is_ok());
    }

    #[tokio::test]
    async fn a_reader_that_says_nothing_is_not_waited_for() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let (input, output) = stream_halves(here);
        let mut connection = Connection { input, output };
        let soon = Duration::from_millis(1);
        assert!(matches!(connection.hear(Access::Status, soon).await.unwrap(), Said::Nothing));
        there.write_all(b"{\"command\":\"status\"}\n").await.unwrap();
        assert!(matches!(connection.hear(Access::Status, PATIENCE).await.unwrap(), Said::Request(Request::Status)));
        there.write_all(&[b' '; READER_REQUEST_MAX]).await.unwrap();
        assert!(matches!(connection.hear(Access::Status, PATIENCE).await.unwrap(), Said::TooLong));
        there.write_all(&[b' '; READER_REQUEST_MAX]).await.unwrap();
        there.write_all(b"{\"command\":\"status\"}\n").await.unwrap();
        assert!(matches!(connection.hear(Access::Full, soon).await.unwrap(), Said::Request(Request::Status)));
    }
}

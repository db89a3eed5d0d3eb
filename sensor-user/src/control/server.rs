//! The daemon's end of the control socket.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    time::timeout,
};

use super::{
    admission::{Access, Admitted},
    protocol::{REQUEST_MAX, Reply, Request},
};
use crate::{
    daemon::journal::{Entry, Follower, Journal},
    log::say,
};

/// How many clients are served at once; the next is told so.
pub const CLIENTS_MAX: usize = 64;
/// How long a client may leave a reply unread.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many events are sent at once.
const BATCH: usize = 256;

/// What the server needs of the daemon.
pub trait Service: Send + Sync + 'static {
    /// What to answer. May take long: it is called on a thread of its own.
    fn answer(&self, request: Request) -> Answer;
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

/// Serves clients until the task is dropped. Errors of one client concern no other.
pub async fn serve<S: Service>(listener: UnixListener, service: Arc<S>, admitted: Admitted) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
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
        let place = Arc::clone(&places).try_acquire_owned();
        let access = match (&place, admitted.access(&stream)) {
            (Err(_), Ok(_)) => Err(format!("{CLIENTS_MAX} clients are connected already: try again when one has left")),
            (_, access) => access,
        };
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            let (input, output) = stream_halves(stream);
            let mut client = Connection { input, output };
            // A client that leaves in the middle is no event.
            let _ = match access {
                Err(message) => client.send(&Reply::Error { message }).await,
                Ok(access) => client.converse(&service, access).await,
            };
            drop(place);
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
            match self.listen().await? {
                Said::Nothing => return Ok(()),
                Said::TooLong => {
                    let message =
                        format!("the request is longer than {REQUEST_MAX} bytes: push fewer or shorter files");
                    return self.send(&Reply::Error { message }).await;
                }
                Said::Nonsense(message) => self.send(&Reply::Error { message }).await?,
                Said::Request(request) if access == Access::Status && !request.is_status() => {
                    let message = "you may only read the status: everything else is for root; try with sudo".into();
                    self.send(&Reply::Error { message }).await?;
                }
                Said::Request(request) => {
                    let answerer = Arc::clone(service);
                    match tokio::task::spawn_blocking(move || answerer.answer(request)).await {
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

    async fn listen(&mut self) -> io::Result<Said> {
        let mut line = Vec::new();
        let limit = REQUEST_MAX as u64;
        (&mut self.input).take(limit).read_until(b'\n', &mut line).await?;
        if line.pop_if(|last| *last == b'\n').is_none() {
            return Ok(if line.len() == REQUEST_MAX { Said::TooLong } else { Said::Nothing });
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

//! HTTP for Prometheus, on a unix socket and on loopback. It answers `GET /metrics` and nothing else.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
};

use crate::log::say;

/// How many scrapes are served at once; the next one waits.
const SCRAPES_MAX: usize = 4;
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a scrape may take in all.
const LIMIT: Duration = Duration::from_mins(1);

/// What is served: the text of the figures now, or why there is none. It may block.
pub type Text = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Where scrapes come from.
pub trait Listen {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listen for UnixListener {
    type Stream = tokio::net::UnixStream;
    async fn next(&self) -> io::Result<Self::Stream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Listen for TcpListener {
    type Stream = tokio::net::TcpStream;
    async fn next(&self) -> io::Result<Self::Stream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// How long it takes until an address is tried again that cannot be had.
pub const AGAIN: Duration = Duration::from_secs(10);

/// Serves at `address` until the task is dropped. While it cannot be had, as when another process has the
/// port, `trouble` is told why, each time after `again`: whoever takes a port must not keep the sensor from
/// its work.
pub async fn serve_at(address: SocketAddr, text: Text, again: Duration, trouble: impl Fn(Option<String>) + Send) {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                trouble(None);
                return serve(listener, text).await;
            }
            Err(error) => trouble(Some(format!(
                "the metrics cannot be served on {address}, and it is tried again every {} s: {error}; see who has it \
                 (`ss -ltnp`), or choose another address with --metrics-listen",
                again.as_secs()
            ))),
        }
        tokio::time::sleep(again).await;
    }
}

/// Serves until the task is dropped. Errors of one client concern no other.
pub async fn serve(listener: impl Listen, text: Text) {
    let places = Arc::new(Semaphore::new(SCRAPES_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let stream = match listener.next().await {
            Ok(stream) => stream,
            Err(error) => {
                say(format_args!("the metrics are served to nobody for a second: {error}"));
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let text = Arc::clone(&text);
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(request, Arc::clone(&text)));
            let connection = http1::Builder::new()
                .keep_alive(false)
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), answer);
            // A client that leaves in the middle is no event.
            let _ = tokio::time::timeout(LIMIT, connection).await;
            drop(place);
        });
    }
}

async fn answer(request: Request<Incoming>, text: Text) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => match tokio::task::spawn_blocking(move || text()).await {
            Ok(Ok(text)) => (StatusCode::OK, prometheus::TEXT_FORMAT, text),
            Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error}\n")),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("the daemon failed: {error}\n")),
        },
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, PLAIN, "only /metrics is here\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    Ok(response)
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// The address `text`, where it is on loopback.
///
/// # Errors
/// When it is no address, or others could reach it: the figures say what this host is watched for.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|error| format!("{error}; an address with a port is wanted, such as 127.0.0.1:9781"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("only loopback, such as 127.0.0.1:9781: what this host is watched for is not for the network; put a proxy \
             with authentication before it"
            .into())
    }
}

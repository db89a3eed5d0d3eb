//! The daemon: start, loop, clean stop.
//!
//! | Part | Is |
//! |---|---|
//! | [`engine`] | what is needed of the kernel side |
//! | [`core`] | generations and questions, without the loop |
//! | [`journal`] | events: history, followers, [`sink`]s |
//! | [`ring`] | from the ring buffer to the journal |
//! | [`manager`] | what systemd is told |
//! | [`lock`] | one daemon at a time |

pub mod core;
pub mod engine;
pub mod journal;
pub mod lock;
pub mod manager;
pub mod ring;
pub mod sink;

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use aya::maps::{MapData, RingBuf};
use sensor_rules::Source;
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
};

use self::{
    core::{Core, Permits},
    journal::Journal,
    lock::Lock,
    ring::Ring,
    sink::Sink,
};
use crate::{
    control::{
        admission::Admitted,
        server::{self, Service},
    },
    kernel::{self, Sensor},
    log::say,
    metrics, sources,
};

/// How long a clean stop waits for requests under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a daemon is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the first rules; without it nothing is judged until the first push.
    pub rules: Option<PathBuf>,
    /// Where to listen.
    pub socket: PathBuf,
    /// The group whose members may read status and metrics.
    pub group: Option<u32>,
    /// Where Prometheus finds the figures, on a unix socket.
    pub metrics: PathBuf,
    /// Where else, on loopback.
    pub metrics_listen: Option<SocketAddr>,
    /// Where events are written; `-` is standard output.
    pub events: Vec<PathBuf>,
    /// What is permitted.
    pub permits: Permits,
    /// For the kernel side.
    pub kernel: kernel::Options,
}

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: another one runs, the first rules are refused, the kernel lacks something.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let directory = options.socket.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("the directory {} cannot be made", directory.display()))?;
        if let Some(group) = options.group {
            let_pass(directory, group)
                .with_context(|| format!("group {group} cannot be let into the directory {}", directory.display()))?;
        }
    }
    let _lock = Lock::take(&options.socket.with_extension("lock"))?;
    // Bad rules are refused before the kernel is touched.
    let first = options.rules.as_deref().map(first_rules).transpose()?;
    let sinks = options.events.iter().map(|path| Sink::open(path)).collect::<anyhow::Result<_>>()?;
    let mode = options.kernel.mode;
    for warning in options.permits.warnings(mode) {
        say(format_args!("WARNING: {warning}"));
    }
    // Never enforce in words only.
    let enforce = options.kernel.enforce && mode.can_enforce();
    let mut sensor = Sensor::start(&kernel::Options { enforce, ..options.kernel.clone() })
        .context("the sensor could not be loaded; `creance doctor` shows what this kernel offers")?;
    let ring_buffer = sensor.take_events()?;
    let core = Arc::new(Core::new(sensor, Journal::new(sinks), mode, options.permits));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let result = runtime.block_on(watch(options, ring_buffer, &core, first));
    // Ends all conversations, so that the core is ours again.
    runtime.shutdown_timeout(PATIENCE);
    let mut ring_buffer = result?;
    let core = Arc::into_inner(core).context("a request did not end within 5 s; stopped without waiting for it")?;
    let journal = core.stop();
    ring::drain(&mut ring_buffer, &journal);
    journal.close();
    Ok(())
}

/// Lets a group through a directory that only root could enter; one that others may enter is left alone.
fn let_pass(directory: &Path, group: u32) -> io::Result<()> {
    if fs::metadata(directory)?.permissions().mode() & 0o001 != 0 {
        return Ok(());
    }
    chown(directory, None, Some(group))?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o710))
}

/// The first rules, checked.
fn first_rules(directory: &Path) -> anyhow::Result<Vec<Source>> {
    let sources = sources::read(&[directory])?;
    sensor_rules::check(&sources, sensor_rules::Options::default())
        .map_err(|diagnostics| anyhow::anyhow!("{diagnostics}"))
        .context("the first rules are refused")?;
    Ok(sources)
}

/// Serves until a signal comes; gives the ring buffer back.
async fn watch(
    options: &Options,
    ring_buffer: RingBuf<MapData>,
    core: &Arc<Core<Sensor>>,
    first: Option<Vec<Source>>,
) -> anyhow::Result<RingBuf<MapData>> {
    // Before anything can happen that a signal must undo.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut ring = Ring::new(ring_buffer)?;
    if let Some(sources) = first {
        match core.push(&sources, false) {
            Ok(pushed) => {
                say(format_args!("generation {} is in force: {} rules", pushed.generation, pushed.rules));
                pushed.unseen.iter().for_each(|unseen| say(format_args!("WARNING: not seen here: {unseen}")));
            }
            Err(refused) => bail!("the first rules are refused:\n{}", refused.message),
        }
    }
    let Socket { listener, path: _unlinked_at_the_end } = Socket::bind(&options.socket, options.group)?;
    let admitted = Admitted::users([0, effective_user()]).readers(options.group);
    let _server = tokio::spawn(server::serve(listener, Arc::clone(core), admitted));
    let _metrics = serve_metrics(options, core).await?;
    let _watchdog = tokio::spawn(manager::watchdog(Arc::clone(core)));
    manager::ready();
    say(format_args!("ready, listening on {}", options.socket.display()));
    tokio::select! {
        result = ring.pump(core.journal()) => result?,
        _ = terminate.recv() => say("SIGTERM: stopping"),
        _ = interrupt.recv() => say("SIGINT: stopping"),
    }
    manager::stopping();
    Ok(ring.into_inner())
}

/// Serves the figures; the socket's file goes with what is returned.
async fn serve_metrics(options: &Options, core: &Arc<Core<Sensor>>) -> anyhow::Result<Unlink> {
    let text = metrics::of(Arc::clone(core));
    let Socket { listener, path } = Socket::bind(&options.metrics, options.group)?;
    tokio::spawn(metrics::server::serve(listener, Arc::clone(&text)));
    if let Some(address) = options.metrics_listen {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("the metrics cannot be served on {address}"))?;
        tokio::spawn(metrics::server::serve(listener, text));
    }
    Ok(path)
}

/// A unix socket for root, and for a group; the file goes with it.
struct Socket {
    listener: UnixListener,
    path: Unlink,
}

impl Socket {
    /// Listens at `path`. What a daemon that was killed left there is removed: the lock says that it is gone.
    fn bind(path: &Path, group: Option<u32>) -> anyhow::Result<Self> {
        let context = || format!("the socket {} cannot be made", path.display());
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(context),
            _ => {}
        }
        let listener = UnixListener::bind(path).with_context(context)?;
        let path = Unlink(path.to_owned());
        let mode = if group.is_some() { 0o660 } else { 0o600 };
        chown(&path.0, None, group).with_context(context)?;
        fs::set_permissions(&path.0, fs::Permissions::from_mode(mode)).with_context(context)?;
        Ok(Self { listener, path })
    }
}

/// Removes a file in the end.
struct Unlink(PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn effective_user() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

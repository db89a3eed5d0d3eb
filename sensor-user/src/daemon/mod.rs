//! The daemon: start, loop, clean stop.
//!
//! | Room | Owns |
//! |---|---|
//! | [`core`] | the daemon's state, without its loop |
//! | [`generations`] | what is in force, what may come into force, what is kept on disk |
//! | [`events`] | events: from the ring buffer to sinks and followers |
//! | [`brakes`] | heartbeat, lifeline, and what is reported of the brakes |
//! | [`service`] | the control socket: who may ask, what is answered |
//! | [`fleet`] | the host in its fleet: releases from a repository |
//! | [`confine`] | what the daemon gives up after its start |
//! | `options`, [`lock`], `signals`, `reload`, [`systemd`] | start and stop |
//! | [`fault`] | faults on purpose, in a build for tests |

pub mod brakes;
pub mod confine;
pub mod core;
pub mod events;
pub mod fault;
pub mod fleet;
pub mod generations;
pub mod lock;
mod options;
mod reload;
pub mod service;
mod signals;
pub mod systemd;

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use aya::maps::{MapData, RingBuf};
use sensor_rules::Source;
use tokio::{
    net::{UnixListener, UnixSocket},
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};

pub use options::Options;

use self::{
    brakes::{lifeline::Lifeline, process_scan::ProcessScan},
    core::Core,
    events::{journal::Journal, ring::Ring, sink::Sink},
    generations::{keeper::Keeper, rule_archive::RuleArchive},
    lock::Lock,
    service::{admission::Admitted, server},
};
use crate::{
    daemon::{brakes::heartbeat, generations::options::PushOptions, service::figures},
    event::Clock,
    kernel::{Events, Sensor, engine::Engine},
    log::say,
    metrics::{self, server::AGAIN},
    rule_files,
};

/// How long a clean stop waits for requests under way.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many that want to connect may wait.
const WAITING: u32 = 1024;

/// Runs the daemon until SIGTERM or SIGINT, which leave nothing in force, or SIGUSR2, which leaves everything
/// to the next daemon.
///
/// # Errors
/// When it cannot start: another one runs, the first rules are refused, the kernel lacks something.
pub fn run(options: &Options) -> anyhow::Result<()> {
    signals::endure();
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
    let lifeline = Lifeline::new(options.lifeline.as_deref())?;
    let mode = options.kernel.mode;
    for warning in options.permits.warnings(mode) {
        say(format_args!("WARNING: {warning}"));
    }
    let mut sensor = Sensor::start(&options.kernel)
        .context("the sensor could not be loaded; `creance doctor` shows what this kernel offers")?;
    let events = sensor.take_events()?;
    // Only the group of a socket is not the daemon's own, so both are made before it gives its rights up.
    let sockets = Sockets {
        control: Socket::bind(&options.socket, options.group)?,
        metrics: Socket::bind(&options.metrics, options.group)?,
    };
    let lifeline = lifeline.seen_by(ProcessScan::start()?);
    let confinement = confine::daemon(mode, &options.writable()?, Some(&options.kernel.pin_dir));
    say(format_args!("confined: {confinement}"));
    // From here on there may be threads.
    let sinks = options.events.iter().map(|path| Sink::open(path, options.rotation)).collect::<io::Result<_>>()?;
    let archive = RuleArchive::open(options.socket.with_file_name("generations"))?;
    let first = match (first, &options.content) {
        (None, None) => inherited(&sensor, &archive)?,
        (first, _) => first,
    };
    let journal = Journal::new(sinks).going_on(events.numbers);
    let core = Core::new(sensor, journal, mode, options.permits).with_archive(archive).confined(confinement);
    let core = Arc::new(match &options.content {
        Some(settings) => core.keeping(Keeper::open(settings.clone())?),
        None => core,
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let result = runtime.block_on(watch(options, events, &core, first, lifeline, sockets));
    if result.is_ok() {
        // First, because work in progress may outlast the time that the caller grants for a stop.
        core.fleet().end();
    }
    // Ends all conversations. What waits for a server, or for a bundle's tests, is not waited for: it ends
    // with this process.
    runtime.shutdown_timeout(PATIENCE);
    let (mut ring_buffer, end) = result?;
    core.stop(end == End::Stop);
    events::ring::drain(&mut ring_buffer, core.journal());
    core.journal().close();
    Ok(())
}

/// How often the generations are looked after.
const TICK: Duration = Duration::from_secs(5);

/// How often a candidate in the shadow is.
const LOOK: Duration = Duration::from_millis(500);
/// How often what stands in the kernel is read back, and what is missing there is tried again.
const READ_BACK: Duration = Duration::from_secs(1);

/// Looks after the generations.
async fn tend<E: Engine>(core: Arc<Core<E>>, every: Duration, look: fn(&Core<E>)) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let core = Arc::clone(&core);
        // One that panicked has said so; the next may do better.
        let _ = tokio::task::spawn_blocking(move || look(&core)).await;
    }
}

/// Lets a group through a directory that only root could enter; one that others may enter is left alone.
fn let_pass(directory: &Path, group: u32) -> io::Result<()> {
    if fs::metadata(directory)?.permissions().mode() & 0o001 != 0 {
        return Ok(());
    }
    chown(directory, None, Some(group))?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o710))
}

/// How the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With nothing in force.
    Stop,
    /// With everything in force, for the next daemon.
    HandOver,
}

/// The rules that another version of the sensor has in force, to go on with.
fn inherited(sensor: &Sensor, archive: &RuleArchive) -> anyhow::Result<Option<Vec<Source>>> {
    if sensor.adopted() || !sensor.has_others() {
        return Ok(None);
    }
    let Some(last) = archive.last() else { return Ok(None) };
    say(format_args!("another version of the sensor is in force: its generation {last} goes on in this one"));
    Ok(archive.sources(last)?.map(|(sources, _)| sources))
}

/// The first rules, checked.
fn first_rules(directory: &Path) -> anyhow::Result<Vec<Source>> {
    let sources = rule_files::read(&[directory])?;
    sensor_rules::check(&sources, sensor_rules::Options::default())
        .map_err(|diagnostics| anyhow::anyhow!("{diagnostics}"))
        .context("the first rules are refused")?;
    Ok(sources)
}

/// Serves until a signal comes; gives the ring buffer back, and says how to end.
async fn watch(
    options: &Options,
    events: Events,
    core: &Arc<Core<Sensor>>,
    first: Option<Vec<Source>>,
    lifeline: Lifeline,
    sockets: Sockets,
) -> anyhow::Result<(RingBuf<MapData>, End)> {
    // Before anything can happen that a signal must undo.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hand_over = signal(SignalKind::user_defined2())?;
    let hangup = signal(SignalKind::hangup())?;
    let mut ring = Ring::new(events.buffer)?;
    // Before the first rule can block.
    let off_file = heartbeat::read_file(core, &options.off_file)?;
    let mut lifeline = core.monitor().go_on_with(lifeline)?;
    core.monitor().look_after(&mut lifeline)?;
    core.start_enforcing(options.enforce)?;
    let mut heartbeat = tokio::spawn(heartbeat::beat(Arc::clone(core), lifeline));
    let mut switch = tokio::spawn(heartbeat::obey_file(Arc::clone(core), off_file));
    if let Some(sources) = first {
        let pushing = Arc::clone(core);
        match tokio::task::spawn_blocking(move || pushing.push(&sources, PushOptions::AT_ONCE)).await? {
            Ok(pushed) => {
                say(format_args!("generation {} is in force: {} rules", pushed.generation, pushed.rules));
                pushed.unseen.iter().for_each(|unseen| say(format_args!("WARNING: not seen here: {unseen}")));
            }
            Err(refused) => bail!("the first rules are refused:\n{}", refused.message),
        }
    }
    if options.content.is_some() {
        let starting = Arc::clone(core);
        tokio::task::spawn_blocking(move || starting.generations().start()).await?;
        tokio::spawn(fleet::follow(Arc::clone(core)));
        tokio::spawn(tend(Arc::clone(core), TICK, |core| core.generations().tick()));
        tokio::spawn(tend(Arc::clone(core), LOOK, |core| core.generations().look_at_shadow()));
    }
    tokio::spawn(tend(Arc::clone(core), READ_BACK, Core::attach_missing));
    tokio::spawn(tend(Arc::clone(core), READ_BACK, Core::look_for_meddling));
    tokio::spawn(events::flood::look_out(Arc::clone(core), events::flood::begin(core)));
    core.with_engine(|sensor| {
        sensor.replace_others(|record| core.journal().accept(record, Clock::now()))?;
        sensor.number_from(core.journal().seq(), events.numbers.taken)
    })?;
    let (listener, _unlinked_at_the_end) = sockets.control.listen()?;
    let admitted = Admitted::users([0, effective_user()]).readers(options.group);
    let _server = tokio::spawn(server::serve(listener, Arc::clone(core), admitted));
    let _metrics = serve_metrics(options, core, sockets.metrics)?;
    let _watchdog = tokio::spawn(systemd::watchdog(Arc::clone(core)));
    let _reader = tokio::spawn(reload::by_order(Arc::clone(core), hangup, options.rules.clone()));
    systemd::ready();
    say(format_args!("ready, listening on {}", options.socket.display()));
    let end = tokio::select! {
        result = ring.pump(core.journal()) => {
            result?;
            End::HandOver
        }
        result = &mut heartbeat => {
            result?.context("the heartbeat stopped")?;
            End::HandOver
        }
        result = &mut switch => {
            result?.context("the file that turns blocking off cannot be watched")?;
            End::HandOver
        }
        _ = terminate.recv() => said(End::Stop, "SIGTERM: stopping, nothing stays in force"),
        _ = interrupt.recv() => said(End::Stop, "SIGINT: stopping, nothing stays in force"),
        _ = hand_over.recv() => said(End::HandOver, "SIGUSR2: leaving everything in force to the next daemon"),
    };
    systemd::stopping();
    Ok((ring.into_inner(), end))
}

/// Serves the figures; the socket's file goes with what is returned.
fn serve_metrics(options: &Options, core: &Arc<Core<Sensor>>, socket: Socket) -> anyhow::Result<Unlink> {
    let text = figures::of(core);
    let (listener, path) = socket.listen()?;
    tokio::spawn(metrics::server::serve(listener, Arc::clone(&text)));
    if let Some(address) = options.metrics_listen {
        let core = Arc::clone(core);
        tokio::spawn(metrics::server::serve_at(address, text, AGAIN, move |trouble| core.unserved(trouble)));
    }
    Ok(path)
}

fn said(end: End, words: &str) -> End {
    say(words);
    end
}

/// The sockets of a daemon.
struct Sockets {
    control: Socket,
    metrics: Socket,
}

/// A unix socket for root, and for a group; the file goes with it. Nobody can connect before it listens.
struct Socket {
    socket: UnixSocket,
    path: Unlink,
}

impl Socket {
    /// Makes the socket at `path`. What a daemon that was killed left there is removed: the lock says that it is gone.
    fn bind(path: &Path, group: Option<u32>) -> anyhow::Result<Self> {
        let context = || format!("the socket {} cannot be made", path.display());
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(context),
            _ => {}
        }
        let socket = UnixSocket::new_stream().with_context(context)?;
        socket.bind(path).with_context(context)?;
        let path = Unlink(path.to_owned());
        let mode = if group.is_some() { 0o660 } else { 0o600 };
        chown(&path.0, None, group).with_context(context)?;
        fs::set_permissions(&path.0, fs::Permissions::from_mode(mode)).with_context(context)?;
        Ok(Self { socket, path })
    }

    /// Lets others connect. Needs a running runtime.
    fn listen(self) -> anyhow::Result<(UnixListener, Unlink)> {
        let Self { socket, path } = self;
        let listener = socket.listen(WAITING).with_context(|| format!("nobody can listen on {}", path.0.display()))?;
        Ok((listener, path))
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

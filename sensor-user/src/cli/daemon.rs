//! `creance daemon`: run the sensor.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::Args;

use super::done::Done;
use crate::{
    control,
    daemon::{self, brakes::switch::OFF_FILE, core::Permits, events::rotation::Rotation, service::admission},
    host::{places, settings::Settings},
    kernel::{
        self, WhenGone,
        probe::{self, Mode},
    },
    metrics,
};

/// Run the sensor until SIGTERM or SIGINT. SIGUSR2 ends it and leaves everything in force to the next daemon. SIGHUP
/// reopens the event files, and rereads the host policy and the rules directory
#[derive(Args, Debug)]
pub struct Daemon {
    /// Directory of the rules to start with; without it the sensor judges nothing until the first push
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Keep generations in this directory, take signed bundles, and start with the last good generation
    #[arg(long, value_name = "DIR", conflicts_with = "rules")]
    state: Option<PathBuf>,
    /// Directory of the host policy and keys: content.toml, keys/, approvals/, safe-mode
    #[arg(long, value_name = "DIR", default_value = places::CONFIGURATION)]
    config: PathBuf,
    /// Time in force after which a generation has settled, seconds
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    settle: u64,
    /// Time after boot when the host counts as up, and the generation on probation is tried again, seconds
    #[arg(long, value_name = "SECONDS", default_value = "120")]
    up: u64,
    /// Carry out verdicts to block, quarantine and kill; without it the sensor only reports them
    #[arg(long)]
    enforce: bool,
    /// Append events to this file, one JSON object per line; - is standard output; repeatable
    #[arg(long, value_name = "FILE")]
    events: Vec<PathBuf>,
    /// Rotate an event file to FILE.1 before it exceeds this size, bytes; 0: never
    #[arg(long, value_name = "BYTES", default_value = "0", overrides_with = "rotate_size")]
    rotate_size: u64,
    /// Rotate an event file at this age, seconds; 0: never
    #[arg(long, value_name = "SECONDS", default_value = "0", overrides_with = "rotate_age")]
    rotate_age: u64,
    /// Number of rotated files to keep
    #[arg(long, value_name = "N", default_value = "7", overrides_with = "rotate_keep")]
    rotate_keep: NonZeroU32,
    /// Socket to listen on for the other commands
    #[arg(long, value_name = "PATH", default_value = control::SOCKET)]
    socket: PathBuf,
    /// Members of this group may read status and metrics; only root may do anything else
    #[arg(long, value_name = "NAME", value_parser = group)]
    group: Option<u32>,
    /// Unix socket that serves metrics to Prometheus (`GET /metrics`); without it, metrics.sock beside
    /// the control socket
    #[arg(long, value_name = "PATH")]
    metrics: Option<PathBuf>,
    /// Serve metrics on this loopback address too, such as 127.0.0.1:9781
    #[arg(long, value_name = "ADDRESS", value_parser = metrics::server::loopback)]
    metrics_listen: Option<SocketAddr>,
    /// Directory on bpffs for the maps that hooks and rules share
    #[arg(long, value_name = "PATH", default_value = "/sys/fs/bpf/creance")]
    pin_dir: PathBuf,
    /// Size of the ring buffer from the kernel to the daemon, bytes: a power of two, at least 4096
    #[arg(long, value_name = "BYTES", default_value = "4194304", value_parser = ring_size)]
    ring_size: u32,
    /// How to attach hooks: lsm, modify-return, observe or tracepoints; without it the strongest that this kernel
    /// permits
    #[arg(long, value_name = "MODE", value_parser = mode)]
    mode: Option<Mode>,
    /// How often one rule may report one process in a second. The sensor judges, acts on and counts further matches,
    /// but does not report them. 0: no limit
    #[arg(long, value_name = "N", default_value = "100")]
    report_limit: u32,
    /// File with executables to put on the lifeline beside the login path, an absolute path on each line: never blocked
    /// or killed
    #[arg(long, value_name = "FILE")]
    lifeline: Option<PathBuf>,
    /// Time without a heartbeat of the daemon after which nothing is blocked, seconds; 0: never
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    heartbeat_limit: u64,
    /// What happens to rules in force when the daemon is gone and none comes back: keep them, held back by
    /// the heartbeat limit, or detach them
    #[arg(long, value_name = "WHAT", default_value = "keep")]
    when_gone: WhenGone,
    /// While this file exists, nothing is blocked
    #[arg(long, value_name = "PATH", default_value = OFF_FILE)]
    off_file: PathBuf,
    /// For tests: let `creance push --skip-checks` skip the checks of fields
    #[arg(long)]
    allow_skip_checks: bool,
}

impl Daemon {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        daemon::run(&daemon::Options {
            content: self.state.map(|state| Settings::new(state, &self.config, self.settle, self.up)).transpose()?,
            rules: self.rules,
            group: self.group,
            metrics: self.metrics.unwrap_or_else(|| self.socket.with_file_name("metrics.sock")),
            metrics_listen: self.metrics_listen,
            socket: self.socket,
            events: self.events,
            rotation: Rotation {
                size: Some(self.rotate_size).filter(|bytes| *bytes > 0),
                age: Some(self.rotate_age).filter(|seconds| *seconds > 0).map(Duration::from_secs),
                keep: self.rotate_keep,
            },
            permits: Permits { skip_checks: self.allow_skip_checks },
            enforce: self.enforce,
            lifeline: self.lifeline,
            off_file: self.off_file,
            kernel: kernel::Options {
                mode: self.mode.unwrap_or_else(probe::mode),
                pin_dir: self.pin_dir,
                ring_bytes: self.ring_size,
                patience: Duration::from_secs(self.heartbeat_limit),
                when_gone: self.when_gone,
                reports: self.report_limit,
            },
        })?;
        Ok(Done::Well)
    }
}

fn group(name: &str) -> Result<u32, String> {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    admission::group_id(&groups, name)
}

fn mode(name: &str) -> Result<Mode, String> {
    Mode::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Mode::ALL.iter().map(|mode| mode.name()).collect();
        format!("there are the modes {}", names.join(", "))
    })
}

fn ring_size(text: &str) -> Result<u32, String> {
    let bytes: u32 = text.parse().map_err(|error| format!("{error}"))?;
    if bytes.is_power_of_two() && bytes >= 4096 {
        Ok(bytes)
    } else {
        Err("the kernel takes powers of two from 4096 on, such as 4194304".into())
    }
}

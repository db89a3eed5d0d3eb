//! `creance daemon`: run the sensor.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::Done;
use crate::{
    control,
    daemon::{self, core::Permits, switch::OFF_FILE},
    kernel,
};

/// Run the sensor until SIGTERM or SIGINT
#[derive(Args, Debug)]
pub struct Daemon {
    /// Directory of the first rules; without it nothing is judged until the first push
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Carry verdicts to block and kill out; without it they are only reported
    #[arg(long)]
    enforce: bool,
    /// Append events to this file, one JSON object per line; - is standard output; may be given several times
    #[arg(long, value_name = "FILE")]
    events: Vec<PathBuf>,
    /// Where to listen for the other commands
    #[arg(long, value_name = "PATH", default_value = control::SOCKET)]
    socket: PathBuf,
    /// Directory on bpffs for the maps that hooks and rules share
    #[arg(long, value_name = "PATH", default_value = "/sys/fs/bpf/creance")]
    pin_dir: PathBuf,
    /// Size of the ring buffer from the kernel to the daemon, bytes: a power of two, at least 4096
    #[arg(long, value_name = "BYTES", default_value = "4194304", value_parser = ring_size)]
    ring_size: u32,
    /// File with executables, an absolute path on each line, that are never blocked or killed, besides the login path
    #[arg(long, value_name = "FILE")]
    lifeline: Option<PathBuf>,
    /// How long the daemon may give no sign of life before nothing is blocked any more, seconds; 0: for ever
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    heartbeat_limit: u64,
    /// While this file exists nothing is blocked
    #[arg(long, value_name = "PATH", default_value = OFF_FILE)]
    off_file: PathBuf,
    /// For tests: let `creance push --skip-checks` push rules past the checks of their fields
    #[arg(long)]
    allow_skip_checks: bool,
}

impl Daemon {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        daemon::run(&daemon::Options {
            rules: self.rules,
            socket: self.socket,
            events: self.events,
            permits: Permits { skip_checks: self.allow_skip_checks },
            enforce: self.enforce,
            lifeline: self.lifeline,
            off_file: self.off_file,
            kernel: kernel::Options {
                pin_dir: self.pin_dir,
                ring_bytes: self.ring_size,
                patience: Duration::from_secs(self.heartbeat_limit),
            },
        })?;
        Ok(Done::Well)
    }
}

fn ring_size(text: &str) -> Result<u32, String> {
    let bytes: u32 = text.parse().map_err(|error| format!("{error}"))?;
    if bytes.is_power_of_two() && bytes >= 4096 {
        Ok(bytes)
    } else {
        Err("the kernel takes powers of two from 4096 on, such as 4194304".into())
    }
}

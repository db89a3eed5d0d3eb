//! `creance quarantine`: pipes, FIFOs and unix sockets that nobody may read.

use std::io::Write;

use clap::{Args, Subcommand};

use super::{connection::Connection, done::Done};

/// Show the pipes, FIFOs and unix sockets in quarantine, or release them
#[derive(Args, Debug)]
pub struct Quarantine {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List what is in quarantine, oldest first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        daemon: Connection,
    },
    /// Release from quarantine
    Release {
        /// Inode number, as `list` shows it; 0 for sockets that were never accepted
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        inode: Option<u64>,
        /// Release everything
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        daemon: Connection,
    },
}

impl Quarantine {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        match self.command {
            What::List { json, daemon } => list(&daemon, json, out),
            What::Release { inode, daemon, .. } => release(&daemon, inode, out),
        }
    }
}

fn list(daemon: &Connection, json: bool, out: &mut impl Write) -> anyhow::Result<Done> {
    let all = daemon.open()?.quarantine()?;
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    } else if all.is_empty() {
        writeln!(out, "nothing is in quarantine")?;
    } else {
        writeln!(
            out,
            "{:<12}{:<10}{:<10}{:<32}{:<10}{:<12}rule",
            "inode", "what", "device", "since", "writer", "generation"
        )?;
        for one in all {
            let device = format!("{}:{}", one.device >> 20, one.device & 0xf_ffff);
            let since = one.since.to_string();
            write!(out, "{:<12}{:<10}{device:<10}{since:<32}", one.inode, one.container)?;
            writeln!(out, "{:<10}{:<12}{}", one.pid, one.generation, one.rule)?;
        }
    }
    Ok(Done::Well)
}

fn release(daemon: &Connection, inode: Option<u64>, out: &mut impl Write) -> anyhow::Result<Done> {
    let count = daemon.open()?.release(inode)?;
    match (count, inode) {
        (0, Some(inode)) => {
            writeln!(
                out,
                "nothing with inode number {inode} is in quarantine: `creance quarantine list` shows what is"
            )?;
            return Ok(Done::Badly);
        }
        (1, _) => writeln!(out, "1 can be read again")?,
        _ => writeln!(out, "{count} can be read again")?,
    }
    Ok(Done::Well)
}

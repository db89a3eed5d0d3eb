//! How a command finds the daemon.

use std::path::PathBuf;

use clap::Args;

use crate::control::{self, Client};

/// The daemon a command talks to.
#[derive(Args, Debug)]
pub struct Connection {
    /// The daemon's control socket
    #[arg(long, value_name = "PATH", default_value = control::SOCKET)]
    socket: PathBuf,
}

impl Connection {
    /// A client of it.
    ///
    /// # Errors
    /// No daemon answers there.
    pub fn open(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(&self.socket)?)
    }
}

//! `creance rollback`: back to the generation before.

use std::io::Write;

use clap::Args;

use super::{Connection, Done, push};
use crate::control::client;

/// Return to the generation before: one write in the kernel, nothing is compiled
#[derive(Args, Debug)]
pub struct Rollback {
    #[command(flatten)]
    daemon: Connection,
}

impl Rollback {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        match self.daemon.open()?.rollback() {
            Ok(generation) => {
                writeln!(out, "generation {generation} is in force again")?;
                Ok(Done::Well)
            }
            Err(client::Error::Refused(refused)) => {
                push::explain(&refused);
                Ok(Done::Badly)
            }
            Err(error) => Err(error.into()),
        }
    }
}

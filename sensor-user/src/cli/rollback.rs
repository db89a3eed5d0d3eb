//! `creance rollback`: back to the generation before.

use std::io::Write;

use clap::Args;

use super::{connection::Connection, done::Done, push};
use crate::{api::status::goal, control::client};

/// Roll back to the target that `creance status` shows: the last good generation that may run here, or the baseline
#[derive(Args, Debug)]
pub struct Rollback {
    #[command(flatten)]
    daemon: Connection,
}

impl Rollback {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        match self.daemon.open()?.rollback() {
            Ok(generation) => {
                writeln!(out, "{} is in force again", goal(generation))?;
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

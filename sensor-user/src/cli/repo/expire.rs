//! `creance repo expire`: what expires when, and signing it anew.

use std::{io::Write, path::PathBuf};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use sensor_content::repository::Lifetime;

use super::{Directory, keys, open, remaining};
use crate::cli::done::Done;

/// Show when signed files expire; with keys, renew those that expire soon. Exit code 1 if something
/// expires soon and no key for it was given
#[derive(Args, Debug)]
pub struct Expire {
    /// The repository
    #[arg(value_name = "DIR")]
    repository: Directory,
    /// Hours that count as soon
    #[arg(long, value_name = "HOURS", default_value = "24")]
    within: u32,
    /// A private key that signs; repeatable
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
}

impl Expire {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let (now, within) = (Timestamp::now(), SignedDuration::from_hours(self.within.into()));
        let signers = keys::signing(&self.key)?;
        let (tree, mut metadata) = open(&self.repository)?;
        let renewed = metadata.renew(within, &signers, Lifetime::default(), now)?;
        if !renewed.is_empty() {
            tree.write(&metadata, &[])?;
        }
        let mut well = Done::Well;
        for (role, expires) in metadata.expiry() {
            let note = match expires.duration_since(now) <= within {
                _ if renewed.contains(&role) => "; signed anew",
                false => "",
                true => {
                    well = Done::Badly;
                    "; SOON: sign it with its keys (--key)"
                }
            };
            writeln!(out, "{:<10} {}{note}", role.name(), remaining(expires, now))?;
        }
        Ok(well)
    }
}

//! `creance repo rotate-keys`: other keys for a role.

use std::{io::Write, path::PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use sensor_content::repository::{Holder, Lifetime};

use super::{Directory, keys, open, show_versions};
use crate::cli::done::Done;

/// Replace the keys or the threshold of a holder, after a theft or when people leave. Hosts follow
/// by themselves
#[derive(Args, Debug)]
pub struct Rotate {
    /// The repository
    #[arg(value_name = "DIR")]
    repository: Directory,
    /// The holder whose keys to replace
    #[arg(value_name = "HOLDER")]
    holder: Whose,
    /// A key that counts from now on, public or private; repeatable. Keys not given stop counting
    #[arg(long, value_name = "FILE", required = true)]
    to: Vec<PathBuf>,
    /// Number of these keys that must sign [default: the smallest majority]
    #[arg(long, value_name = "N")]
    threshold: Option<u64>,
    /// A private key that signs; repeatable: enough old and new root keys, the online key, and enough new
    /// content keys
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Whose {
    Root,
    Content,
    Online,
}

impl Rotate {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let holder = match self.holder {
            Whose::Root => Holder::Root,
            Whose::Content => Holder::Content,
            Whose::Online => Holder::Online,
        };
        let (new, signers) = (keys::named(&self.to, self.threshold)?, keys::signing(&self.key)?);
        let (tree, mut metadata) = open(&self.repository)?;
        let (threshold, count) = (new.threshold, new.keys.len());
        metadata.rotate(holder, new, &signers, Lifetime::default(), Timestamp::now())?;
        tree.write(&metadata, &[])?;
        writeln!(out, "{}: {threshold} of {count} new keys must sign; the old ones count no more", holder.name())?;
        show_versions(out, &self.repository, &metadata)?;
        Ok(Done::Well)
    }
}

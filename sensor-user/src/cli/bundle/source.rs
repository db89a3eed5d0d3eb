//! Where bundles come from, and who must have signed them.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use sensor_content::{
    bundle::{self, Unverified},
    key::PublicKey,
};

use crate::host::{files, places};

/// Keys that count.
#[derive(Args, Debug)]
pub struct Trusted {
    /// Public key (PEM) of a trusted publisher; repeatable
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
}

impl Trusted {
    pub fn read(&self) -> anyhow::Result<Vec<PublicKey>> {
        self.keys.iter().map(|path| places::public_key(path)).collect()
    }
}

/// The bundle in a file, of unknown origin.
pub fn read(path: &Path) -> anyhow::Result<Unverified> {
    let bytes = files::read(path, bundle::BUNDLE_MAX, "bundle")?;
    Unverified::read(bytes).map_err(|error| anyhow!("{}: {error}", path.display()))
}

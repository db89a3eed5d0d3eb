//! `creance bundle diff`: what one bundle has and another has not.

use std::{io::Write, path::PathBuf};

use clap::Args;
use sensor_content::{
    bundle::{self, Engine, Unverified},
    key::PublicKey,
    printable,
};

use super::source::{Trusted, read};
use crate::cli::done::Done;

/// Show what changed from one bundle to another, even if they are for other versions of the sensor
#[derive(Args, Debug)]
pub struct Diff {
    /// The earlier bundle
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The later bundle
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
}

impl Diff {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let (old, new) = (read(&self.old)?, read(&self.new)?);
        let keys = self.trusted.read()?;
        let mut vouched = true;
        for (path, bundle) in [(&self.old, &old), (&self.new, &new)] {
            let signed = is_signed(bundle, &keys);
            vouched &= signed;
            if !signed {
                writeln!(out, "{}: UNSIGNED for you: what it says is only claimed", path.display())?;
            }
            if let Err(misfit) = bundle.fits(&Engine::here()) {
                writeln!(out, "{}: {misfit}", path.display())?;
            }
        }
        let text = if vouched { printable::escaped } else { printable::ascii };
        for line in bundle::diff(&old, &new).lines() {
            writeln!(out, "{}", text(line))?;
        }
        Ok(Done::Well)
    }
}

fn is_signed(bundle: &Unverified, keys: &[PublicKey]) -> bool {
    bundle.clone().signed_by(keys).is_ok()
}

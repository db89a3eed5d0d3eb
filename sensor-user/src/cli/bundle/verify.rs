//! `creance bundle verify`: would this sensor take the bundle, apart from its kernel?

use std::{io::Write, path::PathBuf};

use anyhow::{anyhow, ensure};
use clap::Args;
use sensor_content::bundle::{Engine, Untrue};
use sensor_rules::selftest;

use super::source::{Trusted, read};
use crate::cli::{
    check::{plural, show},
    done::Done,
};

/// Verify a bundle: made for this sensor, signed, manifest true, own tests pass
#[derive(Args, Debug)]
pub struct Verify {
    /// The bundle
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
}

impl Verify {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let keys = self.trusted.read()?;
        ensure!(!keys.is_empty(), "name the publisher's public key with --key: without it nothing can be verified");
        let bundle = read(&self.file)?;
        bundle.fits(&Engine::here())?;
        let bundle = bundle.signed_by(&keys)?;
        let rules = match bundle.rules() {
            Ok(rules) => rules,
            Err(Untrue::Content(diagnostics)) => {
                show(&diagnostics);
                return Ok(Done::Badly);
            }
            Err(error) => return Err(error.into()),
        };
        let tests =
            selftest::run(&rules).all_right().map_err(|wrong| anyhow!("its own tests fail:\n{}", wrong.join("\n")))?;
        let count = rules.rules().len();
        writeln!(
            out,
            "generation {}: made for this sensor, signed by {}, {count} rule{} as the manifest says, {tests} test{} right",
            bundle.number(),
            bundle.key().short(),
            plural(count),
            plural(tests)
        )?;
        Ok(Done::Well)
    }
}

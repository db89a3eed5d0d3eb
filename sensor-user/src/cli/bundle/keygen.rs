//! `creance bundle keygen`: a pair of keys.

use std::{fs, io::Write, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use sensor_content::key::PrivateKey;

use crate::{
    cli::done::Done,
    host::files::{self, Existing},
};

/// Make a key pair: NAME.key signs and stays secret, NAME.pub verifies
#[derive(Args, Debug)]
pub struct Keygen {
    /// Path of the files without `.key` and `.pub`; neither may exist
    #[arg(value_name = "NAME")]
    name: PathBuf,
}

impl Keygen {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let with = |end: &str| {
            let mut path = self.name.clone().into_os_string();
            path.push(end);
            PathBuf::from(path)
        };
        let (private_path, public_path) = (with(".key"), with(".pub"));
        for path in [&private_path, &public_path] {
            if fs::symlink_metadata(path).is_ok() {
                bail!("{} is there already: nothing was made; choose another name", path.display());
            }
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).context("the kernel gives no random bytes")?;
        let key = PrivateKey::from_seed(&seed);
        seed.fill(0);
        let pem = key.to_pem()?;
        // The secret half last: where it is there, both are.
        files::write(&public_path, key.public().to_pem()?.as_bytes(), 0o644, Existing::Keep)?;
        if let Err(error) = files::write(&private_path, pem.as_ref().as_bytes(), 0o600, Existing::Keep) {
            // Half a pair is worse than none. A file that another has made meanwhile is not ours to remove.
            if fs::read(&private_path).is_ok_and(|there| there == pem.as_ref().as_bytes()) {
                drop(fs::remove_file(&private_path));
            }
            drop(fs::remove_file(&public_path));
            return Err(error);
        }
        writeln!(
            out,
            "{}: keep it secret, it signs\n{}: key {}",
            private_path.display(),
            public_path.display(),
            key.public().id()
        )?;
        Ok(Done::Well)
    }
}

//! `creance repo export`: a copy for a network without a road here.

use std::{io::Write, path::PathBuf};

use clap::Args;
use jiff::Timestamp;
use sensor_content::repository::Tree;

use super::Directory;
use crate::cli::done::Done;

/// Copy the current repository to a directory, for an air gap; the copy is verified as a host would verify it
#[derive(Args, Debug)]
pub struct Export {
    /// The repository
    #[arg(value_name = "DIR")]
    repository: Directory,
    /// Directory of the copy; it must not exist
    #[arg(value_name = "TO")]
    to: PathBuf,
}

impl Export {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        anyhow::ensure!(
            self.repository.join("metadata").is_dir(),
            "{} holds no repository; `creance repo init` makes one",
            self.repository.display()
        );
        let bundles = Tree::open(&self.repository)?.export(&self.to, Timestamp::now())?;
        let to = self.to.display();
        writeln!(out, "{to}: a whole repository, {bundles} bundles; hosts take it with `address = [\"file://…\"]`")?;
        Ok(Done::Well)
    }
}

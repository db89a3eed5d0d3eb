//! `creance repo init`: a repository without content.

use std::{io::Write, path::PathBuf};

use anyhow::ensure;
use clap::Args;
use jiff::Timestamp;
use sensor_content::repository::{Founding, Lifetime, Metadata, Signers, Tree};

use super::{Directory, keys, show_versions};
use crate::cli::done::Done;

/// Make a repository. Keys come from `creance bundle keygen`. Give enough private root and content keys to sign;
/// public keys are only listed
#[derive(Args, Debug)]
pub struct Init {
    /// Directory of the new repository; a web server serves its files
    #[arg(value_name = "DIR")]
    repository: Directory,
    /// A root key, kept offline: root keys say which keys count; repeatable
    #[arg(long, value_name = "FILE", required = true)]
    root_key: Vec<PathBuf>,
    /// Number of root keys that must sign [default: the smallest majority]
    #[arg(long, value_name = "N")]
    root_threshold: Option<u64>,
    /// A content key, kept offline: content keys say which bundles exist; repeatable
    #[arg(long, value_name = "FILE", required = true)]
    content_key: Vec<PathBuf>,
    /// Number of content keys that must sign [default: the smallest majority]
    #[arg(long, value_name = "N")]
    content_threshold: Option<u64>,
    /// The online key: it says which host gets what, and when
    #[arg(long, value_name = "FILE")]
    online_key: PathBuf,
}

impl Init {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let founding = Founding {
            root: keys::named(&self.root_key, self.root_threshold)?,
            content: keys::named(&self.content_key, self.content_threshold)?,
            online: keys::named(std::slice::from_ref(&self.online_key), None)?,
        };
        let all: Vec<_> = self.root_key.iter().chain(&self.content_key).chain([&self.online_key]).collect();
        let signers = Signers::new(keys::private_ones(&all)?);
        // Nothing is made before everything is signed.
        let metadata = Metadata::found(&founding, &signers, Lifetime::default(), Timestamp::now())?;
        let tree = Tree::open(&self.repository)?;
        let there = self.repository.display();
        ensure!(!tree.is_founded(), "{there} holds a repository already; nothing was changed");
        tree.write(&metadata, &[])?;
        for (name, keys) in [("root", &founding.root), ("content", &founding.content), ("online", &founding.online)] {
            writeln!(out, "{name:<10} {} of {} keys must sign", keys.threshold, keys.keys.len())?;
        }
        show_versions(out, &self.repository, &metadata)?;
        Ok(Done::Well)
    }
}

//! `creance repo init`: a repository without content.

use std::{io::Write, path::PathBuf};

use anyhow::ensure;
use clap::Args;
use jiff::Timestamp;
use sensor_content::repository::{Founding, Lifetime, Metadata, Signers, Tree};

use super::{Directory, keys, show_versions};
use crate::cli::Done;

/// Make a repository; keys come from `creance bundle keygen`. Of root and content keys, private ones sign and
/// must be enough; public ones are only named
#[derive(Args, Debug)]
pub struct Init {
    /// Where it will be; its files are for a web server
    #[arg(value_name = "DIR")]
    repository: Directory,
    /// A root key, kept offline: it says which keys there are
    #[arg(long, value_name = "FILE", required = true)]
    root_key: Vec<PathBuf>,
    /// So many root keys must sign [default: the smallest majority]
    #[arg(long, value_name = "N")]
    root_threshold: Option<u64>,
    /// A content key, kept offline: it says which bundles exist
    #[arg(long, value_name = "FILE", required = true)]
    content_key: Vec<PathBuf>,
    /// So many content keys must sign [default: the smallest majority]
    #[arg(long, value_name = "N")]
    content_threshold: Option<u64>,
    /// The online key: it says who gets what when
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

//! `creance bundle build`: from rule files to a signed file.

use std::{io::Write, path::PathBuf};

use anyhow::anyhow;
use clap::Args;
use sensor_content::bundle::{BuildError, Release, decode};
use sensor_rules::Source;

use crate::{
    cli::{
        check::{plural, show},
        done::Done,
    },
    host::{
        files::{self, Existing},
        places,
    },
    rule_files,
};

/// Longest release file, bytes.
const RELEASE_MAX: usize = 1 << 20;

/// Make a bundle; the same files and key give the same bytes
#[derive(Args, Debug)]
pub struct Build {
    /// Description of the release (release.toml): number, category, soak, budget, changelog
    #[arg(value_name = "RELEASE")]
    release: PathBuf,
    /// Directories with rule files (*.yaml), or rule files
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// Private key (PEM) that signs the bundle
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File to write the bundle to; an existing file is never overwritten
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

impl Build {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let text = files::read_text(&self.release, RELEASE_MAX, "release")?;
        let release = Release::parse(&text).map_err(|error| anyhow!("{}: {error}", self.release.display()))?;
        let key = places::private_key(&self.key)?;
        let bytes = match release.build(self.sources()?, &key) {
            Ok(bytes) => bytes,
            Err(BuildError::Rules(diagnostics)) => {
                show(&diagnostics);
                return Ok(Done::Badly);
            }
            Err(error) => return Err(error.into()),
        };
        files::write(&self.out, &bytes, 0o644, Existing::Keep)?;
        let parts = decode(&bytes)?;
        let (rules, files) = (parts.manifest.rules.len(), parts.manifest.files.len());
        writeln!(
            out,
            "{}: generation {}, {rules} rule{} in {files} file{}, {} bytes, digest {}, signed by {}",
            self.out.display(),
            release.generation,
            plural(rules),
            plural(files),
            bytes.len(),
            parts.digest.short(),
            parts.key.short()
        )?;
        Ok(Done::Well)
    }

    /// The rule files, named below the directories given: where the sources lie must not change the bundle.
    fn sources(&self) -> anyhow::Result<Vec<Source>> {
        let mut all = Vec::new();
        for path in &self.paths {
            let directory = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
            let prefix = directory.map(|directory| directory.display().to_string()).unwrap_or_default();
            for source in rule_files::read(&[path])? {
                let name = source.name.strip_prefix(&prefix).unwrap_or(&source.name).trim_start_matches('/').to_owned();
                all.push(Source { name, ..source });
            }
        }
        Ok(all)
    }
}

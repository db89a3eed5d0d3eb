//! The rules of the generations in the kernel, on disk for the daemon that comes after this one: to name the
//! rules of their events, and to put them in force again in another version of the sensor.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sensor_rules::{Options, RuleSet, Source};
use serde::{Deserialize, Serialize};

use crate::{
    api::protocol::SentSource,
    host::files::{self, Existing},
};

/// How many generations are kept: those in the kernel, and some whose events may still lie in the ring buffer.
const KEPT: usize = 16;

/// Mode of the files.
const MODE: u32 = 0o644;

/// A directory below `/run`: it lives as long as what is in the kernel.
#[derive(Debug)]
pub struct RuleArchive {
    directory: PathBuf,
}

/// What is written down of one generation.
#[derive(Serialize, Deserialize)]
struct Remembered {
    skip_checks: bool,
    sources: Vec<SentSource>,
}

impl RuleArchive {
    /// In `directory`, which is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(directory: PathBuf) -> Result<Self> {
        fs::create_dir_all(&directory)
            .with_context(|| format!("the directory {} cannot be made", directory.display()))?;
        Ok(Self { directory })
    }

    /// Writes the rules of a generation down, before it is put in force.
    ///
    /// # Errors
    /// When they cannot be written: nothing has changed.
    pub fn remember(&self, generation: u64, sources: &[Source], skip_checks: bool) -> Result<()> {
        let sources = sources.iter().cloned().map(Into::into).collect();
        let text = serde_json::to_vec(&Remembered { skip_checks, sources })?;
        files::write(&self.path(generation), &text, MODE, Existing::Replace)?;
        let mut all = self.all();
        while all.len() > KEPT {
            drop(fs::remove_file(self.path(all.remove(0))));
        }
        Ok(())
    }

    /// The rules of a generation, as they were pushed; `None` where they were not written down.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn sources(&self, generation: u64) -> Result<Option<(Vec<Source>, Options)>> {
        let path = self.path(generation);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("{} cannot be read", path.display()))?,
        };
        let Remembered { skip_checks, sources } =
            serde_json::from_slice(&text).with_context(|| format!("{} holds no rules", path.display()))?;
        Ok(Some((sources.into_iter().map(Into::into).collect(), Options { skip_checks, ..Options::default() })))
    }

    /// The same, checked.
    ///
    /// # Errors
    /// When they cannot be read, or this version does not accept them.
    pub fn rules(&self, generation: u64) -> Result<Option<RuleSet>> {
        let Some((sources, options)) = self.sources(generation)? else { return Ok(None) };
        let rules = sensor_rules::check(&sources, options).map_err(|problems| anyhow::anyhow!("{problems}"))?;
        Ok(Some(rules))
    }

    /// Notes which generation is in force.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn in_force(&self, generation: u64) -> Result<()> {
        files::write(&self.directory.join("active"), generation.to_string().as_bytes(), MODE, Existing::Replace)
    }

    /// The generation that was in force last.
    pub fn last(&self) -> Option<u64> {
        fs::read_to_string(self.directory.join("active")).ok()?.trim().parse().ok()
    }

    /// The highest number that was given to a generation.
    pub fn highest(&self) -> Option<u64> {
        self.all().last().copied()
    }

    /// Forgets everything: nothing is in the kernel any more.
    pub fn clear(&self) {
        drop(fs::remove_dir_all(&self.directory));
    }

    /// All generations that are written down, ascending.
    fn all(&self) -> Vec<u64> {
        let names = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut all: Vec<u64> =
            names.filter_map(|entry| Path::new(&entry.file_name()).file_stem()?.to_str()?.parse().ok()).collect();
        all.sort_unstable();
        all
    }

    fn path(&self, generation: u64) -> PathBuf {
        self.directory.join(format!("{generation}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_last_generations_as_they_were_pushed() {
        let directory = tempfile::tempdir().unwrap();
        let memory = RuleArchive::open(directory.path().join("memory")).unwrap();
        assert_eq!((memory.last(), memory.highest()), (None, None));
        let source = |number: u64| Source { name: format!("{number}.yaml"), text: vec![b'x', 0xff] };
        for number in 1..=20 {
            memory.remember(number, &[source(number)], number == 20).unwrap();
        }
        memory.in_force(19).unwrap();
        assert_eq!((memory.last(), memory.highest()), (Some(19), Some(20)));
        assert!(memory.sources(4).unwrap().is_none());
        let (sources, options) = memory.sources(20).unwrap().unwrap();
        assert_eq!((sources[0].name.as_str(), sources[0].text.as_slice()), ("20.yaml", &[b'x', 0xff][..]));
        assert!(options.skip_checks && memory.rules(20).is_err());
        fs::write(memory.path(20), "{").unwrap();
        assert!(format!("{:#}", memory.sources(20).unwrap_err()).contains("20.json"));
        memory.clear();
        assert!(!directory.path().join("memory").exists());
    }
}

//! What stays in the kernel when the daemon does not: maps, links and programs, pinned below a BPF file system.
//!
//! Each version of the kernel side has a directory of its own, named after all that two daemons must agree
//! on. A daemon that finds its own directory with something attached adopts it. What is in other directories
//! is of another version: it stays in force until the new one judges, and is then taken away.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};
use aya::{
    maps::Map,
    programs::{Program, ProgramFd, ProgramInfo, links::PinnedLink},
};
use sensor_common::{
    event::{Event, Hook, Mode},
    field::FIELDS,
    maps::{BANKS, Counters, Generation, Mark, SLOTS, STAGES, Settings},
    record::Record,
    shadow::ShadowCounts,
};

use super::attach::Link;

/// What becomes of the hooks when a daemon is gone and none comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WhenGone {
    /// They stay attached, held back by the heartbeat; the next daemon adopts them.
    Keep,
    /// The kernel detaches them at once.
    Detach,
}

/// The directory of pinned objects, of this version and of others.
pub struct Pins {
    root: PathBuf,
    own: PathBuf,
    when_gone: WhenGone,
    adopted: bool,
    /// Whether nothing is to be left in the end.
    temporary: AtomicBool,
}

impl Pins {
    /// The directory of this version below `root`. `object` is the kernel side as a file, `ring_bytes` the
    /// size of its ring buffer, `mode` how it is attached.
    ///
    /// # Errors
    /// The BPF file system there cannot be written.
    pub fn open(root: &Path, object: &[u8], ring_bytes: u32, mode: Mode, when_gone: WhenGone) -> Result<Self> {
        let own = root.join(format!("{}-{:016x}", layout(), hash_of(&(object, ring_bytes, mode.name()))));
        let adopted = has_links(&own);
        if own.exists() && !adopted {
            // Left behind by a daemon that was killed before anything was in force; the caller holds the lock
            // that makes us the only one.
            fs::remove_dir_all(&own).with_context(|| format!("cannot remove old pins in {}", own.display()))?;
        }
        fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
        Ok(Self { root: root.to_owned(), own, when_gone, adopted, temporary: AtomicBool::new(!adopted) })
    }

    /// Whether something of a daemon of this very version is attached.
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// The directory of this version.
    pub fn directory(&self) -> &Path {
        &self.own
    }

    /// Where a map is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }

    /// Leaves everything in the kernel in the end, if the owner wants that: something is in force.
    pub fn settle(&self) {
        self.temporary.store(self.when_gone == WhenGone::Detach, Ordering::Relaxed);
    }

    /// Leaves nothing in the end.
    pub fn clear(&self) {
        self.temporary.store(true, Ordering::Relaxed);
    }

    /// Lets `link` keep `program` attached as the owner wants it: pinned, where something is to stay.
    pub fn pin(&self, name: &str, program: &mut Program, link: Link) -> Result<Link> {
        let Link::Held(link) = link else { return Ok(link) };
        if self.when_gone == WhenGone::Detach {
            return Ok(Link::Held(link));
        }
        let (link_path, program_path) = self.paths(name);
        // A program whose link is gone may have been left.
        drop(fs::remove_file(&program_path));
        program.pin(&program_path).with_context(|| format!("cannot pin {}", program_path.display()))?;
        Ok(Link::Pinned(link.pin(&link_path).with_context(|| format!("cannot pin {}", link_path.display()))?))
    }

    /// Takes the pin of what is to be detached away.
    pub fn unpin(&self, name: &str, link: Link) -> Result<Link> {
        let Link::Pinned(link) = link else { return Ok(link) };
        let link = link.unpin().with_context(|| format!("cannot unpin the link of {name}"))?;
        drop(fs::remove_file(self.paths(name).1));
        Ok(Link::Held(link))
    }

    /// Whether the pin of this link is there.
    pub fn is_pinned(&self, name: &str) -> bool {
        self.paths(name).0.exists()
    }

    /// What an earlier daemon left attached under this name.
    pub fn find(&self, name: &str) -> Result<Option<(Link, ProgramFd)>> {
        let (link, program) = self.paths(name);
        if !link.exists() {
            return Ok(None);
        }
        let context = || format!("cannot adopt what is pinned at {}", link.display());
        let program = ProgramInfo::from_pin(&program).and_then(|info| info.fd()).with_context(context)?;
        Ok(Some((Link::Pinned(PinnedLink::from_pin(&link).with_context(context)?), program)))
    }

    /// Keeps a chain of programs of the generation in a bank together, whatever becomes of this daemon.
    pub fn pin_parts(&self, bank: usize, hook: Hook, parts: &Map) -> Result<()> {
        let path = self.own.join(format!("{}{}", parts_of(bank), hook.name()));
        parts.pin(&path).with_context(|| format!("cannot pin {}", path.display()))
    }

    /// Lets go of the chains of a bank.
    pub fn unpin_parts(&self, bank: usize) {
        let bank = parts_of(bank);
        for entry in fs::read_dir(&self.own).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&bank)) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    /// The directories of other versions.
    pub fn others(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| *path != self.own).collect()
    }

    /// Whether a directory of another version holds records that we can read.
    pub fn is_readable(other: &Path) -> bool {
        other.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&layout()))
    }

    fn paths(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.own.join(format!("link_{name}")), self.own.join(format!("program_{name}")))
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if self.temporary.load(Ordering::Relaxed) {
            // Nothing can be done about an error here, and the next start removes what is left.
            drop(fs::remove_dir_all(&self.own));
            // Only where nothing of another version is in it.
            drop(fs::remove_dir(&self.root));
        }
    }
}

/// How the names of a bank's chains begin.
fn parts_of(bank: usize) -> String {
    format!("parts_{bank}_")
}

/// Detaches what was pinned in the directory of another version.
pub fn detach_all(other: &Path) {
    for entry in fs::read_dir(other).into_iter().flatten().flatten() {
        if is_link(&entry.file_name().to_string_lossy()) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// Removes what another version pinned: a directory, or, of the first versions, a map.
pub fn remove(other: &Path) -> std::io::Result<()> {
    if other.is_dir() { fs::remove_dir_all(other) } else { fs::remove_file(other) }
}

fn is_link(name: &str) -> bool {
    name.starts_with("link_")
}

fn has_links(directory: &Path) -> bool {
    let mut entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.any(|entry| is_link(&entry.file_name().to_string_lossy()))
}

/// What two versions must agree on to read each other's records and maps.
fn layout() -> String {
    let sizes = [
        size_of::<Record>(),
        size_of::<Generation>(),
        size_of::<Settings>(),
        size_of::<Counters>(),
        size_of::<ShadowCounts>(),
        size_of::<Mark>(),
    ];
    let fields: Vec<_> = FIELDS.iter().map(|field| (field.name, field.offset)).collect();
    let events: Vec<_> = Event::ALL.iter().map(|event| (event.name(), event.hook().name())).collect();
    let hooks: Vec<_> = Hook::ALL.iter().map(|hook| hook.name()).collect();
    format!("{:016x}", hash_of(&(sizes, fields, events, hooks, [BANKS, SLOTS, STAGES])))
}

/// The same in each run of one build. That another build may differ only means that it takes over as another
/// version does.
fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_a_directory_and_finds_the_others() {
        let root = tempfile::tempdir().unwrap();
        let open = |object: &[u8], ring| Pins::open(root.path(), object, ring, Mode::Lsm, WhenGone::Keep).unwrap();
        let one = open(b"one", 4096);
        assert!(!one.adopted());
        one.settle();
        fs::write(one.map("link_file_open"), "").unwrap();
        let own = one.directory().to_owned();
        drop(one);
        assert!(open(b"one", 4096).adopted(), "the same version does not find itself");
        for other in [open(b"two", 4096), open(b"one", 8192)] {
            assert!(!other.adopted());
            assert!(other.others().contains(&own) && Pins::is_readable(&own));
        }
        assert!(own.exists(), "a version that adopted nothing removed another");
        let one = open(b"one", 4096);
        one.clear();
        drop(one);
        assert!(!own.exists());
    }

    #[test]
    fn what_was_never_in_force_is_started_anew() {
        let root = tempfile::tempdir().unwrap();
        let pins = Pins::open(root.path(), b"one", 4096, Mode::Lsm, WhenGone::Keep).unwrap();
        pins.settle();
        fs::write(pins.map("ACTIVE"), "").unwrap();
        drop(pins);
        let pins = Pins::open(root.path(), b"one", 4096, Mode::Lsm, WhenGone::Keep).unwrap();
        assert!(!pins.adopted() && !pins.map("ACTIVE").exists());
    }
}

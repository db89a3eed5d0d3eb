//! The names that one program has: hard links, and symbolic ones. To the kernel all of them are one file, so where
//! one of them is on the lifeline all are.
//!
//! How many links a file has says nothing: on a host with `OSTree` every file of the system has one more in the
//! repository, in a Nix store whatever has the same content. And a link that a user makes (where
//! `fs.protected_hardlinks` lets him) is another name for the same program, no other program. What counts is
//! whether the system itself starts the file by a name that means something else, as it does with busybox.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Device and inode number.
type Inode = (u64, u64);

/// The names of all files in the directories where programs are; read when the first is asked for.
#[derive(Debug)]
pub struct Names {
    /// Each with the time when something last came or went there.
    directories: BTreeMap<PathBuf, Option<SystemTime>>,
    read: OnceCell<BTreeMap<Inode, BTreeSet<OsString>>>,
}

impl Names {
    /// Of the files in these directories.
    pub fn within(directories: impl IntoIterator<Item = PathBuf>) -> Self {
        // Often one is a symbolic link to another.
        let real = directories.into_iter().filter_map(|directory| directory.canonicalize().ok());
        let changed = |directory: &PathBuf| directory.metadata().and_then(|metadata| metadata.modified()).ok();
        Self { directories: real.map(|real| (real.clone(), changed(&real))).collect(), read: OnceCell::new() }
    }

    /// What was read of `before`, where nothing has come or gone since.
    pub fn or(self, before: Option<Self>) -> Self {
        before.filter(|before| before.directories == self.directories).unwrap_or(self)
    }

    /// The names of the file at `real`, a path without symbolic links: there, and in the directory where it lies.
    pub fn of(&self, real: &Path, metadata: &Metadata) -> BTreeSet<OsString> {
        if metadata.nlink() < 2 {
            return real.file_name().map(OsString::from).into_iter().collect();
        }
        let wanted = inode(metadata);
        let known = self.read.get_or_init(|| {
            self.directories.keys().flat_map(|path| links(path)).fold(
                BTreeMap::new(),
                |mut known: BTreeMap<_, BTreeSet<_>>, (inode, name)| {
                    known.entry(inode).or_default().insert(name);
                    known
                },
            )
        });
        let own = real.parent().filter(|parent| !self.directories.contains_key(*parent)).into_iter().flat_map(links);
        let beside = own.filter(|(inode, _)| *inode == wanted).map(|(_, name)| name);
        known.get(&wanted).cloned().unwrap_or_default().into_iter().chain(beside).collect()
    }
}

/// The files in a directory that have several links.
fn links(directory: &Path) -> Vec<(Inode, OsString)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| Some((entry.metadata().ok()?, entry.file_name())));
    let several = files.filter(|(metadata, _)| metadata.is_file() && metadata.nlink() > 1);
    several.map(|(metadata, name)| (inode(&metadata), name)).collect()
}

fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_where_programs_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for below in ["bin", "repository", "lib"] {
            fs::create_dir(path(below)).unwrap();
        }
        fs::write(path("bin/login"), "").unwrap();
        fs::hard_link(path("bin/login"), path("repository/0a1b.file")).unwrap();
        let names = |real: &str| {
            let real = path(real);
            let names = Names::within([path("bin")]).of(&real, &real.metadata().unwrap());
            names.into_iter().map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(names("bin/login"), ["login"]);
        fs::hard_link(path("bin/login"), path("bin/sh")).unwrap();
        fs::hard_link(path("bin/login"), path("lib/tool")).unwrap();
        assert_eq!(names("bin/login"), ["login", "sh"]);
        assert_eq!(names("lib/tool"), ["login", "sh", "tool"]);
        fs::write(path("lib/alone"), "").unwrap();
        assert_eq!(names("lib/alone"), ["alone"]);
    }

    #[test]
    fn names_are_read_anew_when_something_came_or_went() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().canonicalize().unwrap().join(name);
        fs::write(path("login"), "").unwrap();
        fs::hard_link(path("login"), path("sh")).unwrap();
        let within = || Names::within([path("")]);
        let before = within();
        assert_eq!(before.of(&path("login"), &path("login").metadata().unwrap()).len(), 2);
        let same = within().or(Some(before));
        assert!(same.read.get().is_some());
        fs::File::open(path("")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(within().or(Some(same)).read.get().is_none());
    }
}

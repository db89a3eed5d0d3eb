//! What the store needs of a file system: one directory, and the truth about what is on disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

/// One directory. What was written is on disk only after [`sync`](Self::sync), and under its name only after
/// [`sync_directory`](Self::sync_directory).
pub trait Fs {
    /// What the file holds, at most `max` bytes of it and one more; `None` where there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn read(&self, name: &str, max: usize) -> io::Result<Option<Vec<u8>>>;
    /// The last `max` bytes of the file, or all of it; `None` where there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn tail(&self, name: &str, max: usize) -> io::Result<Option<Vec<u8>>>;
    /// The names of all files.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Makes the file, or makes it anew, with these bytes.
    ///
    /// # Errors
    /// It cannot be written.
    fn create(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Adds all of it to the file, or nothing; makes it where it is not there.
    ///
    /// # Errors
    /// It cannot be written.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Brings what the file holds to disk.
    ///
    /// # Errors
    /// That cannot be promised.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Gives the file another name, in place of a file that has it.
    ///
    /// # Errors
    /// It is not there, or the directory cannot be written.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes the file, if it is there.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Brings the names to disk.
    ///
    /// # Errors
    /// That cannot be promised.
    fn sync_directory(&mut self) -> io::Result<()>;
}

/// A directory of the running system.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    /// Whether nobody else is to read it.
    is_private: bool,
}

impl Directory {
    /// The directory at `path`, made where it is not there, for its owner only.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(Self { path, is_private: true })
    }

    /// A directory that is there, of files that everybody may read.
    #[cfg(feature = "repository")]
    pub(crate) const fn public(path: PathBuf) -> Self {
        Self { path, is_private: false }
    }

    /// The file, to be read, where there is one.
    fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        match OpenOptions::new().read(true).custom_flags(self.flags()).open(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// The file, to be written to, made where there is none.
    fn make(&self, name: &str, options: &mut OpenOptions) -> io::Result<File> {
        let mode = if self.is_private { 0o600 } else { 0o644 };
        options.create(true).mode(mode).custom_flags(self.flags()).open(self.path.join(name))
    }

    /// What the owner keeps is no link: one would lead out of the directory, and out of a root that is not this host's.
    const fn flags(&self) -> i32 {
        if self.is_private { libc::O_NOFOLLOW } else { 0 }
    }
}

impl Fs for Directory {
    fn read(&self, name: &str, max: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(max as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn tail(&self, name: &str, max: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = self.open_file(name)? else { return Ok(None) };
        file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(max as u64)))?;
        let mut bytes = Vec::new();
        file.take(max as u64).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.make(name, OpenOptions::new().write(true).truncate(true))?.write_all(bytes)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.make(name, OpenOptions::new().append(true))?;
        let length = file.metadata()?.len();
        let written = file.write_all(bytes);
        if written.is_err() {
            // What did not fit on the disk must not head the next line. To take it away needs no room.
            file.set_len(length)?;
        }
        written
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        File::open(self.path.join(name))?.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// How the name of a file ends that is not whole yet.
pub const NEW: &str = ".new";

/// Puts `bytes` under `name` so that after a power cut either they are there or what was there before.
///
/// # Errors
/// What was there before is there still.
pub fn replace(fs: &mut impl Fs, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = format!("{name}{NEW}");
    fs.create(&new, bytes)?;
    fs.sync(&new)?;
    fs.rename(&new, name)?;
    fs.sync_directory()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_file_is_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut fs = Directory::open(directory.path().join("state")).unwrap();
        fs.create("x", b"0123456789").unwrap();
        let tail = |max| fs.tail("x", max).unwrap().unwrap();
        assert_eq!((tail(3), tail(10), tail(99)), (b"789".into(), b"0123456789".into(), b"0123456789".into()));
        assert_eq!(fs.tail("y", 3).unwrap(), None);
    }
}

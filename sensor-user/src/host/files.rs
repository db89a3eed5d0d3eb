//! Files named by people: read within limits, written whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, bail, ensure};

/// What the file at `path` holds, if it is a regular file of at most `max` bytes; `what` it should be, for messages.
///
/// # Errors
/// When it cannot be read, or is something else.
pub fn read(path: &Path, max: usize, what: &str) -> anyhow::Result<Vec<u8>> {
    let context = || format!("{} cannot be read", path.display());
    let irregular = || format!("{} is no regular file, and so no {what}", path.display());
    // Before it is opened: opening a device may do something.
    ensure!(fs::metadata(path).with_context(context)?.is_file(), irregular());
    // And without waiting, should it have become a FIFO meanwhile.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).with_context(context)?;
    ensure!(file.metadata().with_context(context)?.is_file(), irregular());
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes).with_context(context)?;
    ensure!(bytes.len() <= max, "{} is longer than {}: that is no {what}", path.display(), size(max));
    Ok(bytes)
}

/// The same, where it is UTF-8.
///
/// # Errors
/// As [`read`], or when it is not.
pub fn read_text(path: &Path, max: usize, what: &str) -> anyhow::Result<String> {
    String::from_utf8(read(path, max, what)?)
        .ok()
        .with_context(|| format!("{} is not UTF-8, and so no {what}", path.display()))
}

/// A size for people.
fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

/// How a file is written over one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced, at once.
    Replace,
    /// It stays, and that is an error.
    Keep,
}

/// Writes `bytes` to the file at `path` so that it holds all of them or is not there; on disk when this returns.
///
/// # Errors
/// When it cannot be written, or is there and must be kept.
pub fn write(path: &Path, bytes: &[u8], mode: u32, existing: Existing) -> anyhow::Result<()> {
    let context = || format!("{} cannot be written", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(directory)
        .with_context(context)?;
    file.write_all(bytes).with_context(context)?;
    file.as_file().sync_all().with_context(context)?;
    match existing {
        Existing::Replace => file.persist(path).map(drop).map_err(|error| error.error).with_context(context)?,
        Existing::Keep => match file.persist_noclobber(path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => bail!(
                "{} is there already, and is kept\nName another file, or move that one away first.",
                path.display()
            ),
            Err(error) => return Err(error.error).with_context(context),
        },
    }
    File::open(directory).and_then(|directory| directory.sync_all()).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_named_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [fifo.as_path(), Path::new("/dev/zero"), directory.path()] {
            let error = read(path, 100, "key").unwrap_err().to_string();
            assert!(error.contains("no regular file") && error.contains("no key"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_there_is_kept_or_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        write(&path, b"1", 0o600, Existing::Keep).unwrap();
        let refusal = write(&path, b"2", 0o600, Existing::Keep).unwrap_err().to_string();
        assert!(refusal.contains("file is there already, and is kept"), "{refusal}");
        assert_eq!(fs::read(&path).unwrap(), b"1");
        write(&path, b"3", 0o600, Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"3");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}

//! Ways to open a FIFO that a rule guards by its path.

use std::{
    env, fs, io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _, symlink},
    },
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result};

use super::{attempt::Attempt, setting};
use crate::{conformance::call::syscall, fifo};

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::new("open a FIFO", "below", || open(setting::FIFO)),
    Attempt::new("open with 47 directories above", "below", || open(&deep("/tmp/attack/47", 47)?)),
    Attempt::new("open with 50 directories above", "below", || open(&deep("/tmp/attack/50", 50)?)),
    Attempt::new("open with 500 directories above", "below", || open(&deep("/tmp/attack/500", 500)?)),
    Attempt::new("open from within the 50th directory", "below", relative),
    Attempt::new("open below more directories than a path can name", "below", beyond_path_max),
    Attempt::new("open by a symbolic link", "below", by_link),
    Attempt::new("open by /proc/self/root", "below", || open("/proc/self/root/tmp/attack/f")),
    Attempt::new("open by /proc/self/fd of an O_PATH descriptor", "below", reopened),
    Attempt::new("open by openat2 with RESOLVE_NO_SYMLINKS", "below", openat2),
    Attempt::new("open by a hard link made elsewhere", "below", hard_link),
    Attempt::race("open by a symbolic link that another thread swaps", "below", swapped),
    Attempt::new("open a FIFO of a name", "named", || open(&named(1)?)),
    Attempt::new("open a FIFO of a name, the path over 256 bytes", "named", || open(&named(5)?)),
    Attempt::new("open a FIFO of a name, the path over 2000 bytes", "named", || open(&named(40)?)),
    Attempt::new("open below a directory of a name", "within", || open(&within(1)?)),
    Attempt::new("open below a directory of a name, 300 bytes around it", "within", || open(&within(5)?)),
];

/// Opens a FIFO: whether that succeeded.
pub fn open(path: &str) -> Result<bool> {
    outcome(fs::OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path))
        .with_context(|| format!("open {path}"))
}

/// Whether a call succeeded; failed is what a rule refuses.
pub fn outcome<T>(result: io::Result<T>) -> Result<bool> {
    if fifo::is_refused(&result) {
        return Ok(false);
    }
    result?;
    Ok(true)
}

/// A FIFO so many directories below one.
pub fn deep(directory: &str, depth: usize) -> Result<String> {
    made(&format!("{directory}{}", "/d".repeat(depth)), "f")
}

/// A FIFO in a directory, which is made where it is not there.
fn made(directory: &str, name: &str) -> Result<String> {
    let path = format!("{directory}/{name}");
    if !Path::new(&path).exists() {
        fs::create_dir_all(directory)?;
        fifo::make(&path)?;
    }
    Ok(path)
}

fn relative() -> Result<bool> {
    let path = deep("/tmp/attack/50", 50)?;
    env::set_current_dir(Path::new(&path).parent().context("no directory")?)?;
    open("f")
}

/// Twenty directories with names of 250 bytes.
fn beyond_path_max() -> Result<bool> {
    let name = "n".repeat(250);
    env::set_current_dir("/tmp/attack")?;
    for _ in 0..20 {
        if !Path::new(&name).exists() {
            fs::create_dir(&name)?;
        }
        env::set_current_dir(&name)?;
    }
    if !Path::new("f").exists() {
        fifo::make("f")?;
    }
    open("f")
}

fn by_link() -> Result<bool> {
    let link = format!("{}/link", setting::HOME);
    fs::remove_file(&link).ok();
    symlink(setting::FIFO, &link)?;
    open(&link)
}

fn reopened() -> Result<bool> {
    let there = fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(setting::FIFO)?;
    open(&format!("/proc/self/fd/{}", there.as_raw_fd()))
}

fn openat2() -> Result<bool> {
    // `struct open_how`: flags, mode, resolve.
    const NO_SYMLINKS: u64 = 4;
    let how = [u64::try_from(libc::O_RDWR | libc::O_NONBLOCK)?, 0, NO_SYMLINKS];
    let answer = syscall!(SYS_openat2, libc::AT_FDCWD, c"/tmp/attack/f".as_ptr(), how.as_ptr(), size_of_val(&how));
    outcome(answer.map_err(|_| io::Error::last_os_error()))
}

fn hard_link() -> Result<bool> {
    let (first, second) = (made("/tmp/attack", "linked")?, format!("{}/linked", setting::HOME));
    fs::remove_file(&second).ok();
    fs::hard_link(first, &second)?;
    open(&second)
}

/// Opens what is guarded, by a name that leads to something else half of the time.
fn swapped() -> Result<bool> {
    let harmless = made(&format!("{}/swap", setting::HOME), "harmless")?;
    let link = format!("{}/swap/link", setting::HOME);
    fs::remove_file(&link).ok();
    symlink(&harmless, &link)?;
    let guarded = fs::metadata(setting::FIFO)?.ino();
    let over = AtomicBool::new(false);
    let got = thread::scope(|scope| {
        scope.spawn(|| {
            let new = format!("{link}.new");
            while !over.load(Ordering::Relaxed) {
                for target in [setting::FIFO, &harmless] {
                    fs::remove_file(&new).ok();
                    symlink(target, &new).ok();
                    fs::rename(&new, &link).ok();
                }
            }
        });
        let mut got = false;
        for _ in 0..300 {
            let opened = fs::OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&link);
            got |= opened.and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.ino() == guarded);
        }
        over.store(true, Ordering::Relaxed);
        got
    });
    // Of three hundred some may all have met the harmless one: the last is sure.
    Ok(open(setting::FIFO)? || got)
}

/// A FIFO with a forbidden name, below so many names of 50 bytes.
fn named(names: usize) -> Result<String> {
    made(&format!("{}/named{}", setting::HOME, long(names)), "forbidden")
}

/// A FIFO with a forbidden name somewhere in its path, and so many names of 50 bytes on each side.
fn within(names: usize) -> Result<String> {
    made(&format!("{}/within{}/forbidden-within{}", setting::HOME, long(names), long(names)), "f")
}

fn long(names: usize) -> String {
    format!("/{}", "n".repeat(50)).repeat(names)
}

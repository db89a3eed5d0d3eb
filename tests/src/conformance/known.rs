//! What is known of processes and files without the sensor: from `/proc` and `stat`.

use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::RawFd,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::Path,
};

use super::setting::USER;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Known values by the name of their field.
pub type Values = BTreeMap<String, Value>;

/// The value of a field that nobody can know before: it is only looked whether the event carries it.
pub const UNKNOWN: Value = Value::Null;

/// Values from pairs.
pub fn values<const N: usize>(pairs: [(&str, Value); N]) -> Values {
    pairs.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
}

/// `(major, minor)` of the running kernel.
pub fn kernel() -> Result<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map_while(|number| number.trim().parse().ok());
    numbers.next().zip(numbers.next()).with_context(|| format!("a strange release: {release}"))
}

/// Everything known of a thread, its process, and the five processes above it.
pub fn actor(pid: u32, thread: u32) -> Result<Values> {
    let task = format!("/proc/{pid}/task/{thread}");
    let number = |name: &str, word: usize, radix: u32| status(&task, name, word, radix);
    let text = |name: &str| fs::read_to_string(format!("{task}/{name}"));
    let cgroup = text("cgroup")?.lines().find_map(|line| line.strip_prefix("0::")).context("no cgroup")?.to_owned();
    let mut values = values([
        ("process.pid", json!(pid)),
        ("process.tid", json!(thread)),
        ("process.uid", json!(number("Uid", 0, 10)?)),
        ("process.euid", json!(number("Uid", 1, 10)?)),
        ("process.start_time", json!(start_tick(pid)?)),
        ("process.cgroup", json!(fs::metadata(format!("/sys/fs/cgroup{cgroup}"))?.ino())),
        ("process.comm", json!(text("comm")?.trim_end())),
        ("process.exe", json!(executable(pid)?)),
        ("process.capabilities", json!(number("CapEff", 0, 16)?)),
        ("process.login_uid", json!(text("loginuid")?.parse::<u32>()?)),
        ("process.trusted", json!(is_trusted(format!("/proc/{pid}/exe"))?)),
        ("process.session", json!(text("sessionid")?.parse::<u32>()?)),
        ("process.pid_namespace", json!(namespace(&task, "pid_for_children")?)),
        ("process.mount_namespace", json!(namespace(&task, "mnt")?)),
        ("process.user_namespace", json!(namespace(&task, "user")?)),
        ("process.arguments", json!(text("cmdline")?)),
        ("process.cgroup_path", json!(cgroup)),
    ]);
    let mut above = pid;
    for role in ["parent", "ancestor1", "ancestor2", "ancestor3", "ancestor4"] {
        above = u32::try_from(status(&format!("/proc/{above}"), "PPid", 0, 10)?)?;
        let named = |field: &str| format!("{role}.{field}");
        values.insert(named("pid"), json!(above));
        values.insert(named("comm"), json!(comm(above)?));
        values.insert(named("exe"), json!(executable(above)?));
    }
    let parent = format!("/proc/{}", values["parent.pid"]);
    values.insert("parent.uid".to_owned(), json!(status(&parent, "Uid", 0, 10)?));
    // The thread that started the process, where it is one of the actor's: the others have one thread each.
    if values["parent.pid"] == std::process::id() {
        values.insert("parent.comm".to_owned(), json!("actor"));
        values.insert("parent.uid".to_owned(), json!(USER));
    }
    Ok(values)
}

/// A process that something is done to.
pub fn target(pid: u32) -> Result<Values> {
    Ok(values([
        ("target.pid", json!(pid)),
        ("target.uid", json!(status(&format!("/proc/{pid}"), "Uid", 0, 10)?)),
        ("target.comm", json!(comm(pid)?)),
        ("target.exe", json!(executable(pid)?)),
    ]))
}

/// The name of the main thread.
pub fn comm(pid: u32) -> Result<String> {
    Ok(fs::read_to_string(format!("/proc/{pid}/comm"))?.trim_end().to_owned())
}

fn executable(pid: u32) -> Result<String> {
    Ok(fs::read_link(format!("/proc/{pid}/exe"))?.to_string_lossy().into_owned())
}

/// Whether an executable is root's and nobody else's to write. In this machine all mounts are of the host's
/// own user namespace.
pub fn is_trusted(path: impl AsRef<Path>) -> Result<bool> {
    let file = fs::metadata(path)?;
    Ok(file.uid() == 0 && file.mode() & 0o022 == 0)
}

/// Word `word` behind `name:` in `status`.
fn status(directory: &str, name: &str, word: usize, radix: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("{directory}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let word = line.and_then(|line| line.split_whitespace().nth(word));
    Ok(u64::from_str_radix(word.with_context(|| format!("no {name} in {directory}/status"))?, radix)?)
}

/// Field 22 of `stat`, behind the name, which may hold anything.
fn start_tick(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let behind = stat.rsplit_once(')').context("a strange stat")?.1;
    Ok(behind.split_whitespace().nth(19).context("a short stat")?.parse()?)
}

/// The number in `mnt:[4026531840]`.
fn namespace(task: &str, name: &str) -> Result<u64> {
    let link = fs::read_link(format!("{task}/ns/{name}"))?.to_string_lossy().into_owned();
    let number = link.split(['[', ']']).nth(1).with_context(|| format!("a strange namespace: {link}"))?;
    Ok(number.parse()?)
}

/// A file by its path: everything that an event on it may carry, but its path as the sensor shows it.
pub fn file(path: &Path) -> Result<Values> {
    Ok(facts(&fs::metadata(path).with_context(|| path.display().to_string())?))
}

/// The same, of what is open as `fd`; its path is what `/proc` says.
pub fn open(fd: RawFd) -> Result<Values> {
    file(Path::new(&format!("/proc/self/fd/{fd}")))
}

fn facts(data: &fs::Metadata) -> Values {
    let (major, minor) = (libc::major(data.dev()), libc::minor(data.dev()));
    values([
        ("inode", json!(data.ino())),
        // As the kernel keeps it inside.
        ("device", json!(major << 20 | minor)),
        ("owner", json!(data.uid())),
        ("mode", json!(data.mode())),
    ])
}

/// A file by its path, with the path.
pub fn named(path: &Path) -> Result<Values> {
    let mut values = file(path)?;
    values.insert("path".to_owned(), json!(path.to_string_lossy()));
    Ok(values)
}

/// How a file is opened.
pub fn opening(flags: i32) -> Values {
    let access = flags & libc::O_ACCMODE;
    values([
        ("reads", json!(access != libc::O_WRONLY)),
        ("writes", json!(access != libc::O_RDONLY)),
        ("nonblock", json!(flags & libc::O_NONBLOCK != 0)),
        ("creates", json!(flags & libc::O_CREAT != 0)),
    ])
}

/// Data of this many bytes that begins so.
pub fn payload(data: &[u8]) -> Values {
    let kept = &data[..data.len().min(sensor_common::record::TEXT_MAX)];
    values([("size", json!(data.len())), ("payload", json!(String::from_utf8_lossy(kept)))])
}

/// All of these together.
pub fn all<const N: usize>(parts: [&Values; N]) -> Values {
    parts.into_iter().flat_map(Clone::clone).collect()
}

/// Opens a file as the actor does: the descriptor stays open until its end.
pub fn leak(path: &Path, flags: i32) -> Result<RawFd> {
    let access = flags & libc::O_ACCMODE;
    let mut options = fs::OpenOptions::new();
    options.read(access != libc::O_WRONLY).write(access != libc::O_RDONLY).custom_flags(flags & !libc::O_ACCMODE);
    let file = options.open(path).with_context(|| path.display().to_string())?;
    Ok(std::os::fd::IntoRawFd::into_raw_fd(file))
}

/// The file that is mapped at an address: its path, inode and device, as `/proc/self/maps` has them.
pub fn mapped(address: i64) -> Result<Values> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let line = maps.lines().find(|line| line.starts_with(&format!("{address:x}-"))).context("no such map")?;
    let words: Vec<_> = line.split_whitespace().collect();
    let [_, _, _, device, inode, path, ..] = words[..] else { anyhow::bail!("no file is mapped: {line}") };
    let (major, minor) = device.split_once(':').context("a strange device")?;
    let device = u32::from_str_radix(major, 16)? << 20 | u32::from_str_radix(minor, 16)?;
    let inode: u64 = inode.parse()?;
    Ok(values([("path", json!(path)), ("inode", json!(inode)), ("device", json!(device))]))
}

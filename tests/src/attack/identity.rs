//! Ways to pass for the program that a rule excepts, and mounts that give things other names.

use std::{
    fs::{self, File},
    io::Write as _,
    os::{
        fd::{AsRawFd as _, FromRawFd as _},
        unix::{fs::chroot, process::CommandExt as _},
    },
    process::Command,
};

use anyhow::{Result, ensure};

use super::{
    attempt::Attempt,
    judge,
    paths::open,
    setting::{self, HOME},
};
use crate::{
    conformance::call::{call, syscall},
    mounts::{bind, mount, own_mounts},
};

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::new("open as a program that is not excepted", "others", || open(setting::QUEUE)),
    Attempt::new("run as a copy 45 directories below another opt/worker", "others", deep_program),
    Attempt::new("run as a copy 500 directories below another opt/worker", "others", deeper_program),
    Attempt::new("run as a copy on a tmpfs over /opt", "others", tmpfs_over_opt),
    Attempt::new("open by a bind mount in a root of one's own", "others", own_root),
    Attempt::new("run as a copy in memory of that name", "others", in_memory),
    Attempt::new("open by a bind mount elsewhere", "below", bind_mount),
    Attempt::new("open below 60 bind mounts, one in the other", "below", nested_mounts),
    Attempt::new("open below a copy of a mount that is mounted nowhere", "below", detached_mount),
];

/// Runs a copy of this program, so many directories below an `opt/worker` of one's own.
fn program_below(depth: usize) -> Result<bool> {
    let directory = format!("{HOME}/opt/worker/{depth}{}", "/d".repeat(depth));
    let program = format!("{directory}/cat");
    if fs::metadata(&program).is_err() {
        fs::create_dir_all(&directory)?;
        fs::copy(format!("{HOME}/program"), &program)?;
    }
    opened_by(&program)
}

fn deep_program() -> Result<bool> {
    program_below(45)
}

fn deeper_program() -> Result<bool> {
    program_below(500)
}

/// Whether another program can open the queue.
fn opened_by(program: &str) -> Result<bool> {
    judge::told(Command::new(program).args(["work", "attack-open", setting::QUEUE]).arg0("cat").status()?)
}

fn tmpfs_over_opt() -> Result<bool> {
    own_mounts()?;
    mount("none", "/opt", c"tmpfs", 0)?;
    fs::create_dir("/opt/worker")?;
    fs::copy(format!("{HOME}/program"), "/opt/worker/run")?;
    opened_by("/opt/worker/run")
}

fn own_root() -> Result<bool> {
    let root = format!("{HOME}/root");
    let program = format!("{root}/opt/worker/run");
    if fs::metadata(&program).is_err() {
        fs::create_dir_all(format!("{root}/opt/worker"))?;
        fs::create_dir_all(format!("{root}/tmp"))?;
        fs::copy(format!("{HOME}/program"), &program)?;
    }
    own_mounts()?;
    bind("/tmp", &format!("{root}/tmp"))?;
    chroot(&root)?;
    opened_by("/opt/worker/run")
}

fn in_memory() -> Result<bool> {
    let program = fs::read(format!("{HOME}/program"))?;
    let fd = i32::try_from(call!(memfd_create(c"/opt/worker/run".as_ptr(), 0))?)?;
    // SAFETY: the descriptor is new, open, and nobody else's.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(&program)?;
    // Opened for reading only: what is open for writing cannot be executed.
    let readable = File::open(format!("/proc/self/fd/{fd}"))?;
    drop(file);
    let stays = call!(fcntl(readable.as_raw_fd(), libc::F_DUPFD, 0))?;
    opened_by(&format!("/proc/self/fd/{stays}"))
}

fn bind_mount() -> Result<bool> {
    let elsewhere = format!("{HOME}/elsewhere");
    fs::create_dir_all(&elsewhere)?;
    own_mounts()?;
    bind("/tmp/attack", &elsewhere)?;
    open(&format!("{elsewhere}/f"))
}

fn detached_mount() -> Result<bool> {
    /// `OPEN_TREE_CLONE` of `include/uapi/linux/mount.h`.
    const CLONE: libc::c_int = 1;
    own_mounts()?;
    let tree = syscall!(SYS_open_tree, libc::AT_FDCWD, c"/tmp/attack".as_ptr(), CLONE)?;
    open(&format!("/proc/self/fd/{tree}/f"))
}

fn nested_mounts() -> Result<bool> {
    let nest = "/tmp/attack/nest";
    fs::create_dir_all(format!("{nest}/m"))?;
    let fifo = format!("{nest}/f");
    if fs::metadata(&fifo).is_err() {
        crate::fifo::make(&fifo)?;
    }
    own_mounts()?;
    let mut top = nest.to_owned();
    for _ in 0..60 {
        top.push_str("/m");
        bind(nest, &top)?;
    }
    ensure!(fs::metadata(format!("{top}/f")).is_ok(), "the mounts are not one in the other");
    open(&format!("{top}/f"))
}

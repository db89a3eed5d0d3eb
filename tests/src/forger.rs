//! Who makes a user namespace gives files the paths that he likes: no exception is granted to him for that.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    fifo,
    mounts::{bind, mount, own_mounts},
    rules::{self, Draft},
    shared,
    suite::{Boot, Test},
    user, work,
};

/// The tests of this file.
pub const TESTS: &[Test] =
    &[Test { name: "forger::no_exception_is_granted_to_a_forged_path", boot: Boot::Plain, run: forged }];

/// An ordinary user.
const USER: u32 = 1000;
const GUARDED: &str = "/tmp/guarded";
/// What may open it.
const WORKER: &str = "/opt/worker/run";
/// What the role says by its exit code.
const OPENED: i32 = 20;
const REFUSED: i32 = 21;

fn forged() -> Result<()> {
    user::fifo_for_all(GUARDED)?;
    fs::create_dir_all("/opt/worker")?;
    fs::copy(work::PROGRAM, WORKER)?;
    let guard = Draft::block(
        "guard",
        &["fifo.open"],
        "path == '/tmp/guarded' && !(process.exe.startsWith('/opt/worker/') && process.trusted)",
    );
    let sensor = shared::enforcing(vec![rules::file("guard.yaml", &[guard])])?;
    let code = |program: &str, arguments: &[&str]| -> Result<Option<i32>> {
        Ok(Command::new(program).arg("work").args(arguments).uid(USER).gid(USER).status()?.code())
    };
    ensure!(code(WORKER, &["guarded"])? == Some(OPENED), "the worker itself is refused");
    for way in ["copy", "bind"] {
        ensure!(code(work::PROGRAM, &["forger", way])? == Some(REFUSED), "{way}: the exception was granted");
    }
    // What others can write is anybody's.
    fs::set_permissions(WORKER, fs::Permissions::from_mode(0o777))?;
    ensure!(code(WORKER, &["guarded"])? == Some(REFUSED), "the exception was granted to what anybody can write");
    fs::remove_dir_all("/opt/worker")?;
    shared::park(sensor);
    Ok(())
}

/// The role: opens the FIFO, and says how that went.
pub fn opener() -> Result<()> {
    let opened = fifo::open(GUARDED).map(drop);
    let code = if fifo::is_refused(&opened) { REFUSED } else { OPENED };
    if code == OPENED {
        opened?;
    }
    std::process::exit(code)
}

/// The role: an executable of the user's own, or one of root's, under the worker's path; it opens the FIFO.
pub fn forger(way: &str) -> Result<()> {
    own_mounts()?;
    mount("none", "/opt", c"tmpfs", 0)?;
    fs::create_dir("/opt/worker")?;
    match way {
        "copy" => drop(fs::copy(work::PROGRAM, WORKER)?),
        "bind" => {
            fs::write(WORKER, "")?;
            bind(work::PROGRAM, WORKER)?;
        }
        _ => bail!("no way {way}"),
    }
    Err(Command::new(WORKER).args(["work", "guarded"]).exec()).context("the forged program does not run")
}

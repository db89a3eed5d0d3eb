//! A path is that of the object, however deep it lies.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use anyhow::{Result, ensure};

use crate::{
    fifo,
    rules::{self, Draft},
    shared, shell,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "paths::a_deep_fifo_is_blocked_by_how_its_path_begins", boot: Boot::Plain, run: deep_fifos },
    Test { name: "paths::mounts_on_the_way_are_no_way_round", boot: Boot::Plain, run: stacked_mounts },
    Test { name: "paths::a_deep_executable_is_not_taken_for_another", boot: Boot::Plain, run: deep_executable },
    Test { name: "paths::of_a_long_path_both_ends_are_known", boot: Boot::Plain, run: both_ends },
];

const USER: u32 = 1000;

/// What bash prints where a rule refuses.
const REFUSED: &str = "Operation not permitted";

/// Opens a file as an ordinary user, in a shell that is this program: whether that was refused.
fn is_refused_to(shell: &str, path: &str) -> Result<bool> {
    let mut bash = Command::new(shell);
    bash.args(["-c", &format!("exec 3<>{path}")]).uid(USER).gid(USER).current_dir("/");
    let output = bash.output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() || words.contains(REFUSED), "{path}: {words}");
    Ok(!output.status.success())
}

/// A directory that many below another, open to everybody.
fn below(top: &str, depth: u32) -> Result<String> {
    let numbers: Vec<_> = (1..=depth).map(|number| format!("/{number}")).collect();
    let path = format!("{top}{}", numbers.concat());
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// A FIFO that everybody may open.
fn open_fifo(path: &str) -> Result<()> {
    fifo::remake(path)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o666))?)
}

fn guard() -> Result<crate::sensor::Sensor> {
    let guard = Draft::block("guard", &["fifo.open"], "path.startsWith('/tmp/')");
    shared::enforcing(vec![rules::file("guard.yaml", &[guard])])
}

fn deep_fifos() -> Result<()> {
    for depth in [1, 44, 45, 50, 500] {
        open_fifo(&format!("{}/f", below("/tmp/deep", depth)?))?;
    }
    open_fifo("/home/deep")?;
    let sensor = guard()?;
    for depth in [1, 44, 45, 50, 500] {
        let path = format!("{}/f", below("/tmp/deep", depth)?);
        ensure!(is_refused_to("/bin/bash", &path)?, "a FIFO {depth} directories deep is opened");
    }
    ensure!(!is_refused_to("/bin/bash", "/home/deep")?, "one elsewhere is not");
    fs::remove_dir_all("/tmp/deep")?;
    shared::park(sensor);
    Ok(())
}

fn stacked_mounts() -> Result<()> {
    let mounted = shell::run(
        "mkdir -p /tmp/stack && for i in $(seq 60); do mount -t tmpfs none /tmp/stack; done && mkfifo -m 666 /tmp/stack/f",
    )?;
    ensure!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
    let sensor = guard()?;
    let refused = is_refused_to("/bin/bash", "/tmp/stack/f");
    shell::run("for i in $(seq 60); do umount /tmp/stack; done")?;
    ensure!(refused?, "a FIFO below 60 mounts is opened");
    shared::park(sensor);
    Ok(())
}

fn deep_executable() -> Result<()> {
    open_fifo("/run/q")?;
    let (forged, worker) = (below("/home/user/opt/worker", 45)?, "/opt/worker");
    fs::create_dir_all(worker)?;
    for directory in [&*forged, worker] {
        fs::copy("/bin/bash", format!("{directory}/cat"))?;
    }
    let condition = "path == '/run/q' && !process.exe.startsWith('/opt/worker/')";
    let sensor = shared::enforcing(vec![rules::file("q.yaml", &[Draft::block("q", &["fifo.open"], condition)])])?;
    ensure!(is_refused_to(&format!("{forged}/cat"), "/run/q")?, "a program below /home passes for one of /opt/worker");
    ensure!(!is_refused_to("/opt/worker/cat", "/run/q")?, "the exception does not hold for its own program");
    shared::park(sensor);
    Ok(())
}

fn both_ends() -> Result<()> {
    let path = format!("{}/the-end", below("/tmp/ends", 500)?);
    let rule = Draft::alert("ends", &["fifo.open"], "path.startsWith('/tmp/ends/')");
    let sensor = shared::sensor(vec![rules::file("ends.yaml", &[rule])])?;
    open_fifo(&path)?;
    fifo::open(&path)?;
    let reports = sensor.reports()?;
    ensure!(reports.len() == 1, "{reports:#?}");
    let kept = format!("{}\u{2026}{}", &path[..128], &path[path.len() - 128..]);
    ensure!(reports[0]["path"] == kept, "{:#}, not {kept}", reports[0]);
    fs::remove_dir_all("/tmp/ends")?;
    shared::park(sensor);
    Ok(())
}

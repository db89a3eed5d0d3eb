//! Every event is there, exactly as often as something is done, with exactly the values that are known of it; and what
//! cannot be seen is named.
//!
//! An **actor**, a process with users, capabilities, cgroup and parents of its own, first collects a
//! [`plan`]: steps, each with the events that have to be seen of it. The test makes rules of that, which ask
//! for every known value, lets the actor carry out its plan, and compares ([`judge`]) the reports with it,
//! one by one.
//!
//! | Module | Holds |
//! |---|---|
//! | `fifo`, `pipe`, `unix`, `sysv`, `mqueue`, `shm`, `process` | the steps of one family each, by every system call |
//! | `uring` | the same by `io_uring` |
//! | `compat` | the same by system calls of 32-bit programs |
//! | `gaps` | what no hook sees |
//! | `known` | what is known without the sensor, from `/proc` and `stat` |
//! | `setting` | what the actor finds, and who it is |
//! | `child`, `call` | processes and system calls of the actor |

pub(crate) mod call;
mod child;
pub(crate) mod compat;
mod fifo;
mod gaps;
mod judge;
pub(crate) mod known;
mod mqueue;
mod pipe;
mod plan;
mod process;
mod setting;
mod shm;
mod sysv;
pub(crate) mod unix;
mod uring;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use sensor_common::event::{Event::ProcessExit, Hook};
use sensor_user::kernel::probe::{Finding, Host};
use serde_json::Value;

use crate::{
    fifo as call_fifo,
    protocol::Table,
    report, rules,
    sensor::{field, names_rule},
    shared,
    suite::{self, Boot, Test},
    wait, work,
};
use call::{call, syscall};
use judge::Rules;
use plan::{Plan, Script, Seen};
use setting::{CAPABILITIES, CGROUP, DIRECTORY, EFFECTIVE_USER, LOGIN_USER, OWNER, PARENT_USER, PAYLOAD, USER, at};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "conformance::every_event_has_every_known_value", boot: Boot::Plain, run: by_lsm },
    Test { name: "conformance::the_same_by_modify_return", boot: Boot::WithoutBpf, run: by_fentry },
    Test { name: "conformance::the_same_where_nothing_can_be_blocked", boot: Boot::Observe, run: by_fentry },
    Test {
        name: "conformance::what_tracepoints_see_has_every_known_value",
        boot: Boot::Tracepoints,
        run: by_tracepoints,
    },
];

/// Whether the kernel has the system calls of 32-bit programs.
pub fn has_compat() -> Result<bool> {
    compat::is_there()
}

/// The role of those above the actor: executable and name of their own each.
pub fn above(role: &str) -> Result<()> {
    work::name_thread(role)?;
    let (next, program) = match role {
        "grandparent" => ("parent", "parent-program"),
        "parent" => {
            fs::write("/proc/self/loginuid", LOGIN_USER.to_string()).context("cannot set the login user")?;
            call!(unshare(libc::CLONE_NEWNS))?;
            syscall!(SYS_setresuid, PARENT_USER, 0, 0)?;
            ("actor", "actor-program")
        }
        _ => ("grandparent", "grandparent-program"),
    };
    let status = Command::new(at(program)).args(["work", next]).stdin(Stdio::null()).status()?;
    ensure!(status.success(), "the {next} ended with {status}");
    Ok(())
}

/// The role of the actor: acts in a second thread, as a user whose effective id is another.
pub fn actor() -> Result<()> {
    fs::write(format!("{CGROUP}/cgroup.procs"), std::process::id().to_string())?;
    thread::spawn(act).join().map_err(|_| anyhow::anyhow!("the actor panicked"))?
}

fn act() -> Result<()> {
    work::name_thread("actor")?;
    call!(umask(0))?;
    become_user()?;
    let mut plan = Plan::new()?;
    fifo::plan(&mut plan)?;
    pipe::plan(&mut plan)?;
    unix::plan(&mut plan)?;
    sysv::plan(&mut plan)?;
    mqueue::plan(&mut plan)?;
    shm::plan(&mut plan)?;
    process::plan(&mut plan)?;
    uring::plan(&mut plan)?;
    compat::plan(&mut plan)?;
    let (script, acts) = plan.finish();
    work::announce(&at("script.json"), &serde_json::to_string(&script)?)?;
    work::wait_for(&at("go"));
    for (what, act) in acts {
        act().with_context(|| format!("step {what:?}"))?;
    }
    Ok(())
}

/// Takes on a real and an effective user and few capabilities, for the calling thread and its children. The
/// raw calls: the library's would change every thread of the process, and needs all of them to answer.
fn become_user() -> Result<()> {
    call!(prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
    syscall!(SYS_setresuid, USER, EFFECTIVE_USER, EFFECTIVE_USER)?;
    // `_LINUX_CAPABILITY_VERSION_3`; then effective, permitted, inheritable, in two halves.
    let header = [0x2008_0522_u32, 0];
    let low = u32::try_from(CAPABILITIES)?;
    let sets = [low, low, 0, 0, 0, 0_u32];
    syscall!(SYS_capset, header.as_ptr(), sets.as_ptr())?;
    // Who changes users may not look at itself in /proc any more, unless it says so.
    call!(prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0)).map(drop)
}

/// Notes for each operation whether it is seen.
fn by_lsm() -> Result<()> {
    let hooks = hooks();
    let script = conforms(&hooks)?;
    let mut noted = BTreeSet::new();
    for line in &script.lines {
        let events = line.seen.iter().map(Seen::event).collect::<Result<Vec<_>>>()?;
        let value = if line.gap {
            "gap"
        } else if events.iter().all(|event| hooks.contains(&event.hook())) {
            "seen"
        } else {
            "no hook"
        };
        if noted.insert(&line.what) {
            report::fact(Table::Operations, &line.what, value);
        }
    }
    script.absent.iter().for_each(|what| report::fact(Table::Operations, what, "no such call"));
    Ok(())
}

/// Notes whether as much is seen.
fn by_fentry() -> Result<()> {
    let hooks = hooks();
    conforms(&hooks)?;
    let missing: Vec<_> = Hook::ALL.iter().filter(|hook| !hooks.contains(hook)).map(|hook| hook.name()).collect();
    let value = if missing.is_empty() { "all".to_owned() } else { format!("all but those of {}", missing.join(", ")) };
    report::fact(Table::Kernel, "events seen by fentry, without BPF LSM", &value);
    Ok(())
}

fn by_tracepoints() -> Result<()> {
    conforms(&hooks()).map(drop)
}

/// Lets the actor act, and compares; what it did.
fn conforms(hooks: &[Hook]) -> Result<Script> {
    prepare()?;
    let sensor = shared::sensor(vec![rules::file("none.yaml", &[rules::NONE])])?;
    let mut eldest = Command::new(work::PROGRAM);
    eldest.args(["work", "great-grandparent"]).stdin(Stdio::null()).stderr(fs::File::create(at("words"))?);
    let mut eldest = eldest.spawn()?;
    let script = wait::until("the actor", || {
        if let Some(status) = eldest.try_wait()? {
            bail!("the actor ended, with {status}: {}", words());
        }
        Ok(fs::read_to_string(at("script.json")).ok())
    })?;
    let script: Script = serde_json::from_str(&script)?;
    let expected = judge::expected(&script, hooks, suite::mode())?;
    let rules = Rules::new(&script, &expected)?;
    sensor.push(vec![rules.file()])?;
    work::announce(&at("go"), "")?;
    let status = wait::until("the actor to end", || Ok(eldest.try_wait()?))?;
    ensure!(status.success(), "the actor ended, with {status}: {}", words());
    // Others match rules of an object too: who ends well, say. And the actor's process ends with its last
    // thread, which may be one of the kernel's that work for its rings.
    let is_own_end =
        |report: &Value| report["event"] == ProcessExit.name() && *field(report, "process.pid") == script.pid;
    let mut reports = sensor.reports()?;
    reports.retain(|report| names_rule(report, judge::SEEN) && !is_own_end(report));
    judge::compare(&script, &expected, &rules, &reports)?;
    shared::park(sensor);
    Ok(script)
}

/// What the actor and those above it complained of.
fn words() -> String {
    fs::read_to_string(at("words")).unwrap_or_default()
}

/// Ends what is left of the actors, and removes their cgroups, which would outlive a room.
///
/// # Errors
/// Where something stays in them.
pub fn leave() -> Result<()> {
    for cgroup in Path::new(CGROUP).ancestors().take(2).filter(|cgroup| cgroup.is_dir()) {
        fs::write(cgroup.join("cgroup.kill"), "1")?;
        wait::until("the actors to be gone", || {
            Ok(fs::read_to_string(cgroup.join("cgroup.events"))?.contains("populated 0").then_some(()))
        })?;
        fs::remove_dir(cgroup).with_context(|| cgroup.display().to_string())?;
    }
    Ok(())
}

/// The hooks that this kernel has; those that it lacks are said.
fn hooks() -> Vec<Hook> {
    let mut there = Vec::new();
    for (hook, finding) in Host::probe_in(suite::mode()).hooks {
        match finding {
            Finding::Yes(_) => there.push(hook),
            Finding::No(_) if !hook.is_seen_in(suite::mode()) => {}
            Finding::No(why) | Finding::Unknown(why) => {
                report::say(format!("no hook {}: {why}", hook.name()));
            }
        }
    }
    there
}

fn prepare() -> Result<()> {
    fs::remove_dir_all(DIRECTORY).ok();
    fs::create_dir_all(DIRECTORY)?;
    fs::set_permissions(DIRECTORY, fs::Permissions::from_mode(0o777))?;
    fs::create_dir_all(CGROUP)?;
    // The last one ends at once, and well.
    for program in ["grandparent-program", "parent-program", "actor-program", "idle"] {
        fs::copy(work::PROGRAM, at(program))?;
    }
    fs::write(at("file"), PAYLOAD)?;
    call_fifo::make(&at("fifo").to_string_lossy())?;
    for (name, mode) in [("fifo", 0o666), ("file", 0o666), ("idle", 0o755)] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode))?;
        chown(at(name), Some(OWNER), None)?;
    }
    Ok(())
}

//! Processes: programs started, control taken, signals, ends.

use std::{
    ffi::{CStr, CString},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    ptr,
    rc::Rc,
    sync::atomic::AtomicU8,
};

use anyhow::{Context as _, Result, ensure};
use sensor_common::event::Event::{
    ProcessExec, ProcessExit, ProcessPtrace, ProcessSignal, ProcessStart, ProcessTraceme,
};
use serde_json::json;

use super::{
    call::{Room, call, syscall},
    child::Child,
    fifo, gaps,
    known::{self, Values, values},
    plan::{Plan, Seen, by, seen},
    setting::{USER, at},
};

/// A byte that is at the same place in the memory of every process that was forked.
static BYTE: AtomicU8 = AtomicU8::new(0);
/// The library does not name it.
const F_SETSIG: i32 = 10;

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan) -> Result<()> {
    programs(plan)?;
    ends(plan)?;
    let target = plan.child(|| {
        loop {
            call!(pause())?;
        }
    })?;
    target.release()?;
    control(plan, &target)?;
    let traced = plan.child(|| {
        call!(ptrace(libc::PTRACE_TRACEME, 0, 0, 0))?;
        Ok(0)
    })?;
    let mut parent = known::target(std::process::id())?;
    // The thread that made the child.
    parent.insert("target.comm".to_owned(), json!("actor"));
    parent.insert("target.uid".to_owned(), json!(USER));
    let traceme = by(traced.actor, ProcessTraceme, &parent);
    plan.step("PTRACE_TRACEME", vec![traceme, exit(traced.actor, 0)], move || traced.run().map(drop));
    signals(plan, &target)
}

/// The end of an actor, with its wait status.
pub fn exit(actor: usize, status: i32) -> Seen {
    by(actor, ProcessExit, &values([("exit_status", json!(status))]))
}

/// What is known of a file that is executed.
pub fn program(path: &Path, interpreter: &str) -> Result<Values> {
    Ok(known::all([&known::named(path)?, &values([("interpreter", json!(interpreter))])]))
}

fn programs(plan: &mut Plan) -> Result<()> {
    let file = at("idle");
    let name = file.to_string_lossy().into_owned();
    let arguments: &[&CStr] = &[c"a-name", c"-x"];
    let direct = program(&file, &name)?;
    exec(plan, "execve", arguments, Some("idle"), &[direct], {
        let name = fifo::path(&file)?;
        move |argv| syscall!(SYS_execve, name.as_ptr(), argv, NO_ENVIRONMENT.as_ptr())
    })?;
    let fd = known::leak(&file, libc::O_RDONLY)?;
    // The name that the kernel makes up.
    let by_fd = program(&file, &format!("/dev/fd/{fd}"))?;
    exec(plan, "execveat of a descriptor", arguments, None, &[by_fd], move |argv| {
        syscall!(SYS_execveat, fd, c"".as_ptr(), argv, NO_ENVIRONMENT.as_ptr(), libc::AT_EMPTY_PATH)
    })?;
    let script = at("script");
    fs::write(&script, format!("#!{name} once\n"))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let script_name = script.to_string_lossy().into_owned();
    let both = [program(&script, &script_name)?, program(&file, &name)?];
    let argv = [fifo::path(&file)?, c"once".to_owned(), fifo::path(&script)?, c"-x".to_owned()];
    let argv: Vec<&CStr> = argv.iter().map(CString::as_c_str).collect();
    exec(plan, "execve of a script", &argv, Some("script"), &both, {
        let script = fifo::path(&script)?;
        move |_| {
            let argv = [c"a-name".as_ptr(), c"-x".as_ptr(), ptr::null()];
            syscall!(SYS_execve, script.as_ptr(), argv.as_ptr(), NO_ENVIRONMENT.as_ptr())
        }
    })
}

const NO_ENVIRONMENT: [*const libc::c_char; 1] = [ptr::null()];

/// A child that becomes another program, which ends at once; `files` are those that are looked at on the way.
/// Without a known name `comm`: a process started from a descriptor is called by its number, or in newer
/// stable releases by the file's name.
pub fn exec(
    plan: &mut Plan,
    what: &str,
    arguments: &[&CStr],
    comm: Option<&str>,
    files: &[Values],
    call: impl FnOnce(*const *const libc::c_char) -> Result<i64>,
) -> Result<()> {
    let mut argv: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    argv.push(ptr::null());
    let child = plan.child(move || call(argv.as_ptr()).map(|_| 0))?;
    let mut new = plan.known(child.actor).clone();
    let text: Vec<u8> = arguments.iter().flat_map(|argument| argument.to_bytes_with_nul().to_vec()).collect();
    new.insert("process.arguments".to_owned(), json!(String::from_utf8(text)?));
    new.insert("process.comm".to_owned(), json!(comm));
    new.insert("process.exe".to_owned(), json!(at("idle").to_string_lossy()));
    new.insert("process.trusted".to_owned(), json!(known::is_trusted(at("idle"))?));
    // No file capability, and no user who is root.
    new.insert("process.capabilities".to_owned(), json!(0));
    let new = plan.actor(new);
    let mut seen: Vec<_> = files.iter().map(|file| by(child.actor, ProcessExec, file)).collect();
    seen.extend([by(new, ProcessStart, &Values::new()), exit(new, 0)]);
    plan.step(what, seen, move || {
        let status = child.run()?;
        ensure!(status == 0, "the program ended with wait status {status:#x}");
        Ok(())
    });
    Ok(())
}

fn ends(plan: &mut Plan) -> Result<()> {
    let child = plan.child(|| {
        syscall!(SYS_exit, 3)?;
        Ok(0)
    })?;
    plan.step("exit", vec![exit(child.actor, 3 << 8)], move || child.run().map(drop));
    let child = plan.child(|| Ok(7))?;
    plan.step("exit_group", vec![exit(child.actor, 7 << 8)], move || child.run().map(drop));
    Ok(())
}

fn control(plan: &mut Plan, target: &Rc<Child>) -> Result<()> {
    let pid = target.id();
    let taken = || Ok::<_, anyhow::Error>(vec![seen(ProcessPtrace, &known::target(target.pid)?)]);
    plan.step("PTRACE_ATTACH", taken()?, move || {
        call!(ptrace(libc::PTRACE_ATTACH, pid, 0, 0))?;
        call!(waitpid(pid, ptr::null_mut(), 0))?;
        call!(ptrace(libc::PTRACE_DETACH, pid, 0, 0)).map(drop)
    });
    plan.step("PTRACE_SEIZE", taken()?, move || {
        call!(ptrace(libc::PTRACE_SEIZE, pid, 0, 0))?;
        call!(ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0))?;
        call!(waitpid(pid, ptr::null_mut(), 0))?;
        call!(ptrace(libc::PTRACE_DETACH, pid, 0, 0)).map(drop)
    });
    for (what, number) in
        [("process_vm_readv", libc::SYS_process_vm_readv), ("process_vm_writev", libc::SYS_process_vm_writev)]
    {
        plan.step(what, taken()?, move || {
            let mut room = Room::new(1);
            let (here, there) = ([room.segment()], [libc::iovec { iov_base: BYTE.as_ptr().cast(), iov_len: 1 }]);
            // As wide as the kernel takes them: it looks at all 64 bits.
            call!(syscall(number, pid, here.as_ptr(), 1_usize, there.as_ptr(), 1_usize, 0_usize)).map(drop)
        });
    }
    let name = CString::new(format!("/proc/{pid}/mem"))?;
    plan.step("open of /proc/PID/mem", taken()?, move || call!(open(name.as_ptr(), libc::O_RDONLY)).map(drop));
    Ok(())
}

fn signals(plan: &mut Plan, target: &Rc<Child>) -> Result<()> {
    let pid = target.id();
    let known = known::target(target.pid)?;
    let sent = |signal: i32| vec![seen(ProcessSignal, &known).with("signal", signal)];
    plan.step("kill with signal 0", sent(0), move || syscall!(SYS_kill, pid, 0).map(drop));
    plan.step("kill", sent(libc::SIGCONT), move || syscall!(SYS_kill, pid, libc::SIGCONT).map(drop));
    plan.step("tkill", sent(libc::SIGCONT), move || syscall!(SYS_tkill, pid, libc::SIGCONT).map(drop));
    plan.step("tgkill", sent(libc::SIGCONT), move || syscall!(SYS_tgkill, pid, pid, libc::SIGCONT).map(drop));
    let pidfd = i32::try_from(syscall!(SYS_pidfd_open, pid, 0)?)?;
    plan.step("pidfd_send_signal", sent(libc::SIGCONT), move || {
        syscall!(SYS_pidfd_send_signal, pidfd, libc::SIGCONT, ptr::null::<u8>(), 0).map(drop)
    });
    plan.step("rt_sigqueueinfo", sent(libc::SIGCONT), move || {
        // SAFETY: numbers, for which all bits at zero are a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        info.si_code = -1;
        syscall!(SYS_rt_sigqueueinfo, pid, libc::SIGCONT, &raw const info).map(drop)
    });
    by_file(plan, target)?;
    let dies = vec![seen(ProcessSignal, &known).with("signal", libc::SIGKILL), exit(target.actor, libc::SIGKILL)];
    let target = Rc::clone(target);
    plan.step("kill with SIGKILL", dies, move || {
        syscall!(SYS_kill, pid, libc::SIGKILL)?;
        let status = target.ended()?;
        ensure!(status == libc::SIGKILL, "it ended with wait status {status:#x}");
        Ok(())
    });
    Ok(())
}

/// The kernel signals the owner of a file when there is news.
fn by_file(plan: &mut Plan, target: &Rc<Child>) -> Result<()> {
    let mut ends = [0; 2];
    call!(socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr())).context("a pair")?;
    let pid = target.id();
    call!(fcntl(ends[0], libc::F_SETOWN, pid))?;
    call!(fcntl(ends[0], F_SETSIG, libc::SIGURG))?;
    call!(fcntl(ends[0], libc::F_SETFL, libc::O_ASYNC))?;
    // The other end is closed: that is news, and no event of a socket.
    plan.gap(&gaps::SIGIO, vec![], move || call!(close(ends[1])).map(drop));
    Ok(())
}

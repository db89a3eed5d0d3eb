//! Control of processes, as a 32-bit program takes it.

use std::{ptr, rc::Rc};

use anyhow::{Result, ensure};
use sensor_common::event::Event::{ProcessPtrace, ProcessSignal};

use super::{
    super::{
        call::{call as native, syscall},
        child::Child,
        fifo, known,
        plan::{Plan, seen},
        process::{exec, exit, program},
    },
    entry::{Low, call, segments, word},
};
use crate::conformance::setting::at;

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    let target = plan.child(|| {
        loop {
            native!(pause())?;
        }
    })?;
    target.release()?;
    programs(plan, low)?;
    control(plan, low, &target)?;
    signals(plan, low, &target)
}

fn programs(plan: &mut Plan, low: &Rc<Low>) -> Result<()> {
    let file = at("idle");
    let direct = program(&file, &file.to_string_lossy())?;
    let name = low.text(&fifo::path(&file)?);
    let (argv, none) = (low.words(&[low.text(c"a-name"), low.text(c"-x"), 0]), low.words(&[0]));
    exec(plan, "32-bit execve", &[c"a-name", c"-x"], Some("idle"), &[direct], move |_| {
        call("execve", 11, &[name, argv, none]).map(i64::from)
    })?;
    let child = plan.child(|| {
        call("exit", 1, &[3])?;
        Ok(0)
    })?;
    plan.step("32-bit exit", vec![exit(child.actor, 3 << 8)], move || child.run().map(drop));
    Ok(())
}

fn control(plan: &mut Plan, low: &Rc<Low>, target: &Rc<Child>) -> Result<()> {
    let pid = target.id();
    let taken = vec![seen(ProcessPtrace, &known::target(target.pid)?)];
    plan.step("32-bit ptrace(PTRACE_ATTACH)", taken.clone(), move || {
        call("ptrace", 26, &[libc::PTRACE_ATTACH, word(pid), 0, 0])?;
        native!(waitpid(pid, ptr::null_mut(), 0))?;
        native!(ptrace(libc::PTRACE_DETACH, pid, 0, 0)).map(drop)
    });
    // The target was forked behind `low`: this memory is its memory too.
    let (here, there) = (segments(low, &[&[0]]), segments(low, &[&[0]]));
    for (what, number) in [("process_vm_readv", 347), ("process_vm_writev", 348)] {
        plan.step(&format!("32-bit {what}"), taken.clone(), move || {
            call(what, number, &[word(pid), here, 1, there, 1, 0]).map(drop)
        });
    }
    Ok(())
}

fn signals(plan: &mut Plan, low: &Rc<Low>, target: &Rc<Child>) -> Result<()> {
    let pid = target.id();
    let process = word(pid);
    let continues = word(libc::SIGCONT);
    let pidfd = i32::try_from(syscall!(SYS_pidfd_open, pid, 0)?)?;
    // `struct compat_siginfo`: number, error, code, of 128 bytes.
    let info = low.words(&[&[continues, 0, u32::MAX][..], &[0; 29]].concat());
    let sent = seen(ProcessSignal, &known::target(target.pid)?);
    for (what, number, arguments) in [
        ("kill", 37, vec![process, continues]),
        ("tkill", 238, vec![process, continues]),
        ("tgkill", 270, vec![process, process, continues]),
        ("rt_sigqueueinfo", 178, vec![process, continues, info]),
        ("pidfd_send_signal", 424, vec![word(pidfd), continues, 0, 0]),
    ] {
        plan.step(&format!("32-bit {what}"), vec![sent.clone().with("signal", libc::SIGCONT)], move || {
            call(what, number, &arguments).map(drop)
        });
    }
    let dies = vec![sent.with("signal", libc::SIGKILL), exit(target.actor, libc::SIGKILL)];
    let target = Rc::clone(target);
    plan.step("32-bit kill with SIGKILL", dies, move || {
        call("kill", 37, &[process, word(libc::SIGKILL)])?;
        let status = target.ended()?;
        ensure!(status == libc::SIGKILL, "it ended with wait status {status:#x}");
        Ok(())
    });
    Ok(())
}

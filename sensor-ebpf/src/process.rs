//! Processes: programs started, control taken, signals, ends.

use sensor_common::{
    event::{Event, Groups},
    maps::Generation,
    record::TEXT_MAX,
};

use crate::{
    actor,
    hook::{Context, fentry_hook, lsm_hook},
    kernel::{BPRM_FILE, BPRM_INTERP, Ptr, Struct, TASK_EXIT_CODE},
    memory::Memory,
    object::File,
    record::Held,
    scratch::Wanted,
    subject::{Nothing, Seen, Subject},
    text,
};

const PTRACE_MODE_ATTACH: u32 = 2;

/// A program that is about to be started.
struct Exec {
    bprm: Struct,
    file: File,
}

impl Exec {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        let bprm = Struct::typed(ctx.arg(0));
        Some((Event::ProcessExec, Self { bprm, file: File::new(bprm.follow(&BPRM_FILE)) }))
    }
}

impl Subject for Exec {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.file.fill(held, wanted);
        if wanted.contains(Groups::INTERPRETER) {
            let from = self.bprm.get::<u64>(&BPRM_INTERP) as Ptr;
            text::keep_string(&mut held.record.program.interpreter, held.scratch, Memory::Kernel, from, TEXT_MAX);
        }
    }
}

lsm_hook! {
    /// `int bprm_check_security(struct linux_binprm *bprm)`
    bprm_check_security, Exec::seen
}

#[inline(always)]
fn started<C: Context>(_: &C) -> Seen<Nothing> {
    Some((Event::ProcessStart, Nothing))
}

fentry_hook! {
    /// `void finalize_exec(struct linux_binprm *bprm)`
    finalize_exec, started
}

/// Another process that something is done to.
struct Target(Struct);

impl Subject for Target {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        actor::fill_target(held, wanted, self.0);
    }
}

#[inline(always)]
fn accessed<C: Context>(ctx: &C) -> Seen<Target> {
    let mode: u32 = ctx.arg(1);
    (mode & PTRACE_MODE_ATTACH != 0).then_some((Event::ProcessPtrace, Target(Struct::typed(ctx.arg(0)))))
}

lsm_hook! {
    /// `int ptrace_access_check(struct task_struct *child, unsigned int mode)`
    ptrace_access_check, accessed
}

#[inline(always)]
fn traced<C: Context>(ctx: &C) -> Seen<Target> {
    Some((Event::ProcessTraceme, Target(Struct::typed(ctx.arg(0)))))
}

lsm_hook! {
    /// `int ptrace_traceme(struct task_struct *parent)`
    ptrace_traceme, traced
}

/// A signal on its way to another process.
struct Signal {
    target: Target,
    number: u32,
}

impl Signal {
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        Some((Event::ProcessSignal, Self { target: Target(Struct::typed(ctx.arg(0))), number: ctx.arg(2) }))
    }
}

impl Subject for Signal {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        self.target.fill(held, wanted);
        if wanted.contains(Groups::SIGNAL) {
            held.record.object.signal = self.number;
        }
    }

    #[inline(always)]
    fn matches_none(&self, _event: Event, generation: &Generation) -> bool {
        self.number < u64::BITS && generation.signals & (1 << self.number) == 0
    }
}

lsm_hook! {
    /// `int task_kill(struct task_struct *p, struct kernel_siginfo *info, int sig, const struct cred *cred)`
    task_kill, Signal::seen
}

/// The end of a process.
struct Exit(Struct);

impl Exit {
    /// Called for each thread; the last one ends the process.
    #[inline(always)]
    fn seen<C: Context>(ctx: &C) -> Seen<Self> {
        let is_last: u32 = ctx.arg(1);
        (is_last != 0).then_some((Event::ProcessExit, Self(Struct::typed(ctx.arg(0)))))
    }
}

impl Subject for Exit {
    #[inline(always)]
    fn fill(&self, held: &mut Held, wanted: Wanted) {
        if wanted.contains(Groups::EXIT) {
            held.record.object.exit_status = self.0.get(&TASK_EXIT_CODE);
        }
    }
}

fentry_hook! {
    /// `void taskstats_exit(struct task_struct *tsk, int group_dead)`
    taskstats_exit, Exit::seen
}

//! The programs of one hook, made from what the hook sees.
//!
//! Each hook is a module with its name. In it are the program that starts an event and the one that ends it,
//! three times for LSM hooks: for the hook itself, and for the kernel's function that calls it, where BPF LSM
//! is not active: once to decide whether that function runs, once to observe only.

use aya_ebpf::{
    Argument, EbpfContext,
    maps::ProgramArray,
    programs::{FEntryContext, FExitContext, LsmContext},
};

use crate::{
    stage::{self, ALLOW, Answer},
    subject::{Seen, Subject},
};

/// The arguments of the hook, in both ways of being attached.
pub trait Context: EbpfContext {
    /// Argument `n`, from 0.
    fn arg<T: Argument>(&self, n: usize) -> T;
}

impl Context for LsmContext {
    #[inline(always)]
    fn arg<T: Argument>(&self, n: usize) -> T {
        self.arg(n)
    }
}

impl Context for FEntryContext {
    #[inline(always)]
    fn arg<T: Argument>(&self, n: usize) -> T {
        self.arg(n)
    }
}

impl Context for FExitContext {
    #[inline(always)]
    fn arg<T: Argument>(&self, n: usize) -> T {
        self.arg(n)
    }
}

/// Starts an event.
#[inline(always)]
pub fn start<C: EbpfContext, S: Subject>(ctx: &C, stages: &ProgramArray, answer: Answer, seen: Seen<S>) -> i32 {
    match seen {
        Some((event, subject)) => stage::judge(ctx, stages, answer, event, &subject),
        None => ALLOW,
    }
}

/// Declares one program: `program!(NAME, "section", Context, |ctx| answer)`. No closure is made of the
/// answer: the compiler may make that a function of its own, and from a tail call inside one anything can
/// come back, which newer verifiers (6.18) refuse as the answer of an LSM program.
macro_rules! program {
    ($symbol:ident, $name:expr, $section:expr, $context:ident, |$ctx:ident| $answer:expr) => {
        #[unsafe(export_name = $name)]
        #[unsafe(link_section = $section)]
        pub fn $symbol(ctx: *mut core::ffi::c_void) -> i32 {
            let $ctx = &$context::new(ctx);
            $answer
        }
    };
}

/// Declares the program array of a hook: the kernel refuses a tail call between programs of different prototypes.
/// Pinned: rules go on to finish through it.
macro_rules! stages {
    ($name:ident) => {
        #[unsafe(export_name = concat!("STAGES_", stringify!($name)))]
        #[unsafe(link_section = "maps")]
        pub static STAGES: ProgramArray = ProgramArray::pinned(STAGE_COUNT, 0);
    };
}

/// Declares the programs of an LSM hook. `$seen` is a function from the context to [`Seen`]; `$observed` is
/// the same for the kernel's function that calls the hook, where its arguments are others.
macro_rules! lsm_hook {
    ($(#[$doc:meta])* $name:ident, $seen:expr) => {
        lsm_hook! { $(#[$doc])* $name, $seen, $seen }
    };
    ($(#[$doc:meta])* $name:ident, $seen:expr, $observed:expr) => {
        $(#[$doc])*
        pub mod $name {
            use aya_ebpf::{maps::ProgramArray, programs::{FEntryContext, LsmContext}};
            use sensor_common::maps::STAGES as STAGE_COUNT;
            #[allow(unused_imports, reason = "what the hook sees is named as in the file around it")]
            use super::*;
            use $crate::{hook::{self, program, stages}, stage::{self, Answer}};

            stages!($name);
            program!(start, stringify!($name), concat!("lsm/", stringify!($name)), LsmContext,
                |ctx| hook::start(ctx, &STAGES, Answer::Counts, $seen(ctx)));
            program!(finish, concat!("finish_", stringify!($name)), concat!("lsm/", stringify!($name)), LsmContext,
                |ctx| stage::finish(ctx, &STAGES, Answer::Counts, #[inline(always)] || $seen(ctx)));
            program!(modify, concat!("modify_", stringify!($name)), "fentry/modify", FEntryContext,
                |ctx| hook::start(ctx, &STAGES, Answer::Counts, $observed(ctx)));
            program!(finish_modify, concat!("finish_modify_", stringify!($name)), "fentry/modify", FEntryContext,
                |ctx| stage::finish(ctx, &STAGES, Answer::Counts, #[inline(always)] || $observed(ctx)));
            program!(observe, concat!("observe_", stringify!($name)), "fentry/observe", FEntryContext,
                |ctx| hook::start(ctx, &STAGES, Answer::Observes, $observed(ctx)));
            program!(finish_observe, concat!("finish_observe_", stringify!($name)), "fentry/observe", FEntryContext,
                |ctx| stage::finish(ctx, &STAGES, Answer::Observes, #[inline(always)] || $observed(ctx)));
        }
    };
}

/// Declares a program at an LSM hook that is no event's, and the same for the kernel's function that calls the hook.
/// `$answer` is a function from the context to what the program returns.
macro_rules! lsm_guard {
    ($(#[$doc:meta])* $name:ident, $hook:literal, $answer:expr) => {
        $(#[$doc])*
        pub mod $name {
            use aya_ebpf::programs::{FEntryContext, LsmContext};
            #[allow(unused_imports, reason = "what the program does is named as in the file around it")]
            use super::*;
            use $crate::hook::program;

            program!(guard, stringify!($name), concat!("lsm/", $hook), LsmContext, |ctx| $answer(ctx));
            program!(modify, concat!("modify_", stringify!($name)), "fentry/modify", FEntryContext, |ctx| $answer(ctx));
        }
    };
}

/// Declares the programs of a hook at the entry of a kernel function: it observes only.
macro_rules! fentry_hook {
    ($(#[$doc:meta])* $name:ident, $seen:expr) => {
        $(#[$doc])*
        pub mod $name {
            use aya_ebpf::{maps::ProgramArray, programs::FEntryContext};
            use sensor_common::maps::STAGES as STAGE_COUNT;
            #[allow(unused_imports, reason = "what the hook sees is named as in the file around it")]
            use super::*;
            use $crate::{hook::{self, program, stages}, stage::{self, Answer}};

            stages!($name);
            program!(start, stringify!($name), concat!("fentry/", stringify!($name)), FEntryContext,
                |ctx| hook::start(ctx, &STAGES, Answer::Observes, $seen(ctx)));
            program!(finish, concat!("finish_", stringify!($name)), concat!("fentry/", stringify!($name)), FEntryContext,
                |ctx| stage::finish(ctx, &STAGES, Answer::Observes, #[inline(always)] || $seen(ctx)));
        }
    };
}

/// Declares the programs of a hook where a kernel function returns: what it did can be refused no more, only
/// kept from being read. `$begins` is [`Seen`] where the event is to be judged at all, `$seen` what it is about.
macro_rules! fexit_hook {
    ($(#[$doc:meta])* $name:ident, $begins:expr, $seen:expr) => {
        $(#[$doc])*
        pub mod $name {
            use aya_ebpf::{maps::ProgramArray, programs::FExitContext};
            use sensor_common::maps::STAGES as STAGE_COUNT;
            #[allow(unused_imports, reason = "what the hook sees is named as in the file around it")]
            use super::*;
            use $crate::{hook::{self, program, stages}, stage::{self, Answer}};

            stages!($name);
            program!(start, stringify!($name), concat!("fexit/", stringify!($name)), FExitContext,
                |ctx| hook::start(ctx, &STAGES, Answer::Keeps, $begins(ctx)));
            program!(finish, concat!("finish_", stringify!($name)), concat!("fexit/", stringify!($name)), FExitContext,
                |ctx| stage::finish(ctx, &STAGES, Answer::Keeps, #[inline(always)] || $seen(ctx)));
        }
    };
}

pub(crate) use {fentry_hook, fexit_hook, lsm_guard, lsm_hook, program, stages};

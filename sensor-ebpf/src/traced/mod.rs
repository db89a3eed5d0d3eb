//! Hooks where neither LSM nor fentry programs are permitted: programs at the exit of system calls.
//!
//! One program each for the hooks that have [`syscalls`](sensor_common::hook::Hook::syscalls), attached to
//! the tracepoints of all of these. The event has happened by then, and only calls that succeeded are looked
//! at. What the arguments were is still in the registers that the process came into the kernel with; what
//! they point to, the process can have changed since the kernel looked.

pub mod fifo;
pub mod pipe;
pub mod unix;

use aya_ebpf::{
    EbpfContext,
    helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
    programs::TracePointContext,
};

use crate::{
    kernel::{
        GET_TASK_PT_REGS, PT_REGS_DI, PT_REGS_DX, PT_REGS_R8, PT_REGS_R9, PT_REGS_R10, PT_REGS_SI, Ptr, Struct,
        TASK_STACK, has,
    },
    object::File,
};

/// Where the number of the call and its result are in the context: `events/syscalls/sys_exit_…/format` of tracefs.
const NUMBER_AT: usize = 8;
const RESULT_AT: usize = 16;

/// `THREAD_SIZE`, and the size of `struct pt_regs` at the end of it: on kernels too old to tell where it is.
const STACK_SIZE: usize = 16 << 10;
const PT_REGS_SIZE: usize = 21 * 8;

/// A system call that succeeded.
#[derive(Clone, Copy)]
pub struct Call {
    /// Its number.
    pub number: u32,
    /// What it returned: not negative.
    pub result: u64,
    /// `struct pt_regs`
    registers: Struct,
}

impl Call {
    /// The call that returns; `None` where it failed.
    #[inline(always)]
    pub fn returned(ctx: &TracePointContext) -> Option<Self> {
        // SAFETY: the context of these tracepoints is 24 bytes long; volatile, so that each is one load from
        // the context, as the verifier demands.
        let (number, result) = unsafe {
            let at = |offset| ctx.as_ptr().cast::<u8>().add(offset);
            (
                core::ptr::read_volatile(at(NUMBER_AT).cast::<u32>()),
                core::ptr::read_volatile(at(RESULT_AT).cast::<i64>()),
            )
        };
        (result >= 0).then(|| Self { number, result: result as u64, registers: registers() })
    }

    /// Argument `n`, from 0.
    #[inline(always)]
    pub fn arg(&self, n: usize) -> u64 {
        self.registers.get(match n {
            0 => &PT_REGS_DI,
            1 => &PT_REGS_SI,
            2 => &PT_REGS_DX,
            3 => &PT_REGS_R10,
            4 => &PT_REGS_R8,
            _ => &PT_REGS_R9,
        })
    }

    /// What the process has open under the number that argument `n` is.
    #[inline(always)]
    pub fn file(&self, n: usize) -> Option<Struct> {
        File::descriptor(self.arg(n) as u32)
    }

    /// What the process has open under the number that the call returned.
    #[inline(always)]
    pub fn new_file(&self) -> Option<Struct> {
        File::descriptor(self.result as u32)
    }
}

/// The registers with which the current task came into the kernel. Which way is taken is settled by a
/// constant, so the verifier drops the other.
#[inline(always)]
fn registers() -> Struct {
    if !has(&GET_TASK_PT_REGS) {
        let stack = Struct::current_task().get::<u64>(&TASK_STACK) as Ptr;
        return Struct::probed(stack.wrapping_add(STACK_SIZE - PT_REGS_SIZE));
    }
    // SAFETY: the helper is given the current task, and always succeeds.
    Struct::typed(unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as Ptr)
}

/// Declares the programs of a hook at the exit of system calls. `$seen` is a function from the [`Call`] to
/// [`Seen`](crate::subject::Seen).
macro_rules! traced_hook {
    ($family:ident::$name:ident, $seen:expr) => {
        #[doc = concat!("`", stringify!($name), "`")]
        pub mod $name {
            #[allow(unused_imports, reason = "what the hook sees is named as in the file around it")]
            use super::*;
            use aya_ebpf::programs::TracePointContext;
            use $crate::{
                hook::{self, program},
                stage::{self, Answer},
                traced::Call,
                $family::$name::STAGES,
            };

            program!(start, concat!("trace_", stringify!($name)), "tracepoint/syscalls", TracePointContext, |ctx| {
                hook::start(ctx, &STAGES, Answer::Observes, Call::returned(ctx).and_then($seen))
            });
            program!(
                finish,
                concat!("finish_trace_", stringify!($name)),
                "tracepoint/syscalls",
                TracePointContext,
                |ctx| {
                    stage::finish(
                        ctx,
                        &STAGES,
                        Answer::Observes,
                        #[inline(always)]
                        || Call::returned(ctx).and_then($seen),
                    )
                }
            );
        }
    };
}

pub(crate) use traced_hook;

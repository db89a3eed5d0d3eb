//! Where a hook is attached: a function of the kernel, or tracepoints of system calls.

use std::{fmt, path::Path};

use sensor_common::{
    event::{Attach, Hook, Mode},
    syscall::Syscall,
};

use super::{btf::Btf, mounts};

/// The category of the tracepoints.
pub const CATEGORY: &str = "syscalls";
/// Where the kernel shows its tracepoints: the first of these that is mounted.
const TRACEFS: &[&str] = &["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"];

/// Where one program of a hook is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The function with this name; of an LSM program, the hook.
    Function(String),
    /// The function with this name: what the program returns decides whether it runs.
    ModifyReturn(String),
    /// The exits of these system calls.
    Syscalls(Vec<Syscall>),
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(name) | Self::ModifyReturn(name) => out.write_str(name),
            Self::Syscalls(calls) => {
                let names: Vec<_> = calls.iter().map(|call| call.name()).collect();
                write!(out, "exit of {}", names.join(", "))
            }
        }
    }
}

/// Where a hook is attached in this mode on this kernel, or why it cannot be.
pub fn of(hook: Hook, mode: Mode, btf: &Btf) -> Result<Place, String> {
    let security = hook.security_functions();
    let names = match (mode, hook.attach()) {
        (Mode::Tracepoints, _) => return syscalls(hook),
        // An LSM program is attached by the name of the hook, to the function with this prefix.
        (Mode::Lsm, Attach::Lsm) if btf.has_function(&format!("bpf_lsm_{}", hook.name())) => {
            return Ok(Place::Function(hook.name().to_owned()));
        }
        (Mode::Lsm, Attach::Lsm) => return Err(format!("this kernel has no LSM hook {} for BPF", hook.name())),
        (Mode::ModifyReturn | Mode::Observe, Attach::Lsm) => &security[..],
        (_, Attach::Fentry(names) | Attach::Fexit(names)) => names,
    };
    let lacks =
        |names: &[&str]| format!("this kernel has no function {} for the hook {}", names.join(" or "), hook.name());
    if let Some((_, beside)) = hook.notes().iter().find(|(_, name)| !btf.has_function(name)) {
        return Err(lacks(&[beside]));
    }
    let place = if mode == Mode::ModifyReturn && hook.can_deny() { Place::ModifyReturn } else { Place::Function };
    btf.first_function(names).map(|name| place(name.to_owned())).ok_or_else(|| lacks(names))
}

/// The directory with the tracepoints, or how to get it.
pub fn tracepoints() -> Result<&'static Path, String> {
    let mounted = TRACEFS.iter().map(Path::new).find(|path| path.is_dir());
    mounted.ok_or_else(|| format!("not mounted: {}", mounts::TRACEFS.advice()))
}

/// Those calls of the hook that this kernel has.
fn syscalls(hook: Hook) -> Result<Place, String> {
    if hook.syscalls().is_empty() {
        return Err(format!("{} is not seen on tracepoints of system calls", hook.name()));
    }
    let directory = tracepoints()?.join(CATEGORY);
    let calls = hook.syscalls().iter().copied().filter(|call| directory.join(call.tracepoint()).is_dir());
    match calls.collect::<Vec<_>>() {
        calls if calls.is_empty() => {
            Err(format!("this kernel has no tracepoints in {} for {}", directory.display(), hook.name()))
        }
        calls => Ok(Place::Syscalls(calls)),
    }
}

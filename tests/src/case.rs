//! What a test is: its name, the machine that it asks for, and that it may not apply.

use std::sync::OnceLock;

use anyhow::Result;
use sensor_user::kernel::probe::{self, Mode};

/// The kinds of machine that tests ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// As Debian boots, with BPF among the security modules.
    Plain,
    /// The same, and every kernel thread and system call can be preempted.
    Preempt,
    /// Without BPF among the security modules: the daemon chooses to decide whether the functions run that ask them.
    WithoutBpf,
    /// Locked down for confidentiality: no program may read the kernel's memory.
    Locked,
    /// The same machine as without BPF; the daemon is started in the mode that only observes these functions.
    Observe,
    /// As preempt; what takes so long that it runs on all kernels together only, or where it is asked for by name.
    Long,
    /// Any: the daemon is started in the mode that observes tracepoints of system calls.
    Tracepoints,
}

/// The mode in which daemons are started, where it is not theirs to choose.
static MODE: OnceLock<Mode> = OnceLock::new();

/// From now on daemons are told to take this mode, where none was told before.
pub fn tell_mode(mode: Mode) {
    MODE.get_or_init(|| mode);
}

/// The mode that daemons are told to take; `None` where they choose.
pub fn told_mode() -> Option<Mode> {
    MODE.get().copied()
}

/// The mode in which daemons are.
pub fn mode() -> Mode {
    told_mode().unwrap_or_else(probe::mode)
}

impl Boot {
    /// Its name, which `cargo xtask` passes on.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Preempt => "preempt",
            Self::WithoutBpf => "without-bpf",
            Self::Locked => "locked",
            Self::Observe => OBSERVE,
            Self::Long => LONG,
            Self::Tracepoints => TRACEPOINTS,
        }
    }

    /// Kernel arguments.
    pub const fn arguments(self) -> &'static str {
        match self {
            Self::Plain => "lsm=landlock,lockdown,yama,bpf",
            Self::Preempt | Self::Long => "lsm=landlock,lockdown,yama,bpf preempt=full",
            Self::Locked => "lsm=landlock,lockdown,yama,bpf lockdown=confidentiality",
            Self::WithoutBpf | Self::Observe | Self::Tracepoints => "lsm=landlock,lockdown,yama",
        }
    }
}

/// A test does not apply on this kernel: this is why. Returned as an error, it is told apart from a failure, and shown.
#[derive(Debug)]
pub struct NotHere(pub &'static str);

impl std::fmt::Display for NotHere {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.0)
    }
}

impl std::error::Error for NotHere {}

/// The name of the machines for [`Boot::Long`], which `cargo xtask` knows too.
const LONG: &str = "long";
/// The name of the machines for [`Boot::Observe`].
pub const OBSERVE: &str = "observe";
/// The name of the machines for [`Boot::Tracepoints`]; the same tests run in a [`room`](crate::room) of this machine.
pub const TRACEPOINTS: &str = "tracepoints";

/// One test.
pub struct Test {
    /// `subject::what_holds`.
    pub name: &'static str,
    /// Where it runs.
    pub boot: Boot,
    /// Runs it.
    pub run: fn() -> Result<()>,
}

//! What this host's kernel offers, found out without changing anything.

use std::{fs, io};

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};
use sensor_common::event::{Event, Hook};

pub use sensor_common::event::Mode;

use super::{
    btf::Btf,
    cgroups::Hierarchies,
    mounts,
    place::{self, Place},
};

/// Where the kernel lists its active security modules.
const LSM_LIST: &str = "/sys/kernel/security/lsm";

/// Where the kernel lists the levels of its lockdown, the one in force in brackets.
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// The mode of the running kernel. Where nobody can tell, it is the one that promises less.
pub fn mode() -> Mode {
    choose(&lsm(), &programs(), &tracepoints())
}

/// The strongest mode of these answers. Where the kernel takes programs neither for its functions nor for
/// tracepoints, the first is tried: what it says then says more.
fn choose(lsm: &Finding, programs: &Finding, tracepoints: &Finding) -> Mode {
    match (lsm, programs, tracepoints) {
        (_, Finding::No(_), Finding::Yes(_)) => Mode::Tracepoints,
        (Finding::Yes(_), ..) => Mode::Lsm,
        (_, Finding::Yes(_), _) => Mode::ModifyReturn,
        _ => Mode::Observe,
    }
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is there; what exactly.
    Yes(String),
    /// It is not; why, and what to do.
    No(String),
    /// It cannot be told; why.
    Unknown(String),
}

/// All answers.
#[derive(Clone, Debug)]
pub struct Host {
    /// Release of the kernel, such as `6.12.48+deb13-amd64`.
    pub kernel: String,
    /// Whether this process may load programs.
    pub root: Finding,
    /// Type information, without which no hook finds its way.
    pub btf: Finding,
    /// Whether the BPF LSM is active.
    pub lsm: Finding,
    /// Whether the kernel takes programs for its functions.
    pub programs: Finding,
    /// Whether it takes programs for the tracepoints of system calls.
    pub tracepoints: Finding,
    /// Whether programs may read the kernel's memory.
    pub kernel_memory: Finding,
    /// The mode that follows.
    pub mode: Mode,
    /// Whether there are ring buffers.
    pub ring_buffer: Finding,
    /// Whether a BPF file system is mounted where pins go.
    pub bpffs: Finding,
    /// Whether the verifier knows the type of the current task.
    pub typed_task: Finding,
    /// Whether programs can keep something with each task.
    pub task_storage: Finding,
    /// Whether events that the kernel skipped are counted.
    pub recursion_misses: Finding,
    /// Whether rules see in which cgroup a process is.
    pub cgroups: Finding,
    /// Every hook.
    pub hooks: Vec<(Hook, Finding)>,
}

impl Host {
    /// Asks the running kernel.
    pub fn probe() -> Self {
        Self::probe_in(mode())
    }

    /// Asks the running kernel what it offers in this mode.
    pub fn probe_in(mode: Mode) -> Self {
        let btf = Btf::of_this_kernel();
        let (lsm, programs, tracepoints) = (lsm(), programs(), tracepoints());
        let hooks = Hook::ALL.iter().map(|hook| (*hook, available(*hook, btf.as_ref().ok(), mode))).collect();
        Self {
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            root: root(),
            btf: match &btf {
                Ok(_) => Finding::Yes("/sys/kernel/btf/vmlinux".into()),
                Err(error) => Finding::No(format!("{error:#}; it needs a kernel built with CONFIG_DEBUG_INFO_BTF=y")),
            },
            lsm,
            programs,
            tracepoints,
            kernel_memory: kernel_memory(),
            mode,
            ring_buffer: ring_buffer(),
            bpffs: bpffs(),
            typed_task: typed_task(btf.as_ref().ok()),
            task_storage: task_storage(btf.as_ref().ok()),
            recursion_misses: recursion_misses(btf.as_ref().ok()),
            cgroups: match Hierarchies::of_this_host().trouble() {
                None => Finding::Yes("unified (cgroup v2)".into()),
                Some(trouble) => Finding::No(trouble.into()),
            },
            hooks,
        }
    }

    /// Whether the daemon can start at all.
    pub fn can_start(&self) -> bool {
        let programs = if self.mode == Mode::Tracepoints { &self.tracepoints } else { &self.programs };
        [&self.root, &self.btf, programs, &self.kernel_memory, &self.ring_buffer, &self.bpffs]
            .iter()
            .all(|finding| !matches!(finding, Finding::No(_)))
    }

    /// The events that rules can judge here, and whether anything can be blocked.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        self.hooks
            .iter()
            .filter(|(_, finding)| matches!(finding, Finding::Yes(_)))
            .flat_map(|(hook, _)| Event::of(*hook))
    }
}

/// Whether the BPF LSM is active.
pub fn lsm() -> Finding {
    match fs::read_to_string(LSM_LIST) {
        Ok(list) => judge_lsm_list(&list),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::Unknown(format!(
            "{LSM_LIST} is not there: mount it (mount -t securityfs securityfs /sys/kernel/security); where that is \
             refused, the kernel has no security modules at all"
        )),
        Err(error) => Finding::Unknown(format!("{LSM_LIST} cannot be read: {error}")),
    }
}

fn judge_lsm_list(list: &str) -> Finding {
    let list = list.trim();
    if list.split(',').any(|name| name == "bpf") {
        return Finding::Yes(list.into());
    }
    Finding::No(format!(
        "the active security modules are {list}; boot with the kernel parameter lsm={list}{comma}bpf",
        comma = if list.is_empty() { "" } else { "," }
    ))
}

fn root() -> Finding {
    // SAFETY: takes nothing, cannot fail.
    match unsafe { libc::geteuid() } {
        0 => Finding::Yes("this is root".into()),
        user => Finding::No(format!("this is user {user}; programs are loaded by root only: try with sudo")),
    }
}

/// Asked with an empty program for a function that the kernel has for this purpose.
fn programs() -> Finding {
    match is_program_supported(ProgramType::Tracing) {
        Ok(true) => Finding::Yes("accepted".into()),
        Ok(false) => Finding::No("not supported; it needs Linux 5.12 or later with CONFIG_DEBUG_INFO_BTF=y".into()),
        Err(error) => Finding::No(format!(
            "refused ({:#}): a container, a sandbox or lockdown forbids them here",
            anyhow::Error::from(error)
        )),
    }
}

/// Asked with an empty program.
fn tracepoints() -> Finding {
    match (is_program_supported(ProgramType::TracePoint), place::tracepoints()) {
        (Ok(true), Ok(directory)) => Finding::Yes(format!("accepted; {}", directory.display())),
        (Ok(true), Err(why)) => Finding::Yes(format!("accepted; the daemon mounts tracefs, which is {why}")),
        (Ok(false), _) => Finding::No("not supported; it needs CONFIG_FTRACE_SYSCALLS=y".into()),
        (Err(error), _) => Finding::No(format!("refused ({:#})", anyhow::Error::from(error))),
    }
}

/// Whether programs may read the kernel's memory, as each of ours does in every mode. Asked with a program that
/// calls the helper for it.
pub fn kernel_memory() -> Finding {
    match is_helper_supported(ProgramType::TracePoint, BpfHelper::BPF_FUNC_probe_read_kernel) {
        Ok(true) => Finding::Yes("may be read".into()),
        Ok(false) => Finding::No(unreadable(&fs::read_to_string(LOCKDOWN).unwrap_or_default()).into()),
        Err(error) => Finding::Unknown(format!("the kernel refuses the question: {:#}", anyhow::Error::from(error))),
    }
}

/// Why it may not be read, where the kernel says this of its lockdown.
fn unreadable(lockdown: &str) -> &'static str {
    if lockdown.contains("[confidentiality]") {
        "this kernel is locked down for confidentiality: no program may read its memory, and the sensor can do \
         nothing without; boot with lockdown=integrity, which forbids changing the kernel and lets programs read"
    } else {
        "this kernel lets no program read its memory (bpf_probe_read_kernel), and the sensor can do nothing without; \
         it needs Linux 5.5 or later, without lockdown for confidentiality"
    }
}

fn ring_buffer() -> Finding {
    match is_map_supported(MapType::RingBuf) {
        Ok(true) => Finding::Yes("supported".into()),
        Ok(false) => Finding::No("not supported; it needs Linux 5.8 or later".into()),
        Err(error) => Finding::Unknown(format!("the kernel refuses the question: {error}")),
    }
}

fn bpffs() -> Finding {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounted = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let directory = words.next()?;
        (words.next() == Some("bpf")).then(|| directory.to_owned())
    });
    match mounted {
        Some(directory) => Finding::Yes(format!("mounted on {directory}")),
        None => Finding::Yes(format!("the daemon mounts it, which is not mounted: {}", mounts::BPF.advice())),
    }
}

fn typed_task(btf: Option<&Btf>) -> Finding {
    let there = |btf: &Btf| btf.enumerator("bpf_func_id", "BPF_FUNC_get_current_task_btf").ok().flatten();
    match btf.and_then(there) {
        Some(_) => Finding::Yes("the verifier checks what is read of it".into()),
        None => Finding::No("since 5.11; what is read of it is copied instead, which costs more".into()),
    }
}

fn task_storage(btf: Option<&Btf>) -> Finding {
    let there = |btf: &Btf| btf.enumerator("bpf_map_type", "BPF_MAP_TYPE_TASK_STORAGE").ok().flatten();
    match btf.and_then(there) {
        Some(_) => Finding::Yes("there".into()),
        None => Finding::No("since 5.11; the sensor does without".into()),
    }
}

fn recursion_misses(btf: Option<&Btf>) -> Finding {
    let counter = |btf: &Btf| btf.offset("bpf_prog_stats", "misses").ok().flatten();
    match btf.and_then(counter) {
        Some(_) => Finding::Yes("counted".into()),
        None => Finding::No("since 5.12; before, the kernel skips no event and counts none".into()),
    }
}

/// Whether a hook is there on this kernel in this mode, and sees anything.
fn available(hook: Hook, btf: Option<&Btf>, mode: Mode) -> Finding {
    let Some(btf) = btf else { return Finding::No("needs BTF".into()) };
    match place::of(hook, mode, btf) {
        Ok(Place::Function(name)) if mode == Mode::Lsm && hook.can_deny() => {
            Finding::Yes(format!("LSM hook {name}: can block"))
        }
        Ok(Place::ModifyReturn(name)) => Finding::Yes(format!("kernel function {name}: can block")),
        Ok(Place::Function(name)) => Finding::Yes(format!("kernel function {name}: observes, cannot block")),
        Ok(calls @ Place::Syscalls(_)) => Finding::Yes(format!("{calls}: observes, cannot block")),
        Err(why) => Finding::No(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bpf_is_looked_for_as_a_whole_word() {
        assert!(matches!(judge_lsm_list("lockdown,capability,bpf\n"), Finding::Yes(_)));
        let Finding::No(advice) = judge_lsm_list("lockdown,bpfx") else { panic!("bpfx is not bpf") };
        assert!(advice.contains("lsm=lockdown,bpfx,bpf"), "{advice}");
    }

    #[test]
    fn without_btf_no_hook_is_promised() {
        assert!(Hook::ALL.iter().all(|hook| matches!(available(*hook, None, Mode::Lsm), Finding::No(_))));
    }

    #[test]
    fn the_strongest_mode_that_is_permitted_is_taken() {
        let (yes, no, unknown) =
            (Finding::Yes("there".into()), Finding::No("not".into()), Finding::Unknown("who knows".into()));
        assert_eq!(choose(&yes, &yes, &yes), Mode::Lsm);
        assert_eq!(choose(&no, &yes, &yes), Mode::ModifyReturn);
        assert_eq!(choose(&unknown, &yes, &no), Mode::ModifyReturn);
        assert_eq!(choose(&yes, &no, &yes), Mode::Tracepoints);
        assert_eq!(choose(&unknown, &no, &yes), Mode::Tracepoints);
        assert_eq!(choose(&no, &no, &no), Mode::Observe, "to be refused with the kernel's words");
    }

    #[test]
    fn lockdown_is_named_where_it_is_the_reason() {
        assert!(unreadable("none integrity [confidentiality]\n").contains("boot with lockdown=integrity"));
        assert!(unreadable("none [integrity] confidentiality\n").contains("Linux 5.5"));
    }

    #[test]
    fn a_host_can_always_be_asked() {
        let host = Host::probe();
        assert!(!host.kernel.is_empty());
        assert_eq!(host.hooks.len(), Hook::ALL.len());
    }
}

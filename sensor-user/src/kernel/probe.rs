//! What this host's kernel offers, found out without changing anything.

use std::{fs, io};

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{is_map_supported, is_program_supported},
};
use sensor_common::event::{Attach, Event, Hook};

pub use sensor_common::event::Mode;

use super::btf::Btf;

/// Where the kernel lists its active security modules.
const LSM_LIST: &str = "/sys/kernel/security/lsm";

/// The mode of the running kernel. Where nobody can tell, it is the one that promises less.
pub fn mode() -> Mode {
    match lsm() {
        Finding::Yes(_) => Mode::Lsm,
        Finding::No(_) | Finding::Unknown(_) => Mode::Observe,
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
    /// Every hook.
    pub hooks: Vec<(Hook, Finding)>,
}

impl Host {
    /// Asks the running kernel.
    pub fn probe() -> Self {
        let btf = Btf::of_this_kernel();
        let lsm = lsm();
        let hooks = Hook::ALL.iter().map(|hook| (*hook, available(*hook, btf.as_ref().ok(), &lsm))).collect();
        Self {
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            root: root(),
            btf: match &btf {
                Ok(_) => Finding::Yes("/sys/kernel/btf/vmlinux".into()),
                Err(error) => Finding::No(format!("{error:#}; it needs a kernel built with CONFIG_DEBUG_INFO_BTF=y")),
            },
            lsm,
            programs: programs(),
            ring_buffer: ring_buffer(),
            bpffs: bpffs(),
            typed_task: typed_task(btf.as_ref().ok()),
            task_storage: task_storage(btf.as_ref().ok()),
            recursion_misses: recursion_misses(btf.as_ref().ok()),
            hooks,
        }
    }

    /// Whether the daemon can start at all.
    pub fn can_start(&self) -> bool {
        [&self.root, &self.btf, &self.programs, &self.ring_buffer, &self.bpffs]
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
        None => Finding::No("not mounted: mount -t bpf bpf /sys/fs/bpf".into()),
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

/// Whether a hook is there on this kernel, and sees anything.
fn available(hook: Hook, btf: Option<&Btf>, lsm: &Finding) -> Finding {
    let Some(btf) = btf else { return Finding::No("needs BTF".into()) };
    match hook.attach() {
        Attach::Lsm => {
            let name = hook.name();
            let [first, second] = hook.security_functions();
            match lsm {
                Finding::Yes(_) if btf.has_function(&format!("bpf_lsm_{name}")) => {
                    Finding::Yes(format!("LSM hook {name}: can block"))
                }
                Finding::Yes(_) => Finding::No(format!("the kernel has no LSM hook {name} for BPF")),
                _ => match [first, second].iter().find(|function| btf.has_function(function)) {
                    Some(function) => Finding::Yes(format!("kernel function {function}: observes, cannot block")),
                    None => Finding::No(format!("the kernel has no function {second}")),
                },
            }
        }
        Attach::Fentry(names) => match names.iter().find(|name| btf.has_function(name)) {
            Some(name) => Finding::Yes(format!("kernel function {name}: observes, cannot block")),
            None => Finding::No(format!("the kernel has no function {}", names.join(" or "))),
        },
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
        let lsm = Finding::Yes("bpf".into());
        assert!(Hook::ALL.iter().all(|hook| matches!(available(*hook, None, &lsm), Finding::No(_))));
    }

    #[test]
    fn a_host_can_always_be_asked() {
        let host = Host::probe();
        assert!(!host.kernel.is_empty());
        assert_eq!(host.hooks.len(), Hook::ALL.len());
    }
}

//! What was done, counted without any program of ours: by the kernel's own tracing, with a probe on each
//! function whose calls are a hook's events, and a histogram of who called it with what.
//!
//! A probe's handler runs without preemption, and the kernel counts those that it had to leave out
//! (`kprobe_profile`) and the calls for which a histogram had no room; both must be 0.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
};

use anyhow::{Context, Result, ensure};
use sensor_common::event::{Attach, Hook};
use sensor_user::kernel::btf::{self, Btf};

const TRACING: &str = "/sys/kernel/tracing";
/// The group of our probes there.
const GROUP: &str = "creance_tests";
const S_IFMT: u64 = 0o170_000;
const S_IFIFO: u64 = 0o010_000;
const S_IFSOCK: u64 = 0o140_000;
const S_IFREG: u64 = 0o100_000;
const MAY_WRITE: u64 = 2;
const MAY_READ: u64 = 4;
const AF_UNIX: u64 = 1;
/// `-EBADF` as 32 bits.
const EBADF: u64 = (1 << 32) - 9;

/// How the calls that are events are told from others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Object {
    /// Every call is one.
    Any,
    /// By the mode of what is made.
    Made,
    /// By the file that is opened.
    Opened,
    /// By the file, and what it is used for.
    Used,
    /// By the family of the socket.
    Socket,
    /// By what the call answers: `EBADF` where the descriptor is no message queue.
    Queue,
}

/// The hooks whose events are counted here.
fn object(hook: Hook) -> Option<Object> {
    Some(match hook {
        Hook::PathMknod => Object::Made,
        Hook::FileOpen => Object::Opened,
        Hook::FilePermission => Object::Used,
        Hook::PipeWrite
        | Hook::PipeCreate
        | Hook::MsgCreate
        | Hook::MsgOpen
        | Hook::MsgSend
        | Hook::MsgReceive
        | Hook::ShmCreate
        | Hook::ShmOpen
        | Hook::ShmAttach
        | Hook::SemCreate
        | Hook::SemOpen
        | Hook::SemOperate
        | Hook::StreamConnect
        | Hook::MaySend => Object::Any,
        Hook::SocketBind
        | Hook::SocketListen
        | Hook::SocketAccept
        | Hook::SocketSend
        | Hook::SocketReceive
        | Hook::SocketPair => Object::Socket,
        Hook::MqSend | Hook::MqReceive => Object::Queue,
        _ => return None,
    })
}

/// How often each process name did what is an event of each hook.
pub type Counts = BTreeMap<(Hook, String), u64>;

/// One probe; taken out when dropped.
struct Probe {
    hook: Hook,
    object: Object,
}

/// All probes, counting from the start.
pub struct Probes {
    all: Vec<Probe>,
    /// Devices of the file systems of message queues and of POSIX shared memory.
    queues: u64,
    memory: u64,
}

impl Probes {
    /// Puts a probe wherever a hook could be.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start() -> Result<Self> {
        let btf = Btf::read(std::path::Path::new(btf::PATH))?;
        let device = |path: &str| Ok::<_, anyhow::Error>(fs::metadata(path)?.dev());
        let mut probes = Self { all: Vec::new(), queues: device("/dev/mqueue")?, memory: device("/dev/shm")? };
        for hook in Hook::ALL {
            if let (Some(object), Some(function)) = (object(*hook), function(*hook, &btf)) {
                let probe = Probe { hook: *hook, object };
                let arguments = arguments(object, &btf)?;
                // At the entry, or, for so many calls at once, at the return.
                let kind = if object == Object::Queue { "r64" } else { "p" };
                append("kprobe_events", &format!("{kind}:{GROUP}/{} {function} comm=$comm{arguments}", hook.name()))
                    .with_context(|| format!("cannot probe {function}"))?;
                append(&probe.trigger(), &probe.histogram()).with_context(|| format!("cannot count {function}"))?;
                probes.all.push(probe);
            }
        }
        Ok(probes)
    }

    /// The hooks that are counted.
    pub fn hooks(&self) -> impl Iterator<Item = Hook> {
        self.all.iter().map(|probe| probe.hook)
    }

    /// What was done since the start.
    ///
    /// # Errors
    /// Where the kernel left out a call.
    pub fn counts(&self) -> Result<Counts> {
        let profile = fs::read_to_string(format!("{TRACING}/kprobe_profile"))?;
        for line in profile.lines() {
            ensure!(line.split_whitespace().nth(2) == Some("0"), "the kernel left out calls of a probe: {line}");
        }
        let mut counts = Counts::new();
        for probe in &self.all {
            let path = format!("{TRACING}/events/{GROUP}/{}/hist", probe.hook.name());
            let text = fs::read_to_string(path)?;
            ensure!(text.lines().any(|line| line.trim() == "Dropped: 0"), "a histogram is full: {text}");
            for line in text.lines().filter(|line| line.starts_with('{')) {
                let (fields, count) = parse(line).with_context(|| format!("a strange line: {line}"))?;
                if self.is_event(probe.object, &fields) {
                    let comm = fields.get("comm").cloned().unwrap_or_default();
                    *counts.entry((probe.hook, comm)).or_default() += count;
                }
            }
        }
        Ok(counts)
    }

    fn is_event(&self, object: Object, fields: &BTreeMap<String, String>) -> bool {
        let number = |name: &str| fields.get(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(u64::MAX);
        let kind = number("mode") & S_IFMT;
        match object {
            Object::Any => true,
            Object::Made => kind == S_IFIFO || kind == S_IFSOCK,
            Object::Opened => {
                kind == S_IFIFO || kind == S_IFREG && [self.queues, self.memory].contains(&number("device"))
            }
            Object::Used => kind == S_IFIFO && number("mask") & (MAY_READ | MAY_WRITE) != 0,
            Object::Socket => number("family") == AF_UNIX,
            Object::Queue => number("answer") != EBADF,
        }
    }
}

impl Probe {
    fn trigger(&self) -> String {
        format!("events/{GROUP}/{}/trigger", self.hook.name())
    }

    fn histogram(&self) -> String {
        let keys = match self.object {
            Object::Any => "",
            Object::Made => ",mode",
            Object::Opened => ",mode,device",
            Object::Used => ",mode,mask",
            Object::Socket => ",family",
            Object::Queue => ",answer",
        };
        format!("hist:keys=comm{keys}:size=4096")
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        append(&self.trigger(), &format!("!{}", self.histogram())).ok();
        append("kprobe_events", &format!("-:{GROUP}/{}", self.hook.name())).ok();
    }
}

/// The function whose calls are the hook's events.
fn function(hook: Hook, btf: &Btf) -> Option<&'static str> {
    let security = hook.security_functions();
    let names = match hook.attach() {
        Attach::Lsm => &security[..],
        Attach::Fentry(names) | Attach::Fexit(names) => names,
    };
    btf.first_function(names)
}

/// What the probe writes down besides the name of the process.
fn arguments(object: Object, btf: &Btf) -> Result<String> {
    let offset = |name: &str, member: &str| {
        btf.offset(name, member)?.with_context(|| format!("this kernel's `struct {name}` has no `{member}`"))
    };
    let inode = || Ok::<_, anyhow::Error>(format!("+{}($arg1)", offset("file", "f_inode")?));
    let mode = || Ok::<_, anyhow::Error>(format!(" mode=+{}({}):u16", offset("inode", "i_mode")?, inode()?));
    Ok(match object {
        Object::Any => String::new(),
        Object::Made => " mode=$arg3:u16".to_owned(),
        Object::Opened => {
            let (block, device) = (offset("inode", "i_sb")?, offset("super_block", "s_dev")?);
            format!("{} device=+{device}(+{block}({})):u32", mode()?, inode()?)
        }
        Object::Used => format!("{} mask=$arg2:u32", mode()?),
        Object::Socket => {
            let (sk, family) = (offset("socket", "sk")?, offset("sock", "__sk_common.skc_family")?);
            format!(" family=+{family}(+{sk}($arg1)):u16")
        }
        Object::Queue => " answer=$retval:u32".to_owned(),
    })
}

/// `{ comm: cat  , mode:  4480, mask:  4 } hitcount:  3`
fn parse(line: &str) -> Option<(BTreeMap<String, String>, u64)> {
    let (keys, count) = line.strip_prefix('{')?.rsplit_once("} hitcount:")?;
    let fields = keys.split(',').map(|pair| {
        let (name, value) = pair.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    });
    Some((fields.collect::<Option<_>>()?, count.trim().parse().ok()?))
}

/// Adds a line to a file of the tracing file system.
fn append(file: &str, line: &str) -> Result<()> {
    let mut file = OpenOptions::new().append(true).open(format!("{TRACING}/{file}"))?;
    file.write_all(format!("{line}\n").as_bytes()).with_context(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_histogram_is_understood() {
        let (fields, count) =
            parse("{ comm: stress-ng-pipe                         , mode:       4480, mask:          4 } hitcount:         31")
                .unwrap_or_default();
        assert_eq!(fields["comm"], "stress-ng-pipe");
        assert_eq!((fields["mode"].as_str(), fields["mask"].as_str(), count), ("4480", "4", 31));
        assert_eq!(parse("Totals:"), None);
    }
}

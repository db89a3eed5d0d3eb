//! `creance doctor`: what does this host offer?

use std::io::Write;

use clap::Args;

use super::done::Done;
use crate::kernel::{
    probe::{Finding, Host, Mode},
    tracepoints_see,
};

/// Show what this host's kernel offers, what is missing, and what to do about it
#[derive(Args, Debug)]
pub struct Doctor {}

impl Doctor {
    #[expect(clippy::unused_self, reason = "as every command")]
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let host = Host::probe();
        report(out, &host)?;
        Ok(if host.can_start() { Done::Well } else { Done::Badly })
    }
}

fn report(out: &mut impl Write, host: &Host) -> std::io::Result<()> {
    writeln!(out, "kernel {}\n", host.kernel)?;
    let general = [
        ("root", &host.root),
        ("BTF", &host.btf),
        ("BPF LSM", &host.lsm),
        ("programs", &host.programs),
        ("tracepoints", &host.tracepoints),
        ("kernel memory", &host.kernel_memory),
        ("ring buffer", &host.ring_buffer),
        ("BPF file system", &host.bpffs),
        ("typed current task", &host.typed_task),
        ("task storage", &host.task_storage),
        ("recursion misses", &host.recursion_misses),
        ("cgroups", &host.cgroups),
    ];
    for (name, finding) in general {
        line(out, name, finding)?;
    }
    writeln!(out)?;
    for (hook, finding) in &host.hooks {
        line(out, hook.name(), finding)?;
    }
    let events: Vec<_> = host.events().map(sensor_common::event::Event::name).collect();
    writeln!(out)?;
    match (host.can_start(), events.is_empty()) {
        (true, false) if host.mode == Mode::Tracepoints => {
            writeln!(out, "the daemon can run here, observing only: {}", tracepoints_see())
        }
        (true, false) if host.mode == Mode::ModifyReturn => writeln!(
            out,
            "the daemon can run here; rules see {}, and can block, by modify-return: without `bpf` among the security modules",
            events.join(", ")
        ),
        (true, false) if host.mode == Mode::Lsm => {
            writeln!(out, "the daemon can run here; rules see {}, and can block", events.join(", "))
        }
        (true, false) => writeln!(
            out,
            "the daemon can run here, observing only: rules see {}, and nothing can be blocked",
            events.join(", ")
        ),
        _ => writeln!(
            out,
            "the daemon cannot run here; rules can be checked and tested (`creance check`, `creance test`), but not put in force"
        ),
    }
}

fn line(out: &mut impl Write, name: &str, finding: &Finding) -> std::io::Result<()> {
    let (mark, text) = match finding {
        Finding::Yes(text) => ("yes", text),
        Finding::No(text) => ("NO", text),
        Finding::Unknown(text) => ("?", text),
    };
    writeln!(out, "{name:<18} {mark:<4} {text}")
}

#[cfg(test)]
mod tests {
    use sensor_common::event::Hook;

    use super::*;

    fn host(lsm: Finding) -> Host {
        let yes = || Finding::Yes("there".into());
        let hooks = Hook::ALL.iter().map(|hook| (*hook, yes())).collect();
        let mode = if matches!(lsm, Finding::Yes(_)) { Mode::Lsm } else { Mode::Observe };
        Host {
            kernel: "6.12".into(),
            root: yes(),
            btf: yes(),
            lsm,
            programs: yes(),
            tracepoints: yes(),
            kernel_memory: yes(),
            mode,
            ring_buffer: yes(),
            bpffs: yes(),
            typed_task: yes(),
            task_storage: yes(),
            recursion_misses: yes(),
            cgroups: yes(),
            hooks,
        }
    }

    fn text(host: &Host) -> String {
        let mut out = Vec::new();
        report(&mut out, host).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn says_what_can_be_done_with_and_without_the_lsm() {
        let with = text(&host(Finding::Yes("bpf".into())));
        assert!(with.contains("can run here; rules see fifo.create") && with.ends_with("and can block\n"), "{with}");
        let without = text(&host(Finding::No("not active".into())));
        assert!(
            without.contains("observing only: rules see fifo.create") && without.ends_with("nothing can be blocked\n")
        );
    }

    #[test]
    fn says_what_tracepoints_do_not_see() {
        let host =
            Host { mode: Mode::Tracepoints, programs: Finding::No("refused".into()), ..host(Finding::No("no".into())) };
        let text = text(&host);
        for part in
            ["observing only", "cannot block", "Events seen: fifo.create", "Events NOT seen: fifo.moved_payload"]
        {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
    }

    #[test]
    fn says_what_is_left_where_nothing_runs() {
        let yes = || host(Finding::Yes("bpf".into()));
        let no = || Finding::No("none".into());
        for host in [Host { btf: no(), ..yes() }, Host { kernel_memory: no(), ..yes() }] {
            assert!(text(&host).contains("cannot run here; rules can be checked"), "{}", text(&host));
        }
    }
}

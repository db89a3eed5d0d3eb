//! How the status reads: for people, where the types beside this say it to programs.

use std::{collections::BTreeMap, fmt};

use jiff::Unit;

use super::{Brakes, Content, Counted, Demoted, LastRefusal, Shadow, ShadowEnd, Status, goal};
use sensor_common::event::Mode;

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.started.round(Unit::Second).unwrap_or(self.started);
        writeln!(out, "creance {}, process {}, since {since}, kernel {}", self.version, self.pid, self.kernel)?;
        for warning in &self.warnings {
            writeln!(out, "WARNING: {warning}")?;
        }
        self.fmt_generation(out)?;
        if let Some(content) = &self.content {
            content.fmt_lines(out)?;
        }
        self.fleet.iter().try_for_each(|fleet| write!(out, "{fleet}"))?;
        if let Some(shadow) = &self.shadow {
            writeln!(out, "{:<12} {shadow}; held:", "shadow")?;
            shadow.fmt_reasons(out)?;
        }
        if let Some(end) = &self.last_shadow {
            write!(out, "{:<12} {end}", "last shadow")?;
        }
        self.fmt_hooks(out)?;
        self.fmt_events(out)?;
        self.fmt_losses(out)?;
        if let Some(LastRefusal { time, reason }) = &self.last_refusal {
            let time = time.round(Unit::Second).unwrap_or(*time);
            writeln!(out, "\nlast refusal {time}\n  {reason}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Shadow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, since, rules, events, matched, missed, nanoseconds_per_event, waits: _, reasons: _ } =
            self;
        write!(
            out,
            "generation {generation}, {rules} rules, judges beside since {since:.0}: {events} events, {matched} matched, {missed} missed, \
             {nanoseconds_per_event} ns each"
        )
    }
}

impl Shadow {
    fn fmt_reasons(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reasons.iter().flat_map(|reason| reason.lines()).try_for_each(|line| writeln!(out, "  {line}"))
    }
}

impl fmt::Display for ShadowEnd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, promoted, shadow } = self;
        let what = if *promoted { "came into force" } else { "was rejected" };
        let Shadow { generation, events, nanoseconds_per_event, .. } = shadow;
        writeln!(
            out,
            "generation {generation} {what} at {time:.0}, after {events} events of {nanoseconds_per_event} ns each:"
        )?;
        shadow.fmt_reasons(out)
    }
}

impl fmt::Display for Brakes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} executables on the lifeline; ", self.lifeline)?;
        match self.heartbeat_limit_s {
            0 => writeln!(out, "verdicts stand however long the daemon is silent")?,
            limit => writeln!(out, "every verdict is \"allow\" when the daemon was silent for {limit} s")?,
        }
        for complaint in &self.complaints {
            writeln!(out, "  lifeline: {complaint}")?;
        }
        for demoted in &self.demoted {
            let since = demoted.since.round(Unit::Millisecond).unwrap_or(demoted.since);
            let Demoted { rule, generation, seconds, fired, held, until, .. } = demoted;
            write!(out, "  BRAKE: {rule} (generation {generation}) only alerts since {since}")?;
            if let Some(until) = until {
                write!(out, " until {until:.0}")?;
            }
            writeln!(
                out,
                ": it hit several users or services within {seconds} s; fired {fired}, held {held}; `creance brakes release {rule}` \
                 lets it block at once"
            )?;
        }
        Ok(())
    }
}

impl Content {
    fn fmt_lines(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, good, trial, denied, waits, switch, restrained, trouble } = self;
        let numbers = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        writeln!(out, "{:<12} {stage}", "content")?;
        writeln!(
            out,
            "{:<12} {}",
            "kept",
            if good.is_empty() { "no good generation yet".into() } else { numbers(good) }
        )?;
        if let Some(trial) = trial {
            writeln!(out, "{:<12} {trial}", "on probation")?;
        }
        if let Some(waits) = waits {
            writeln!(out, "{:<12} {waits}", "waits")?;
        }
        for (number, reason) in denied {
            writeln!(out, "{:<12} {number}: {reason}", "denied here")?;
        }
        if let Some(switch) = switch {
            writeln!(out, "WARNING: content is held back by a switch: {switch}")?;
        }
        if !restrained.is_empty() {
            writeln!(
                out,
                "{:<12} the owner's policy lets these rules only alert: {}",
                "restrained",
                restrained.join(", ")
            )?;
        }
        trouble.iter().try_for_each(|trouble| writeln!(out, "WARNING: {trouble}"))
    }
}

impl Status {
    /// What comes of it that verdicts are carried out: what the rules in force ask for, and what would have
    /// to change where they ask for nothing.
    pub fn effect(&self) -> String {
        let Self { rules, asking, .. } = self;
        if *asking > 0 {
            return format!(
                "block, quarantine and kill are carried out, where rules ask for them: {asking} of {rules} in force"
            );
        }
        let restrained = self.content.as_ref().map_or(&[][..], |content| &content.restrained);
        let push = "push rules that say `action: block`, quarantine or kill (`creance push`)";
        let why = match self.generation {
            None => format!("no rules are in force; {push}"),
            Some(_) if !restrained.is_empty() => {
                format!("the owner's policy ([actions]) lets these rules only alert: {}", restrained.join(", "))
            }
            Some(generation) if *rules == 1 => format!("the rule of {} only alerts; {push}", goal(generation)),
            Some(generation) => format!("the {rules} rules of {} only alert; {push}", goal(generation)),
        };
        format!("block, quarantine and kill would be carried out, and nothing is stopped: {why}")
    }

    fn fmt_generation(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\n{:<12} ", "generation")?;
        match self.generation {
            Some(active) => write!(out, "{active}, {} rules", self.rules)?,
            None => write!(out, "none: nothing is judged; `creance push DIR` changes that")?,
        }
        if let Some(previous) = self.previous {
            write!(out, " (`creance rollback` returns to {})", goal(previous))?;
        }
        let enforcing = match (Mode::from_name(&self.mode), self.enforcing) {
            (Some(mode), false) if mode.can_enforce() && self.off_file.is_some() => {
                "alerts only: a file turns blocking off (see below)"
            }
            (Some(Mode::ModifyReturn), true) => {
                &format!("{}; by modify-return: `bpf` is not among the security modules", self.effect())
            }
            (Some(Mode::Lsm), true) => &self.effect(),
            (Some(Mode::Lsm | Mode::ModifyReturn), false) => {
                "alerts only: block, quarantine and kill are reported, not carried out; `creance enforce on` changes that"
            }
            (Some(Mode::Tracepoints), _) => {
                "observing only, on tracepoints of system calls: nothing is blocked, and not every event is seen"
            }
            _ => "observing only: this kernel lets nothing be blocked",
        };
        writeln!(out, "\n{:<12} {enforcing}", "mode")?;
        if let Some(file) = &self.off_file {
            writeln!(out, "{:<12} {file} is there: nothing is blocked until it is removed", "")?;
        }
        self.unseen.iter().try_for_each(|unseen| writeln!(out, "{:<12} {unseen}", "not seen"))?;
        write!(out, "{:<12} {}", "brakes", self.brakes)?;
        writeln!(out, "{:<12} {}", "confined", self.confinement)
    }

    /// The hooks that are attached, or were and have missed something; the others are one number.
    fn fmt_hooks(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "\n{:<26}{:<32}{:<12}{:>16}", "hook", "kernel function", "attached", "recursion misses")?;
        let (shown, idle): (Vec<_>, Vec<_>) =
            self.hooks.iter().partition(|hook| hook.attached || hook.missing.is_some() || hook.recursion_misses > 0);
        for hook in shown {
            let attached = match (hook.attached, &hook.missing) {
                (true, _) => "yes",
                (false, Some(_)) => "MISSING",
                (false, None) => "not needed",
            };
            writeln!(out, "{:<26}{:<32}{attached:<12}{:>16}", hook.hook, hook.function, hook.recursion_misses)?;
        }
        if idle.is_empty() { Ok(()) } else { writeln!(out, "not needed: {} more", idle.len()) }
    }

    /// The events that happened and were judged.
    fn fmt_events(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "\n{:<20}{:>12}{:>12}", "event", "judged", "matched")?;
        for (event, counted) in self.events.iter().filter(|(_, counted)| **counted != Counted::default()) {
            writeln!(out, "{event:<20}{:>12}{:>12}", counted.judged, counted.matched)?;
        }
        write!(out, "matched: ")?;
        list(out, &self.outcomes)?;
        write!(out, "quarantine: ")?;
        list(out, &self.quarantine)
    }

    fn fmt_losses(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\nlost: ")?;
        list(out, &self.all_losses())?;
        writeln!(
            out,
            "events received by the daemon: {}; followers: {}; records shared by preemption: {}; undecided: {}",
            self.reports.received, self.reports.followers, self.preempted, self.undecided
        )
    }
}

/// The counts that are not zero.
fn list(out: &mut fmt::Formatter<'_>, counts: &BTreeMap<String, u64>) -> fmt::Result {
    let counts: Vec<_> =
        counts.iter().filter(|(_, count)| **count > 0).map(|(name, n)| format!("{name} {n}")).collect();
    writeln!(out, "{}", if counts.is_empty() { "nothing".into() } else { counts.join(", ") })
}

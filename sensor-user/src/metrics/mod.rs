//! The daemon's figures for Prometheus: [`text`] makes them of a [`Status`], [`server`] serves them.
//!
//! Each scrape asks for the status and builds the figures anew, so that they cannot differ from what `creance
//! status` shows.

mod figures;
mod fleet;
pub mod server;

use std::{collections::BTreeMap, fmt::Write};

use sensor_content::life::Stage;

use crate::{
    api::status::{Brakes, Changes, Reports, Shadow, Status},
    metrics::figures::{Figures, number},
};

/// All figures of `status`, in the text format 0.0.4 of Prometheus.
///
/// # Errors
/// When the names clash or are no names, which is a defect.
pub fn text(status: &Status) -> Result<String, prometheus::Error> {
    let figures = Figures::new()?;
    let Status { version, kernel, mode, .. } = status;
    figures.gauge(
        "info",
        "The daemon's version, the kernel's release and the mode: lsm and modify-return can block, observe and tracepoints cannot",
        &["version", "kernel", "mode"],
        [(&[version.as_str(), kernel, mode][..], 1)],
    )?;
    figures.number("start_time_seconds", "When the daemon was started, Unix time", status.started.as_second())?;
    figures.number(
        "enforcing",
        "1 while verdicts to block, quarantine and kill are carried out",
        status.enforcing.into(),
    )?;
    let generation = status.generation.map_or(-1, number);
    figures.number("generation", "The generation in force; 0: the baseline, -1: none", generation)?;
    figures.number("rules", "Rules in force", number(status.rules as u64))?;

    let (judged, matched) = (
        status.events.iter().map(|(event, counted)| (event.as_str(), counted.judged)),
        status.events.iter().map(|(event, counted)| (event.as_str(), counted.matched)),
    );
    figures.counter("judged_total", "Events judged by rules", "event", judged)?;
    figures.counter("matched_total", "Judged events that at least one rule matched", "event", matched)?;
    figures.counter("outcomes_total", "Matched events by what the sensor did", "outcome", each(&status.outcomes))?;
    figures.counter("quarantine_total", "Actions of the quarantine", "deed", each(&status.quarantine))?;
    let Changes { pushed, rolled_back, refused, promoted } = status.changes;
    let changes = [("pushed", pushed), ("rolled_back", rolled_back), ("refused", refused), ("promoted", promoted)];
    figures.counter(
        "changes_total",
        "Generations put in force (promoted: those of them that came from the shadow), rolled back, and refused or rejected in the shadow",
        "change",
        changes,
    )?;
    generations(&figures, status)?;
    brakes(&figures, &status.brakes)?;
    figures.counter("lost_total", "Events lost, skipped or cut, by reason", "reason", each(&status.all_losses()))?;

    let hooks = &status.hooks;
    let attached: Vec<_> = hooks.iter().map(|hook| ([hook.hook.as_str()], hook.attached.into())).collect();
    let attached = attached.iter().map(|(name, attached)| (&name[..], *attached));
    figures.gauge("hook_attached", "1 for a hook that a rule in force needs", &["hook"], attached)?;
    let misses = hooks.iter().map(|hook| (hook.hook.as_str(), hook.recursion_misses));
    figures.counter("recursion_misses_total", "Events that the kernel skipped for a hook", "hook", misses)?;
    let Reports { received, unreadable, sink_lost, .. } = status.reports;
    let reports = [("received", received), ("unreadable", unreadable), ("sink_lost", sink_lost)];
    figures.counter(
        "reports_total",
        "Matched events in the daemon: received, and of these not written",
        "state",
        reports,
    )?;
    if let Some(fleet) = &status.fleet {
        fleet::add(&figures, fleet)?;
    }
    figures.number("followers", "Clients that follow the events", number(status.reports.followers as u64))?;
    figures.text()
}

/// What is kept, and what judges in the shadow.
fn generations(figures: &Figures, status: &Status) -> Result<(), prometheus::Error> {
    let content = status.content.clone().unwrap_or_default();
    let kept = [
        (Stage::Shadow, usize::from(status.shadow.is_some())),
        (Stage::Probation, usize::from(content.trial.is_some())),
        (Stage::Good, content.good.len()),
        (Stage::Denied, content.denied.len()),
    ];
    let kept = kept.map(|(stage, count)| ([stage.name()], number(count as u64)));
    let kept = kept.iter().map(|(name, count)| (&name[..], *count));
    figures.gauge("generations", "Generations on this host, by state", &["state"], kept)?;
    let Shadow { generation, events, matched, missed, nanoseconds_per_event, .. } =
        status.shadow.clone().unwrap_or_default();
    figures.number(
        "shadow_generation",
        "The generation that judges in the shadow; 0 if none does",
        number(generation),
    )?;
    figures.number("shadow_events", "Events that the generation in the shadow judged", number(events))?;
    figures.number("shadow_matched", "Of these, events that at least one rule matched", number(matched))?;
    figures.number(
        "shadow_missed",
        "Events that the generation in the shadow should have judged and did not",
        number(missed),
    )?;
    let cost = number(nanoseconds_per_event);
    figures.number(
        "shadow_nanoseconds_per_event",
        "Average time that the generation in the shadow takes for an event",
        cost,
    )
}

/// What holds blocking back.
fn brakes(figures: &Figures, brakes: &Brakes) -> Result<(), prometheus::Error> {
    let Brakes { heartbeat_limit_s, silence_ms, lifeline, complaints: _, demoted } = brakes;
    figures.number(
        "brakes_demoted",
        "Rules that only alert for now because they hit several users or services",
        number(demoted.len() as u64),
    )?;
    figures.number("lifeline_executables", "Executables on the lifeline", number(*lifeline as u64))?;
    let limit = number(*heartbeat_limit_s);
    figures.number(
        "heartbeat_limit_seconds",
        "Time without a heartbeat after which nothing is blocked; 0: never",
        limit,
    )?;
    let silence = number(*silence_ms);
    figures.number("heartbeat_age_milliseconds", "Time since the heartbeat that the kernel side saw last", silence)
}

fn each(counts: &BTreeMap<String, u64>) -> impl Iterator<Item = (&str, u64)> {
    counts.iter().map(|(name, count)| (name.as_str(), *count))
}

/// The page `docs/metrics.md`, made of the figures of a daemon.
pub fn markdown(text: &str) -> String {
    let mut page = String::from(
        "# Metrics\n\n<!-- Made from the code: CREANCE_BLESS=1 cargo test -p sensor-user --test docs -->\n\n\
         This page is for people who monitor hosts with Prometheus.\n\n\
         The daemon serves these metrics on the unix socket `/run/creance/metrics.sock`, and with\n\
         `--metrics-listen 127.0.0.1:9781` on loopback. If that port is taken, the daemon says so (log, `creance status`) and tries again\n\
         every 10 s:\n\n\
         ```console\n# curl --unix-socket /run/creance/metrics.sock http://localhost/metrics\n```\n\n\
         They are the figures of `creance status`. The counters of the kernel side continue when the next daemon adopts it\n\
         ([restart.md](restart.md)); the others count from the daemon's start.\n\n\
         | Metric | Type | Labels | Meaning |\n|---|---|---|---|\n",
    );
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|help| help.split_once(' ')) else { continue };
        let kind = lines.next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
        let labels = lines.peek().map_or_else(String::new, |sample| labels(sample).join(", "));
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {help} |");
    }
    page
}

/// The names of a sample's labels.
fn labels(sample: &str) -> Vec<String> {
    let inner = sample.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inner, _)| inner);
    inner.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| format!("`{name}`")).collect()
}

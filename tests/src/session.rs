//! The played session of `cargo xtask run`: what the sensor is for, before the user's eyes.

use std::{fmt::Display, fs};

use anyhow::{Context, Result, ensure};
use sensor_rules::Source;
use sensor_user::api::protocol::Refuser;
use serde_json::Value;

use crate::{
    fifo,
    protocol::Message,
    refusal, report,
    rules::{self, Draft},
    sensor::{Launch, Sensor, field},
    shell,
    swap::{self, NumberedWrites},
};

/// Plays all of it; the answer is whether everything was as expected.
///
/// # Errors
/// Where the session could not go on.
pub fn play() -> Result<bool> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    report::say(format!("Linux {} is up. The daemon starts with the shipped rules …", release.trim()));
    let sensor = Launch::directory(rules::SHIPPED).roomy().with(&["--allow-skip-checks"]).start()?;
    let status = sensor.status()?;
    let hooks: Vec<_> = status.hooks.iter().filter(|hook| hook.attached).map(|hook| hook.function.as_str()).collect();
    report::say(format!(
        "{} rules in force, every program accepted by this kernel's verifier; hooks: {}",
        status.rules,
        hooks.join(", ")
    ));

    let mut all = true;
    for (title, scene) in SCENES {
        report::say(format!("\n== {title}"));
        for Line { what, expected, seen, ok } in scene(&sensor).with_context(|| (*title).to_owned())? {
            all &= ok;
            report::send(&Message::Seen { what, expected, seen, ok });
        }
    }
    sensor.stop()?;
    Ok(all)
}

type Scene = fn(&Sensor) -> Result<Vec<Line>>;

const SCENES: &[(&str, Scene)] = &[
    ("a. Everyday work with pipes and FIFOs", benign),
    ("b. A reverse shell through a FIFO, only watched", watched),
    ("   The same, and rules may block", blocked),
    ("c. A rule is edited and pushed while a writer keeps the pipe busy", hot_push),
    ("d. A bad rule is pushed past our own checks", bad_rule),
];

/// One line of the last table.
struct Line {
    what: String,
    expected: String,
    seen: String,
    ok: bool,
}

fn line(what: impl Display, expected: impl Display, seen: impl Display, ok: bool) -> Line {
    Line { what: what.to_string(), expected: expected.to_string(), seen: seen.to_string(), ok }
}

fn benign(sensor: &Sensor) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (name, script) in shell::BENIGN {
        let before = sensor.lines()?.len();
        let output = shell::run(script)?;
        let alerts = sensor.lines()?.len() - before;
        report::say(format!("   $ {script}\n     {alerts} alerts"));
        let works = output.status.success();
        let seen = format!("{}, {alerts} alerts", if works { "works" } else { "fails" });
        lines.push(line(name, "works, 0 alerts", seen, works && alerts == 0));
    }
    Ok(lines)
}

fn watched(sensor: &Sensor) -> Result<Vec<Line>> {
    let before = sensor.lines()?.len();
    report::say(format!("   $ {}", shell::reverse_shell(4444).replace("4444", "PORT")));
    let attack = shell::attack()?;
    report::say(format!("   the attacker typed a command; a shell obeyed: {}", yes(attack.obeyed)));
    let reports = sensor.reports()?.split_off(before);
    reports.iter().for_each(show);
    let alerts = reports.iter().filter(|report| field(report, "path") == "/tmp/f").count();
    Ok(vec![
        line(
            "reverse shell, watched: the shell",
            "obeys the attacker",
            if attack.obeyed { "obeys the attacker" } else { "does not start" },
            attack.obeyed,
        ),
        line("reverse shell, watched: alerts on /tmp/f", "1 or more", alerts, alerts > 0),
    ])
}

fn blocked(sensor: &Sensor) -> Result<Vec<Line>> {
    sensor.client()?.enforce(true)?;
    let before = sensor.lines()?.len();
    let attack = shell::attack()?;
    let reports = sensor.reports()?.split_off(before);
    sensor.client()?.enforce(false)?;
    reports.iter().for_each(show);
    report::say(format!("   the victim's shell says: {}", attack.complaints.lines().next().unwrap_or_default()));
    report::say(format!("   the attacker typed a command; a shell obeyed: {}", yes(attack.obeyed)));
    let refused = attack.complaints.to_lowercase().contains("operation not permitted");
    let denied = reports.iter().filter(|report| report["outcome"] == "denied").count();
    let seen = if refused { "Operation not permitted" } else { "not refused" };
    Ok(vec![
        line("reverse shell, blocked: the FIFO", "Operation not permitted", seen, refused),
        line(
            "reverse shell, blocked: the shell",
            "does not obey",
            if attack.obeyed { "obeys the attacker" } else { "does not obey" },
            !attack.obeyed,
        ),
        line("reverse shell, blocked: events denied", "1 or more", denied, denied > 0),
    ])
}

const NUMBERED: &str = "/tmp/numbered";

/// The shipped rules, and one that reports each numbered write.
fn with_watch(title: &str) -> Result<Vec<Source>> {
    let watch = Draft::alert(title, &["fifo.payload"], "path == '/tmp/numbered'");
    let mut sources = rules::shipped()?;
    sources.push(rules::file("numbered.yaml", &[watch]));
    Ok(sources)
}

fn hot_push(sensor: &Sensor) -> Result<Vec<Line>> {
    sensor.push(with_watch("before-the-edit")?)?;
    let before = sensor.lines()?.len();
    let first = sensor.status()?.generation;
    let writes = NumberedWrites::start(NUMBERED, swap::PAUSE)?;
    report::say("   a writer numbers its writes: 1, 2, 3 …; the rule is edited and pushed");
    let pushed = sensor.push(with_watch("after-the-edit")?)?;
    report::say(format!(
        "   generation {} is in force: compiled in {} ms, verified in {} ms, switched in {} ms",
        pushed.generation,
        pushed.compile_us / 1000,
        pushed.verify_us / 1000,
        pushed.switch_us / 1000
    ));
    crate::wait::until("the new generation to judge", || {
        let lines = sensor.lines()?;
        let new = format!("\"generation\":{}", pushed.generation);
        Ok(lines.iter().any(|line| line.contains(&new)).then_some(()))
    })?;
    let last = writes.stop()?;
    let lines = sensor.lines()?.split_off(before);
    let judged = swap::generations(&lines, last);
    let mut seen = match &judged {
        Ok(judged) => format!("{} of {last} once", judged.len()),
        Err(error) => format!("{error:#}"),
    };
    if let (Ok(judged), Some(first)) = (&judged, first) {
        let old = judged.values().filter(|generation| **generation == first).count();
        let new = judged.values().filter(|generation| **generation == pushed.generation).count();
        report::say(format!(
            "   {last} writes: {old} judged by generation {first}, {new} by generation {}, none twice, none missed",
            pushed.generation
        ));
        ensure!(old + new == judged.len(), "a third generation judged something");
        if old == 0 || new == 0 {
            "one generation judged nothing".clone_into(&mut seen);
        }
    }
    let ok = seen.ends_with(" once");
    Ok(vec![line("hot push: each numbered write is judged", format!("{last} of {last} once"), seen, ok)])
}

fn bad_rule(sensor: &Sensor) -> Result<Vec<Line>> {
    let before = sensor.status()?.generation;
    report::say(
        "   the rule asks for a field 21 that this sensor does not supply; `--skip-checks` lets it through our checks",
    );
    let mut sources = rules::shipped()?;
    sources.push(rules::file("field21.yaml", &[refusal::FIELD_21]));
    let refused = sensor.refused(sources, true)?;
    report::say(refused.message.lines().map(|line| format!("   | {line}")).collect::<Vec<_>>().join("\n"));
    let after = sensor.status()?.generation;
    let (by_verifier, named) = (refused.by == Refuser::Verifier, refused.message.contains(refusal::FIELD_21.id));
    fifo::remake("/tmp/still-up").context("the machine does not work any more")?;
    let generation = |generation: Option<u64>| generation.map_or("none".to_owned(), |number| number.to_string());
    Ok(vec![
        line(
            "bad rule: refused by",
            "the kernel's verifier",
            if by_verifier { "the kernel's verifier" } else { "somebody else" },
            by_verifier,
        ),
        line("bad rule: its name and line are shown", "yes", yes(named), named),
        line("bad rule: generation in force", generation(before), generation(after), before == after),
    ])
}

/// One report, in a line.
fn show(report: &Value) {
    let text = |name: &str| field(report, name).as_str().unwrap_or("?").to_owned();
    let rules: Vec<_> =
        report["rules"].as_array().into_iter().flatten().filter_map(|rule| rule["id"].as_str()).collect();
    report::say(format!(
        "   {} {} {}: {} ({}) by {}; rules {}",
        text("outcome").to_uppercase(),
        text("event"),
        field(report, "path").as_str().unwrap_or("(pipe)"),
        text("process.exe"),
        field(report, "process.pid"),
        text("parent.exe"),
        rules.join(", ")
    ));
}

const fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

//! `stress-ng` on two processors, every system call preemptible, rules on all families: each operation is
//! judged or counted as skipped, and no record is another task's.
//!
//! | Module | Holds |
//! |---|---|
//! | `probes` | what was done, counted by the kernel's own tracing |

mod probes;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use sensor_common::event::{Attach, Event, Hook};
use sensor_user::{
    api::{
        protocol::{Reply, Request},
        status::Status,
    },
    control::{self},
};
use serde_json::Value;

use crate::{
    preemption::can_preempt,
    report,
    rules::{self, Draft},
    sensor::{Launch, Sensor, field},
    suite::{Boot, Test},
    wait,
};
use probes::{Counts, Probes};

/// The tests of this file.
pub const TESTS: &[Test] = &[Test {
    name: "stress::every_operation_is_judged_or_counted_and_no_record_is_anothers",
    boot: Boot::Long,
    run: accounts,
}];

const PROGRAM: &str = "/bin/stress-ng";
/// One process or pair of each kind. `sockfd` works on unix sockets; `sock` asks for TCP on them too
/// (0.15.06), and fails.
const STRESSORS: &[&str] = &["pipe", "fifo", "sockfd", "msg", "mq", "sem", "sem-sysv", "shm", "shm-sysv", "sockpair"];
/// How they are kept small, and how long they work.
const MANNERS: &str = "--shm-bytes 1M --shm-objs 4 --shm-sysv-bytes 1M --shm-sysv-segs 2 --timeout 8s \
                       --temp-path /tmp --no-rand-seed";

/// The rules' share of the work, on both rounds.
struct Round {
    made: Counts,
    judged: BTreeMap<Hook, u64>,
    misses: BTreeMap<Hook, u64>,
    /// Not judged, for want of a record or a stage.
    lost: u64,
    preempted: u64,
}

/// Works under the rules in force. The daemon stands still meanwhile: its own work is not judged, and must
/// not be counted.
///
/// Our own conversations with it, before and after, are: what we receive behind its first look at its counts,
/// and what we send before its second.
fn round(sensor: &Sensor, probes: &Probes) -> Result<Round> {
    let first = probes.counts()?;
    let before = status()?;
    let start = probes.counts()?;
    sensor.signal(libc::SIGSTOP)?;
    let worked = work();
    let end = probes.counts()?;
    sensor.signal(libc::SIGCONT)?;
    worked?;
    let after = status()?;
    let last = probes.counts()?;
    let mut made = minus(&end, &start);
    let answers = minus(&start, &first).into_iter().filter(|((hook, _), _)| *hook == Hook::SocketReceive);
    let questions = minus(&last, &end).into_iter().filter(|((hook, _), _)| *hook != Hook::SocketReceive);
    for ((hook, comm), count) in answers.chain(questions) {
        // The daemon's part of the conversation.
        if !comm.starts_with("creance") && !comm.starts_with("tokio") {
            *made.entry((hook, comm)).or_default() += count;
        }
    }
    let loss = |status: &Status, name: &str| status.losses.get(name).copied().unwrap_or_default();
    let unjudged = |status| loss(status, "no_record") + loss(status, "no_record_denied") + loss(status, "no_stage");
    Ok(Round {
        made,
        judged: sums(probes, judged(&after), &judged(&before)),
        misses: sums(probes, misses(&after), &misses(&before)),
        lost: unjudged(&after) - unjudged(&before),
        preempted: after.preempted - before.preempted,
    })
}

/// What runs. A receive counts where it begins, so this one does not begin before the daemon has looked at its counts.
fn status() -> Result<Status> {
    let mut stream = UnixStream::connect(control::SOCKET)?;
    let mut line = serde_json::to_vec(&Request::Status)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let patience = i32::try_from(wait::PATIENCE.as_millis())?;
    // SAFETY: one entry, which lives through the call.
    ensure!(unsafe { libc::poll(&raw mut answer, 1, patience) } == 1, "the daemon does not answer");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    match serde_json::from_str(&line)? {
        Reply::Status(status) => Ok(*status),
        _ => bail!("no status: {line}"),
    }
}

fn work() -> Result<()> {
    let log = "/tmp/stress.log";
    let mut command = Command::new(PROGRAM);
    command.args(STRESSORS.iter().flat_map(|stressor| [format!("--{stressor}"), "1".to_owned()]));
    command.args(MANNERS.split_whitespace());
    let output = File::create(log)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let mut stress = command.spawn().context("cannot start stress-ng")?;
    let status = wait::until("stress-ng to end", || Ok(stress.try_wait()?))?;
    ensure!(status.success(), "stress-ng ended with {status}: {}", std::fs::read_to_string(log)?);
    Ok(())
}

fn minus(later: &Counts, earlier: &Counts) -> Counts {
    let count = |key| earlier.get(key).copied().unwrap_or_default();
    later.iter().map(|(key, value)| (key.clone(), value - count(key))).filter(|(_, value)| *value > 0).collect()
}

fn judged(status: &Status) -> BTreeMap<Hook, u64> {
    let mut judged = BTreeMap::new();
    for (name, counted) in &status.events {
        if let Some(event) = Event::from_name(name) {
            *judged.entry(event.hook()).or_default() += counted.judged;
        }
    }
    judged
}

fn misses(status: &Status) -> BTreeMap<Hook, u64> {
    let hook = |name: &str| Hook::ALL.iter().copied().find(|hook| hook.name() == name);
    status.hooks.iter().filter_map(|state| Some((hook(&state.hook)?, state.recursion_misses))).collect()
}

/// What came to pass between two counts.
fn sums(probes: &Probes, after: BTreeMap<Hook, u64>, before: &BTreeMap<Hook, u64>) -> BTreeMap<Hook, u64> {
    let hooks: BTreeSet<_> = probes.hooks().collect();
    let since = |(hook, count)| (hook, count - before.get(&hook).copied().unwrap_or_default());
    after.into_iter().filter(|(hook, _)| hooks.contains(hook)).map(since).collect()
}

/// The events of the hooks that are counted.
fn events(probes: &Probes) -> Vec<Event> {
    let seen = |event: &Event| probes.hooks().any(|hook| hook == event.hook());
    Event::ALL.iter().copied().filter(seen).collect()
}

fn accounts() -> Result<()> {
    can_preempt()?;
    let probes = Probes::start()?;
    let events = events(&probes);
    let names: Vec<_> = events.iter().map(|event| event.name()).collect();
    let all = rules::file("all.yaml", &[Draft::alert("all", &names, "process.pid > 0")]);
    let sensor = Launch::default().with(&["--ring-size", "33554432"]).start()?;
    sensor.push(vec![all])?;
    let round_one = round(&sensor, &probes)?;
    round_one.tell("every event matches");
    round_one.adds_up()?;
    let reports = sensor.reports()?;
    ensure!(!reports.is_empty(), "no report came out");
    consistent(&reports, &round_one.made)?;

    // Nobody must be found doing what he does not do: of all that is judged, not only of what was reported.
    let usual: Vec<_> = events.iter().map(|event| usual(*event, &round_one.made)).collect();
    let ids: Vec<_> = (0..events.len()).map(|number| format!("unusual-{number}")).collect();
    let drafts: Vec<_> = (0..events.len())
        .map(|index| Draft::alert(&ids[index], std::slice::from_ref(&names[index]), &usual[index]))
        .collect();
    sensor.push(vec![rules::file("unusual.yaml", &drafts)])?;
    let told = sensor.reports()?.len();
    let round_two = round(&sensor, &probes)?;
    round_two.tell("no event matches");
    round_two.adds_up()?;
    round_two.strangers(&sensor.reports()?[told..], &round_one.made)?;
    sensor.stop()
}

impl Round {
    fn tell(&self, what: &str) {
        let total = |counts: &BTreeMap<Hook, u64>| counts.values().sum::<u64>();
        let made: u64 = self.made.values().sum();
        let (judged, misses) = (total(&self.judged), total(&self.misses));
        report::say(format!(
            "{what}: {made} operations made, {judged} judged, {misses} recursion misses, {} lost; {} shared a CPU's \
             records by preemption",
            self.lost, self.preempted
        ));
    }

    /// Operations made = events judged + counted skips; by hook, where nothing was lost without saying at which.
    fn adds_up(&self) -> Result<()> {
        let mut made: BTreeMap<Hook, u64> = BTreeMap::new();
        for ((hook, _), count) in &self.made {
            *made.entry(*hook).or_default() += count;
        }
        let (mut open, mut wrong) = (0, Vec::new());
        for (hook, made) in &made {
            let judged = self.judged.get(hook).copied().unwrap_or_default();
            let misses = self.misses.get(hook).copied().unwrap_or_default();
            // A hook that leaves out calls can have left out some that are no events; only functions for
            // nothing else have none.
            if hook.attach() == Attach::Lsm {
                ensure!(misses == 0, "{}: an LSM program was skipped {misses} times", hook.name());
            }
            let counted = judged + misses;
            if counted > *made || self.lost == 0 && counted < *made {
                wrong.push(format!("{}: {made} made, {judged} judged, {misses} skipped", hook.name()));
            }
            open += made.saturating_sub(counted);
        }
        ensure!(wrong.is_empty(), "{}; {:?}", wrong.join("; "), self.made);
        ensure!(
            open == self.lost,
            "{open} operations are neither judged nor skipped, and {} counted as lost",
            self.lost
        );
        for hook in [Hook::PipeWrite, Hook::SocketSend, Hook::MsgSend, Hook::MqSend, Hook::SemOperate] {
            ensure!(made.get(&hook).is_some_and(|made| *made > 10), "{} was hardly used: {made:?}", hook.name());
        }
        ensure!(self.preempted + self.lost > 0, "no task was ever preempted inside a hook: nothing is proved");
        Ok(())
    }
}

impl Round {
    /// Where somebody did something whom nobody had seen do it, the kernel counted that too, and no more than
    /// was skipped is missing.
    fn strangers(&self, reports: &[Value], known: &Counts) -> Result<()> {
        let mut seen = Counts::new();
        for report in reports {
            *seen.entry(who(report)?).or_default() += 1;
        }
        let new: Counts =
            self.made.iter().filter(|(key, _)| !known.contains_key(*key)).map(|(key, n)| (key.clone(), *n)).collect();
        for (key, count) in &seen {
            ensure!(new.get(key) >= Some(count), "the kernel counted {new:?}, rules found {seen:?}");
        }
        for hook in new.keys().map(|(hook, _)| *hook).collect::<BTreeSet<_>>() {
            let sum = |counts: &Counts| counts.iter().filter(|((of, _), _)| *of == hook).map(|(_, n)| n).sum::<u64>();
            let skipped = self.misses.get(&hook).copied().unwrap_or_default() + self.lost;
            ensure!(sum(&new) <= sum(&seen) + skipped, "the kernel counted {new:?}, rules found {seen:?}");
        }
        Ok(())
    }
}

/// Whoever is named in a report has done that, by the kernel's own count, and is one and the same in all of its parts.
fn consistent(reports: &[Value], made: &Counts) -> Result<()> {
    let mut names: BTreeMap<u64, BTreeSet<(String, String)>> = BTreeMap::new();
    for report in reports {
        let (hook, comm) = who(report)?;
        ensure!(made.contains_key(&(hook, comm.clone())), "{comm} never called {}: {report:#}", hook.name());
        let exe = field(report, "process.exe").as_str().context("no executable")?.to_owned();
        ensure!(comm.starts_with("stress-ng") == (exe == PROGRAM), "two processes in one: {report:#}");
        if exe == PROGRAM {
            let pid = field(report, "process.pid").as_u64().context("no process")?;
            names.entry(pid).or_default().insert((comm, field(report, "process.start_time").to_string()));
        }
    }
    for (pid, names) in names {
        let starts: BTreeSet<_> = names.iter().map(|(_, start)| start).collect();
        ensure!(starts.len() == 1, "process {pid} started at several times: {names:?}");
    }
    Ok(())
}

fn who(report: &Value) -> Result<(Hook, String)> {
    let event = report["event"].as_str().and_then(Event::from_name).context("a strange event")?;
    Ok((event.hook(), field(report, "process.comm").as_str().context("no name")?.to_owned()))
}

/// A condition that holds where somebody does what nobody of this name did.
fn usual(event: Event, made: &Counts) -> String {
    let names = made.keys().filter(|(hook, _)| *hook == event.hook()).map(|(_, comm)| format!("\"{comm}\""));
    let names: Vec<_> = names.collect();
    if names.is_empty() { "process.pid > 0".into() } else { format!("!(process.comm in [{}])", names.join(", ")) }
}

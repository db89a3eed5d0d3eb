//! Many tasks preempt each other inside the hooks, on two processors: no record is another task's, and what was
//! not judged is counted.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use sensor_user::api::status::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    fifo, report,
    rules::{self, Draft},
    sensor::{Sensor, field},
    shared,
    suite::{Boot, NotHere, Test},
    user, wait, work,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "preemption::each_write_is_judged_or_counted_as_lost", boot: Boot::Preempt, run: accounts },
    Test { name: "preemption::no_record_is_another_tasks", boot: Boot::Preempt, run: no_mixture },
    Test { name: "preemption::what_finds_no_record_is_not_let_through", boot: Boot::Preempt, run: held_records },
    Test { name: "preemption::tracepoints_see_each_call_once", boot: Boot::Tracepoints, run: traced },
];

const DIRECTORY: &str = "/tmp/hammer";
/// Tasks at once, on two processors; every second one preempts the others whenever it wakes up.
const TASKS: u32 = 8;
const ROUNDS: u32 = 400;

/// What one task did.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Deeds {
    pid: u32,
    fifo_writes: u64,
    pipe_writes: u64,
    reads: u64,
}

/// The role: writes into a FIFO and a pipe of its own, and reads it back, so many times.
pub fn hammer(number: u32, rounds: u32) -> Result<()> {
    work::name_thread(&format!("hammer-{number}"))?;
    let directory = Path::new(DIRECTORY);
    let mut both = fifo::open(&fifo_of(number))?;
    let (mut reader, mut writer) = fifo::pipe()?;
    let preempts = number % 2 == 1;
    if preempts {
        real_time(10 + i32::try_from(number)?)?;
    }
    work::announce(&directory.join(format!("{number}.ready")), "")?;
    work::wait_for(&directory.join("go"));
    let mut deeds = Deeds { pid: process::id(), fifo_writes: 0, pipe_writes: 0, reads: 0 };
    for round in 0..rounds {
        let words = words(number, round);
        let mut buffer = vec![0; words.len()];
        both.write_all(words.as_bytes())?;
        both.read_exact(&mut buffer)?;
        writer.write_all(words.as_bytes())?;
        reader.read_exact(&mut buffer)?;
        deeds.fifo_writes += 1;
        deeds.pipe_writes += 1;
        deeds.reads += 2;
        ensure!(buffer == words.as_bytes(), "the pipe gave back something else");
        if preempts {
            thread::sleep(Duration::from_micros(u64::from(100 + (round * 37 + number * 11) % 400)));
        }
    }
    work::announce(&directory.join(format!("{number}.done")), &serde_json::to_string(&deeds)?)
}

fn fifo_of(number: u32) -> String {
    format!("{DIRECTORY}/{number}")
}

fn words(number: u32, round: u32) -> String {
    // Of a length that differs from task to task: a mixture of two would show.
    format!("task {number} round {round} {}", "abcdefgh".repeat(number as usize + 1))
}

fn real_time(priority: i32) -> Result<()> {
    let parameter = libc::sched_param { sched_priority: priority };
    // SAFETY: the parameter lives through the call.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameter) };
    ensure!(result == 0, "no real-time priority: {}", std::io::Error::last_os_error());
    Ok(())
}

/// The tasks of one test.
struct Tasks(Vec<Child>);

impl Tasks {
    /// Starts them; they wait for `go`.
    fn start() -> Result<Self> {
        fs::remove_dir_all(DIRECTORY).ok();
        let mut tasks = Vec::new();
        for number in 0..TASKS {
            fifo::remake(&fifo_of(number))?;
            let mut command = Command::new(work::PROGRAM);
            command.args(["work", "hammer", &number.to_string(), &ROUNDS.to_string()]).stdin(Stdio::null());
            tasks.push(command.spawn()?);
        }
        (0..TASKS).for_each(|number| work::wait_for(&file(number, "ready")));
        Ok(Self(tasks))
    }

    /// Lets them go, and returns what each did, by number.
    fn go(&mut self) -> Result<BTreeMap<u32, Deeds>> {
        work::announce(&Path::new(DIRECTORY).join("go"), "")?;
        let mut deeds = BTreeMap::new();
        for (number, task) in (0..TASKS).zip(&mut self.0) {
            let status = wait::until("a task to end", || Ok(task.try_wait()?))?;
            ensure!(status.success(), "task {number} ended with {status}");
            deeds.insert(number, serde_json::from_str(&fs::read_to_string(file(number, "done"))?)?);
        }
        Ok(deeds)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &mut self.0 {
            task.kill().ok();
            task.wait().ok();
        }
    }
}

fn file(number: u32, kind: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{number}.{kind}"))
}

/// Counts of the kernel side that add up to operations.
#[derive(Clone, Copy, Debug)]
struct Sums {
    judged: u64,
    lost: u64,
    misses: u64,
    preempted: u64,
    /// Judged, and no report of it: a busy host's daemon may not be quick enough for the ring buffer.
    unreported: u64,
}

impl Sums {
    fn of(status: &Status) -> Self {
        let lost = |reason| status.losses.get(reason).copied().unwrap_or_default();
        Self {
            judged: status.events.values().map(|counted| counted.judged).sum(),
            lost: lost("no_record") + lost("no_record_denied") + lost("no_stage"),
            misses: status.hooks.iter().map(|hook| hook.recursion_misses).sum(),
            preempted: status.preempted,
            unreported: lost("ring_full"),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            judged: self.judged - before.judged,
            lost: self.lost - before.lost,
            misses: self.misses - before.misses,
            preempted: self.preempted - before.preempted,
            unreported: self.unreported - before.unreported,
        }
    }
}

/// The kernel can be booted with `preempt=full`, and says so in its version.
pub(crate) fn can_preempt() -> Result<()> {
    let version = fs::read_to_string("/proc/version")?;
    ensure!(
        version.contains("PREEMPT"),
        NotHere("this kernel cannot preempt itself (no PREEMPT_DYNAMIC): no task is ever preempted inside a hook")
    );
    Ok(())
}

/// Runs the tasks under a sensor; what they did, and what the kernel side counted meanwhile.
fn hammered(sensor: &Sensor) -> Result<(BTreeMap<u32, Deeds>, Sums)> {
    let mut tasks = Tasks::start()?;
    let before = Sums::of(&sensor.status()?);
    let deeds = tasks.go()?;
    let sums = Sums::of(&sensor.status()?).since(before);
    let total: u64 = deeds.values().map(|deeds| deeds.fifo_writes + deeds.pipe_writes + deeds.reads).sum();
    report::say(format!("{total} operations of {TASKS} tasks: {sums:?}"));
    Ok((deeds, sums))
}

/// Only hammers write to pipes and FIFOs while this runs, so that the sums must be equal, not about equal.
fn accounts() -> Result<()> {
    can_preempt()?;
    let rule = Draft::alert("hammered", &["fifo.payload", "pipe.payload"], "payload.startsWith('never')");
    let sensor = shared::sensor(vec![rules::file("hammer.yaml", &[rule])])?;
    let (deeds, sums) = hammered(&sensor)?;
    let writes: u64 = deeds.values().map(|deeds| deeds.fifo_writes + deeds.pipe_writes).sum();
    ensure!(sums.judged + sums.lost + sums.misses == writes, "{writes} writes, and {sums:?}");
    ensure!(
        sums.preempted + sums.lost + sums.misses > 0,
        "no task was ever preempted inside a hook: nothing is proved"
    );
    shared::park(sensor);
    Ok(())
}

fn no_mixture() -> Result<()> {
    can_preempt()?;
    let events = ["fifo.read", "fifo.write", "fifo.payload", "pipe.read", "pipe.write", "pipe.payload"];
    let rule = Draft::alert("hammered", &events, "process.comm.startsWith('hammer-')");
    let sensor = shared::sensor(vec![rules::file("hammer.yaml", &[rule])])?;
    let (deeds, sums) = hammered(&sensor)?;
    let operations: u64 = deeds.values().map(|deeds| 2 * (deeds.fifo_writes + deeds.pipe_writes) + deeds.reads).sum();
    let reports = sensor.reports()?;
    for report in &reports {
        consistent(report, &deeds).with_context(|| format!("{report:#}"))?;
    }
    // The same hook also misses other files' events, which are nobody's loss: so at most, and at least.
    let (least, most) = (sums.judged + sums.lost, sums.judged + sums.lost + sums.misses);
    ensure!((least..=most).contains(&operations), "{operations} operations, and {sums:?}");
    let reported = reports.len() as u64;
    ensure!(reported + sums.unreported == sums.judged, "{reported} reports, and {sums:?}");
    ensure!(reported > sums.judged / 2, "{reported} reports of {sums:?}: too few to prove anything");
    ensure!(
        sums.preempted + sums.lost + sums.misses > 0,
        "no task was ever preempted inside a hook: nothing is proved"
    );
    shared::park(sensor);
    Ok(())
}

/// Threads that hold records as long as they can.
const IDLERS: u32 = 32;
/// Directories above the FIFO that they open: a walk to the root takes long.
const DEPTH: usize = 40;
const FORBIDDEN: &str = "/tmp/forbidden";
const ATTEMPTS: usize = 300;
const PERMITTED: &str = "/tmp/permitted";
/// Ordinary users.
const HOLDER: u32 = 1000;
const OTHER: u32 = 1001;

/// The lowest class: whoever wakes up preempts this thread, wherever it is.
pub fn become_idle() -> Result<()> {
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameter lives through the call.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameter) };
    ensure!(result == 0, "not idle: {}", std::io::Error::last_os_error());
    Ok(())
}

/// The role: opens a FIFO again and again in threads that run when nothing else does, and are preempted where
/// that takes longest.
pub fn idler(path: &str) -> Result<()> {
    let idle = |path: String| -> Result<()> {
        become_idle()?;
        loop {
            // May be refused, as every FIFO while a rule blocks one and all records are taken.
            fifo::open(&path).ok();
        }
    };
    let threads: Vec<_> = (0..IDLERS).map(|_| path.to_owned()).map(|path| thread::spawn(move || idle(path))).collect();
    threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("an idler panicked"))?)
}

/// Who holds all records gets no forbidden event past the rules by that, and nobody else has one refused.
fn held_records() -> Result<()> {
    can_preempt()?;
    let deep = format!("/tmp/deep{}", "/d".repeat(DEPTH));
    fs::create_dir_all(&deep)?;
    let held = format!("{deep}/held");
    [held.as_str(), FORBIDDEN, PERMITTED].into_iter().try_for_each(user::fifo_for_all)?;
    let guard =
        Draft { budget: Some((100_000, 3600)), ..Draft::block("guard", &["fifo.open"], "path == '/tmp/forbidden'") };
    let sensor = shared::enforcing(vec![rules::file("guard.yaml", &[guard])])?;
    let unjudged = |status: &Status| status.losses["no_record_denied"];
    let before = unjudged(&sensor.status()?);
    let mut idlers =
        Command::new(work::PROGRAM).args(["work", "idler", &held]).uid(HOLDER).stdin(Stdio::null()).spawn()?;
    let (by_holder, by_other) = (refused(HOLDER, FORBIDDEN)?, refused(OTHER, PERMITTED)?);
    idlers.kill()?;
    idlers.wait()?;
    let without = unjudged(&sensor.status()?) - before;
    report::say(format!("{by_holder} of {ATTEMPTS} opens refused; {without} opens, the idlers' too, found no record"));
    ensure!(by_holder == ATTEMPTS, "{} forbidden opens went through", ATTEMPTS - by_holder);
    ensure!(by_other == 0, "{by_other} opens of another user were refused");
    ensure!(without > 0, "there was always a record: nothing is proved");
    fs::remove_dir_all("/tmp/deep")?;
    shared::park(sensor);
    Ok(())
}

/// How many of so many opens by this user are refused.
fn refused(uid: u32, path: &str) -> Result<usize> {
    let refused = AtomicUsize::new(0);
    user::does(uid, || {
        for _ in 0..ATTEMPTS {
            thread::sleep(Duration::from_millis(1));
            refused.fetch_add(usize::from(fifo::is_refused(&fifo::open(path).map(drop))), Ordering::Relaxed);
        }
        Ok(())
    })?;
    Ok(refused.into_inner())
}

/// On a machine where others use pipes too: what they do matches nothing.
fn traced() -> Result<()> {
    let events = ["fifo.payload", "pipe.payload"];
    let rule = Draft::alert("hammered", &events, "process.comm.startsWith('hammer-')");
    let sensor = shared::sensor(vec![rules::file("hammer.yaml", &[rule])])?;
    let (deeds, sums) = hammered(&sensor)?;
    let operations: u64 = deeds.values().map(|deeds| deeds.fifo_writes + deeds.pipe_writes).sum();
    let reports = sensor.reports()?;
    for report in &reports {
        consistent(report, &deeds).with_context(|| format!("{report:#}"))?;
    }
    let seen = reports.len() as u64;
    ensure!(
        seen <= operations && seen + sums.lost + sums.misses + sums.unreported >= operations,
        "{operations} operations, {seen} reports, {sums:?}"
    );
    shared::park(sensor);
    Ok(())
}

/// Everything that a report says must be of one and the same task.
fn consistent(report: &Value, deeds: &BTreeMap<u32, Deeds>) -> Result<()> {
    let comm = field(report, "process.comm").as_str().context("no name of the task")?;
    let number: u32 = comm.strip_prefix("hammer-").and_then(|number| number.parse().ok()).context("a strange name")?;
    let pid = deeds.get(&number).context("no such task")?.pid;
    for name in ["process.pid", "process.tid"] {
        ensure!(field(report, name) == pid, "{name} is not {pid}");
    }
    ensure!(field(report, "process.exe") == work::PROGRAM, "another executable");
    ensure!(field(report, "parent.pid") == process::id(), "another parent");
    let event = report["event"].as_str().unwrap_or_default();
    if event.starts_with("fifo.") {
        ensure!(field(report, "path") == fifo_of(number).as_str(), "another task's FIFO");
    }
    if event.ends_with(".payload") {
        let payload = field(report, "payload").as_str().context("no payload")?;
        let round = payload.split(' ').nth(3).and_then(|round| round.parse().ok()).context("a strange payload")?;
        ensure!(payload == words(number, round), "another task's payload");
        ensure!(field(report, "size") == payload.len(), "another size");
    }
    Ok(())
}

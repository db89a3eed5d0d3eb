//! What holds blocking back, whatever rules say: budget, heartbeat, and the file that says no. The lifeline
//! has tests of its own.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use sensor_user::api::status::Demoted;

use crate::{
    fifo,
    rules::{self, Draft},
    sensor::{CREANCE, Launch, Sensor},
    shared, shell,
    suite::{Boot, Test},
    wait,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "brakes::one_user_ends_blocking_for_nobody_and_several_do", boot: Boot::Plain, run: budget },
    Test { name: "brakes::all_ids_of_one_user_are_no_crowd", boot: Boot::Plain, run: ids_of_one },
    Test { name: "brakes::each_user_has_a_budget_of_his_own", boot: Boot::Plain, run: each_his_own },
    Test { name: "brakes::a_demoted_rule_blocks_again_by_itself", boot: Boot::Plain, run: again },
    Test { name: "brakes::no_race_gets_more_than_the_budget", boot: Boot::Plain, run: race },
    Test { name: "brakes::a_rule_that_no_event_names_has_a_budget_too", boot: Boot::Plain, run: unnamed },
    Test { name: "brakes::a_stopped_daemon_blocks_nothing", boot: Boot::Plain, run: stopped },
    Test { name: "brakes::the_documented_commands_do_what_is_shown", boot: Boot::Plain, run: documented },
    Test { name: "brakes::a_file_turns_blocking_off", boot: Boot::Plain, run: off_file },
];

pub(super) const GUARDED: &str = "/tmp/braked";
/// A window that no test outlives.
pub(super) const HOUR: u32 = 3600;

pub(super) fn guard(budget: Option<(u32, u32)>) -> Draft<'static> {
    Draft { budget, ..Draft::block("guard", &["fifo.open"], "path == '/tmp/braked'") }
}

pub(super) fn is_blocked() -> bool {
    fifo::is_refused(&fifo::open(GUARDED))
}

fn blocked_of(attempts: usize) -> Vec<bool> {
    (0..attempts).map(|_| is_blocked()).collect()
}

/// How often a user was refused to open what is guarded, and how often a process of his was killed for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tried {
    refused: u32,
    killed: u32,
}

/// A user opens what is guarded so often, each time by a process of its own.
fn tried(user: u32, attempts: u32) -> Result<Tried> {
    let script = format!(
        "for ((i = 0; i < {attempts}; i++)); do \
           (: <> {GUARDED}) 2>/dev/null; case $? in 0);; 137) ((k++));; *) ((r++));; esac; \
         done; echo $((r)) $((k))"
    );
    let mut command = Command::new("/bin/bash");
    let output = command.args(["-c", &script]).uid(user).gid(user).output()?;
    let said = String::from_utf8(output.stdout)?;
    let (refused, killed) = said.trim().split_once(' ').with_context(|| format!("user {user} says {said:?}"))?;
    Ok(Tried { refused: refused.parse()?, killed: killed.parse()? })
}

/// What is guarded, for everybody to open.
pub(super) fn guarded() -> Result<()> {
    fifo::remake(GUARDED)?;
    Ok(fs::set_permissions(GUARDED, fs::Permissions::from_mode(0o666))?)
}

/// Users open what is guarded, each once, until one may; how many were refused before.
pub(super) fn crowd(first: u32) -> Result<u32> {
    for user in 0..10 {
        if tried(first + user, 1)? == Tried::default() {
            return Ok(user);
        }
    }
    bail!("no brake holds what ten users were refused")
}

/// The rules of the generation in force that a brake holds.
pub(super) fn braked(sensor: &Sensor) -> Result<Vec<Demoted>> {
    let status = sensor.status()?;
    let in_force = status.generation;
    Ok(status.brakes.demoted.into_iter().filter(|demoted| Some(demoted.generation) == in_force).collect())
}

/// Waits until the daemon has reported one.
pub(super) fn reported(sensor: &Sensor) -> Result<Demoted> {
    wait::until("the brake to be reported", || {
        Ok(braked(sensor)?.into_iter().find(|demoted| demoted.reported.is_some()))
    })
}

/// Users of this machine; the first is the one who tries to have a rule demoted.
pub(super) const USERS: [u32; 4] = [1000, 1001, 1002, 1003];

fn budget() -> Result<()> {
    guarded()?;
    let rules = || vec![rules::file("guard.yaml", &[guard(Some((5, HOUR)))])];
    let sensor = shared::enforcing(rules())?;
    let every = |refused| Tried { refused, killed: 0 };
    let first = tried(USERS[0], 110)?;
    ensure!(first == every(110), "110 opens by one user end blocking for himself: {first:?}");
    ensure!(tried(USERS[1], 1)? == every(1), "they end it for another user");
    ensure!(is_blocked(), "they end it for root");
    ensure!(tried(USERS[2], 1)? == every(1), "three users and root are a crowd");
    let demoted = braked(&sensor)?;
    ensure!(demoted.is_empty(), "a brake holds what they did: {demoted:?}");
    // Root weighs as much as two.
    ensure!(tried(USERS[3], 1)? == Tried::default(), "four users and root are no crowd");
    ensure!(!is_blocked() && tried(USERS[0], 1)? == Tried::default(), "it is not demoted for all");
    let demoted = reported(&sensor)?;
    ensure!((demoted.rule.as_str(), demoted.fired, demoted.held) == ("guard", 116, 3), "{demoted:?}");
    let length = demoted.until.context("it is demoted for ever")?.duration_since(demoted.since).as_secs();
    ensure!(length == 60, "it is demoted for {length} s");
    ensure!(sensor.words().contains("BRAKE: rule guard"), "the daemon does not say it: {}", sensor.words());
    let shown = creance(&["brakes"])?;
    ensure!(shown.contains("guard") && shown.contains("several users or services within 3600 s"), "{shown}");

    creance(&["brakes", "release", "guard"])?;
    ensure!(is_blocked(), "released, it does not block");
    crowd(2000)?;
    sensor.push(rules())?;
    ensure!(is_blocked(), "a new generation is held to the brake of the one before");
    ensure!(braked(&sensor)?.is_empty(), "the new generation is shown as braked");
    shared::park(sensor);
    Ok(())
}

/// One user has 65536 ids besides his own; and what he is in a namespace that he made is still he.
fn ids_of_one() -> Result<()> {
    guarded()?;
    let sensor = shared::enforcing(vec![rules::file("guard.yaml", &[guard(None)])])?;
    for user in (100_000..165_536).step_by(4001).chain([USERS[0], 165_535]) {
        ensure!(tried(user, 1)?.refused == 1, "user {user} is one too many");
    }
    let script = format!("unshare -Ur bash -c '(: <> {GUARDED}) 2>/dev/null || echo refused'");
    for _ in 0..3 {
        let mut command = Command::new("/bin/bash");
        let output = command.args(["-c", &script]).env("PATH", "/bin").uid(USERS[0]).gid(USERS[0]).output()?;
        ensure!(output.stdout == b"refused\n", "as root of his own namespace: {output:?}");
    }
    ensure!(is_blocked(), "all that one user can be ends blocking for root");
    shared::park(sensor);
    Ok(())
}

/// What kills is held to its budget for each user; who is over it is refused.
fn each_his_own() -> Result<()> {
    guarded()?;
    let kill = Draft { action: "kill", ..guard(Some((3, HOUR))) };
    let sensor = shared::enforcing(vec![rules::file("guard.yaml", &[kill])])?;
    let own = Tried { refused: 4, killed: 3 };
    for user in [USERS[0], USERS[1]] {
        let tried = tried(user, 7)?;
        ensure!(tried == own, "user {user}: {tried:?}");
    }
    ensure!(braked(&sensor)?.is_empty(), "two users are a crowd");
    shared::park(sensor);
    Ok(())
}

/// Many processes of one user on two processors: whatever they meet in, the budget holds, and he remains one.
fn race() -> Result<()> {
    const BUDGET: u32 = 100;
    const THREADS: u32 = 4;
    const EACH: u32 = 50;
    guarded()?;
    let kill = Draft { action: "kill", ..guard(Some((BUDGET, HOUR))) };
    let sensor = shared::enforcing(vec![rules::file("guard.yaml", &[kill])])?;
    let before = sensor.status()?.outcomes;
    let all = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| tried(USERS[0], EACH))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect::<Result<Vec<_>>>()
    })?;
    let (killed, refused) = all.iter().fold((0, 0), |sum, one| (sum.0 + one.killed, sum.1 + one.refused));
    ensure!(killed + refused == THREADS * EACH, "{all:?}");
    // Processes that meet at the last may both give way.
    ensure!((BUDGET - THREADS..=BUDGET).contains(&killed), "{killed} of a budget of {BUDGET} were killed");
    let after = sensor.status()?.outcomes;
    let counted = ["killed", "denied"].map(|name| after[name] - before[name]);
    ensure!(counted == [u64::from(killed), u64::from(refused)], "{counted:?} are counted of {killed} and {refused}");
    ensure!(braked(&sensor)?.is_empty(), "one user is a crowd");
    shared::park(sensor);
    Ok(())
}

/// A rule that a brake holds is carried out again by itself.
fn again() -> Result<()> {
    guarded()?;
    let sensor = shared::enforcing(vec![rules::file("guard.yaml", &[guard(Some((5, HOUR)))])])?;
    let refused = crowd(2000)?;
    ensure!(refused == 5, "{refused} users were refused before the brake held");
    let demoted = || braked(&sensor);
    let length =
        |demoted: &[Demoted]| demoted.first().and_then(|one| Some(one.until?.duration_since(one.since).as_secs()));
    ensure!(length(&demoted()?) == Some(60), "{:?}", demoted()?);
    wait::within(Duration::from_secs(90), "the rule to block again", || Ok(is_blocked().then_some(())))?;
    ensure!(demoted()?.is_empty(), "it is shown as braked: {:?}", demoted()?);
    // In the same window: whoever was hit before counts anew.
    crowd(2000)?;
    ensure!(length(&demoted()?) == Some(120), "the second time is not twice as long: {:?}", demoted()?);
    shared::park(sensor);
    Ok(())
}

/// An event names 16 rules at most; the one that blocks comes behind.
fn unnamed() -> Result<()> {
    guarded()?;
    let ids: Vec<_> = (0..20).map(|number| format!("alert-{number:02}")).collect();
    let mut drafts: Vec<_> = ids.iter().map(|id| Draft::alert(id, &["fifo.open"], "path == '/tmp/braked'")).collect();
    drafts.push(guard(None));
    let sensor = shared::enforcing(vec![rules::file("many.yaml", &drafts)])?;
    let blocked = blocked_of(150).into_iter().filter(|blocked| *blocked).count();
    ensure!(blocked == 150, "the rule that is not named blocks {blocked} of 150");
    crowd(2000).context("the rules that are not named")?;
    ensure!(creance(&["brakes"])?.contains("beyond those that an event names"), "it is not shown");
    shared::park(sensor);
    Ok(())
}

fn stopped() -> Result<()> {
    fifo::remake(GUARDED)?;
    let rules = rules::file("guard.yaml", &[guard(Some((100_000, HOUR)))]);
    let sensor = Launch::rules(&[rules])?.enforcing().with(&["--heartbeat-limit", "3"]).start()?;
    ensure!(is_blocked(), "nothing is blocked");
    sensor.signal(libc::SIGSTOP)?;
    wait::until("verdicts to become allow", || Ok((!is_blocked()).then_some(())))?;
    ensure!(!is_blocked(), "it blocks again, and the daemon stands still");
    sensor.signal(libc::SIGCONT)?;
    wait::until("verdicts to count again", || Ok(is_blocked().then_some(())))?;
    let outcomes: Vec<_> = sensor.reports()?.iter().map(|report| report["outcome"].clone()).collect();
    let unattended = outcomes.iter().filter(|outcome| **outcome == "unattended").count();
    let counted = sensor.status()?.outcomes["unattended"];
    ensure!(unattended >= 2 && unattended as u64 == counted, "{counted} counted: {outcomes:?}");
    sensor.stop()
}

fn off_file() -> Result<()> {
    const OFF: &str = "/etc/creance/enforce-off";
    fifo::remake(GUARDED)?;
    fs::create_dir_all("/etc/creance")?;
    fs::write(OFF, "")?;
    let sensor = Launch::rules(&[rules::file("guard.yaml", &[guard(Some((100_000, HOUR)))])])?.enforcing().start()?;
    ensure!(!is_blocked(), "at its start the daemon does not look for the file");
    let status = sensor.status()?;
    ensure!(!status.enforcing && status.off_file.as_deref() == Some(OFF), "{status}");
    let refused = sensor.client()?.enforce(true);
    ensure!(refused.as_ref().is_err_and(|error| error.to_string().contains(OFF)), "{refused:?}");
    fs::remove_file(OFF)?;
    wait::until("verdicts to count again", || Ok(is_blocked().then_some(())))?;
    fs::remove_dir("/etc/creance")?;
    fs::create_dir("/etc/creance")?;
    fs::rename(fs::File::create("/etc/off").map(|_| "/etc/off")?, OFF)?;
    wait::until("the file to turn blocking off", || Ok((!is_blocked()).then_some(())))?;
    fs::remove_file(OFF)?;
    wait::until("verdicts to count again", || Ok(is_blocked().then_some(())))?;
    ensure!(Path::new(GUARDED).exists(), "the FIFO has gone");
    sensor.stop()
}

/// The session in `docs/brakes.md`, typed here.
fn documented() -> Result<()> {
    let document = include_str!("../../docs/brakes.md");
    let session = document.split("```console\n").nth(1).and_then(|rest| rest.split("```").next());
    let session = session.context("docs/brakes.md shows no session")?;
    fs::create_dir_all("/etc/creance")?;
    guarded()?;
    let sensor = shared::enforcing(vec![rules::file("guard.yaml", &[guard(Some((3, HOUR)))])])?;
    crowd(2000)?;
    for step in session.split("# ").skip(1) {
        let (command, shown) = step.split_once('\n').context("a command without an end")?;
        let output = shell::run(command)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        ensure!(shown.is_empty() || shape(&said) == shape(shown), "{command} says {said}, and the document {shown}");
    }
    wait::until("the file to be noticed", || Ok(sensor.status()?.off_file))?;
    fs::remove_file("/etc/creance/enforce-off")?;
    wait::until("the file to be missed", || Ok(sensor.status()?.off_file.is_none().then_some(())))?;
    shared::park(sensor);
    Ok(())
}

/// What is said, whatever the numbers in it; without what this machine's busybox gives cause to.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for line in text.lines().filter(|line| !line.starts_with("  lifeline:")) {
        for c in line.chars().chain(['\n']) {
            let c = if c.is_ascii_digit() { '0' } else { c };
            // A second may be given with or without its fraction.
            if !(c == '0' && shape.ends_with('0') || c == '.' && shape.ends_with('0')) {
                shape.push(c);
            }
        }
    }
    shape
}

fn creance(arguments: &[&str]) -> Result<String> {
    let output = Command::new(CREANCE).args(arguments).output().context("cannot start creance")?;
    ensure!(output.status.success(), "creance {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

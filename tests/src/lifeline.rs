//! What a host cannot do without is not held back by rules: the way in, and what the owner adds to it.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    os::{
        fd::OwnedFd,
        unix::{net::UnixDatagram, process::CommandExt as _},
    },
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{
    brakes::{GUARDED, HOUR, USERS, crowd, guard, guarded, is_blocked, reported},
    fifo, init,
    rules::{self, Draft},
    sensor::{Launch, names_rule},
    shared,
    suite::{Boot, Test},
    wait, work,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "lifeline::a_rule_that_blocks_every_fifo_leaves_the_host_usable", boot: Boot::Plain, run: usable },
    Test { name: "lifeline::a_way_in_is_what_root_runs_and_its_shell", boot: Boot::Plain, run: ways_in },
    Test { name: "lifeline::the_owner_adds_to_the_lifeline", boot: Boot::Plain, run: added },
    Test { name: "lifeline::what_is_left_of_a_quarantine_spares_the_lifeline", boot: Boot::Plain, run: spared },
    Test { name: "lifeline::a_replaced_program_stays_with_the_next_daemon", boot: Boot::Plain, run: replaced },
];

const SSHD: &str = "/usr/sbin/sshd";

/// A login program: any executable at a place of the login path. What it starts is the login shell.
fn login(script: &str) -> Result<std::process::Output> {
    fs::write("/tmp/login-script", script)?;
    Command::new(SSHD)
        .args(["-c", "/bin/bash /tmp/login-script; exit $?"])
        .env("PATH", "/bin")
        .output()
        .context("cannot log in")
}

/// Where this host's login shells are listed.
const SHELLS: &str = "/etc/shells";

/// Runs `program` as a user of that id, below root's `sshd`: as it serves him.
fn served(user: u32, program: &str, script: &str) -> Result<String> {
    fs::write("/tmp/login-script", script)?;
    let serve =
        format!("{} work as {user} {program} -c '/bin/bash /tmp/login-script; exit $?'; exit $?", work::PROGRAM);
    let output = Command::new(SSHD).args(["-c", &serve]).env("PATH", "/bin").output()?;
    Ok(String::from_utf8(output.stdout)?)
}

/// A user is let in, and no more: a program that is a way in when root runs it is none when he does.
fn ways_in() -> Result<()> {
    const AGETTY: &str = "/sbin/agetty";
    const MALWARE: &str = "/tmp/malware";
    let user = USERS[0];
    fs::create_dir_all("/etc")?;
    fs::write(SHELLS, "/bin/bash\n")?;
    for program in [SSHD, AGETTY, MALWARE] {
        fs::copy("/bin/bash", program)?;
    }
    guarded()?;
    let sensor = Launch::rules(&[rules::file("guard.yaml", &[guard(None)])])?.enforcing().start()?;
    let open = format!("{{ : <> {GUARDED}; }} 2>/dev/null && echo open || echo refused");
    let run = |user: u32, program: &str, script: &str| -> Result<String> {
        let output = Command::new(program).args(["-c", script]).env("PATH", "/bin").uid(user).gid(user).output()?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let of = |what: &str, said: Result<String>, expected: &str| -> Result<()> {
        let said = said.with_context(|| what.to_owned())?;
        ensure!(said == format!("{expected}\n"), "{what}: {said:?}, not {expected}");
        Ok(())
    };
    let shell = format!("/bin/bash -c '{open}'; exit $?");
    of("root's agetty", run(0, AGETTY, &open), "open")?;
    of("root's login shell", run(0, SSHD, &shell), "open")?;
    of("the login shell of a user whom sshd serves", served(user, SSHD, &open), "open")?;
    let exec = |program: &str| format!("exec {program} -c '{open}'");
    of("what takes the place of his login shell", served(user, SSHD, &exec(MALWARE)), "refused")?;
    of("what his login shell starts", served(user, SSHD, &format!("/bin/bash -c '{open}'; exit $?")), "refused")?;
    of("sshd in the place of his login shell", served(user, SSHD, &exec(SSHD)), "refused")?;
    of("agetty in the place of his login shell", served(user, SSHD, &exec(AGETTY)), "refused")?;
    of("a login shell below what is no way in", served(user, MALWARE, &open), "refused")?;
    of("his own sshd", run(user, SSHD, &open), "refused")?;
    of("his own agetty, with code of his own in it", run(user, AGETTY, &open), "refused")?;
    of("a shell below his own sshd", run(user, SSHD, &shell), "refused")?;
    let own = format!("{SSHD} -c '/bin/bash -c \"{open}\"; exit $?'; exit $?");
    of("a shell below two of his own sshd", run(user, SSHD, &own), "refused")?;
    let root_of_his_own = format!("unshare -Ur {AGETTY} -c '{open}'");
    of("agetty as root of his own namespace", run(user, "/bin/bash", &root_of_his_own), "refused")?;
    [SSHD, AGETTY, MALWARE, SHELLS].into_iter().try_for_each(fs::remove_file)?;
    sensor.stop()
}

fn usable() -> Result<()> {
    println!("{}", survives_what_blocks()?);
    Ok(())
}

/// A rule that kills whoever opens a FIFO is in force, and a person can log in and work; what the brake did.
///
/// # Errors
/// Where he cannot, or no brake holds the rule.
pub(super) fn survives_what_blocks() -> Result<String> {
    fs::copy("/bin/bash", SSHD)?;
    fs::create_dir_all("/etc")?;
    fs::write(SHELLS, "/bin/bash\n")?;
    fifo::remake("/tmp/mine")?;
    let rule = Draft { action: "kill", ..Draft::alert("all", &["fifo.open"], "true") };
    let mut sensor = shared::enforcing(vec![rules::file("all.yaml", &[rule])])?;
    wait::until("the login program to be found", || Ok((sensor.status()?.brakes.lifeline == 3).then_some(())))?;
    let said = init::answers();
    for round in 0..3 {
        // The login shell opens the FIFO of process 1, which opens it too.
        let output = login(&format!("echo round-{round} > {} && exec 3<> /tmp/mine && echo ok", init::CONTROL))?;
        ensure!(output.stdout == b"ok\n", "round {round}, the login shell: {output:?}");
        wait::until("process 1 to answer", || Ok((init::answers() > said + round).then_some(())))?;
    }
    let reports = sensor.reports()?;
    let of = |pid: u64| reports.iter().filter(|report| report["process"]["pid"] == pid).collect::<Vec<_>>();
    ensure!(!of(1).is_empty() && of(1).iter().all(|report| report["outcome"] == "lifeline"), "{:#?}", of(1));
    ensure!(reports.iter().all(|report| report["outcome"] == "lifeline"), "{reports:#?}");

    // What the login shell starts is not on the lifeline: it is killed, or refused where that is over the budget.
    let script = "for n in $(seq 150); do (: <> /tmp/mine) 2>/dev/null && echo passed; done; echo done";
    let output = login(script)?;
    ensure!(output.stdout == b"done\n", "the login shell: {output:?}");
    // Until the rule has hit many.
    guarded()?;
    crowd(2000)?;
    sensor.forget()?;
    let output = login("(: <> /tmp/mine) && /bin/cat /dev/null && echo usable")?;
    ensure!(output.stdout == b"usable\n", "{output:?}");
    let reports = sensor.reports()?;
    ensure!(
        reports.len() == 1 && reports[0]["outcome"] == "over_budget" && names_rule(&reports[0], "all"),
        "{reports:#?}"
    );
    let demoted = reported(&sensor)?;
    let after = demoted.reported.map(|at| at.duration_since(demoted.since).as_millis()).unwrap_or_default();
    fs::remove_file(SSHD)?;
    fs::remove_file(SHELLS)?;
    shared::park(sensor);
    Ok(format!("the rule fired {} times, then the brake held it; reported after {after} ms", demoted.fired))
}

fn added() -> Result<()> {
    fs::copy("/bin/bash", "/tmp/rescue")?;
    fs::write("/tmp/lifeline", "# by the owner\n/tmp/rescue\n/tmp/absent\n/bin/cat\n")?;
    fifo::remake(GUARDED)?;
    let sensor = Launch::rules(&[rules::file("guard.yaml", &[guard(None)])])?
        .enforcing()
        .with(&["--lifeline", "/tmp/lifeline"])
        .start()?;
    let opens = |program: &str, script: &str| -> io::Result<bool> {
        Ok(Command::new(program).args(["-c", script]).env("PATH", "/bin").output()?.status.success())
    };
    ensure!(is_blocked(), "nothing is blocked");
    ensure!(opens("/tmp/rescue", "echo 1 <> /tmp/braked")?, "what the owner added is blocked");
    ensure!(!opens("/tmp/rescue", "/bin/bash -c 'echo 1 <> /tmp/braked'; exit $?")?, "what it starts is not blocked");
    ensure!(!opens("/bin/cat", "echo 1 <> /tmp/braked").unwrap_or(false), "all of busybox is on the lifeline");
    let brakes = sensor.status()?.brakes;
    // The sensor and what was added.
    ensure!(brakes.lifeline == 2, "{brakes:?}");
    for complaint in ["/tmp/absent", "/bin/cat"] {
        ensure!(brakes.complaints.iter().any(|line| line.contains(complaint)), "{complaint}: {brakes:?}");
    }
    sensor.stop()
}

/// Where a quarantine is over its budget, a rule that blocks the same event is left: the lifeline is spared
/// that as any block.
fn spared() -> Result<()> {
    fs::copy("/bin/bash", "/tmp/rescue")?;
    fs::write("/tmp/lifeline", "/tmp/rescue\n")?;
    let asks = |id, action, budget| Draft {
        action,
        budget: Some((budget, HOUR)),
        ..Draft::alert(id, &["unix.send"], "payload.contains('spared')")
    };
    let drafts = [asks("keep", "quarantine", 1), asks("guard", "block", 100)];
    let launch = Launch::rules(&[rules::file("both.yaml", &drafts)])?.enforcing();
    let sensor = launch.with(&["--lifeline", "/tmp/lifeline"]).start()?;
    let (sender, _receiver) = UnixDatagram::pair()?;
    for number in 1..=3 {
        let mut rescue = Command::new("/tmp/rescue");
        let sent = rescue.args(["-c", "echo spared"]).stdout(OwnedFd::from(sender.try_clone()?)).output()?;
        ensure!(sent.status.success(), "send number {number} of the lifeline: {sent:?}");
    }
    let reports = sensor.reports()?;
    let outcomes: Vec<_> = reports.iter().filter_map(|report| report["outcome"].as_str()).collect();
    ensure!(outcomes == ["quarantined", "lifeline", "lifeline"], "{outcomes:?}");
    sensor.stop()
}

/// A session of a program of the login path that is replaced meanwhile: it opens what is guarded when it reads a line.
struct Session {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Session {
    fn begin() -> Result<Self> {
        let script = format!("while read _; do {{ : <> {GUARDED}; }} 2>/dev/null && echo open || echo refused; done");
        let mut command = Command::new(SSHD);
        command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot log in")?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { child, answers })
    }

    fn opens(&mut self) -> Result<bool> {
        self.child.stdin.as_mut().context("no input")?.write_all(b"\n")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer == "open\n")
    }

    fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        Ok(self.child.wait().map(drop)?)
    }
}

fn replaced() -> Result<()> {
    fs::copy("/bin/bash", SSHD)?;
    fifo::remake(GUARDED)?;
    let patient = |launch: Launch| launch.enforcing().with(&["--heartbeat-limit", "600"]);
    let mut sensor = patient(Launch::rules(&[rules::file("guard.yaml", &[guard(Some((100_000, HOUR)))])])?).start()?;
    let mut session = Session::begin()?;
    ensure!(session.opens()?, "a login program is not on the lifeline");
    fs::copy("/bin/bash", "/usr/sbin/sshd.new")?;
    fs::rename("/usr/sbin/sshd.new", SSHD)?;
    // The last is another version of the kernel side.
    for (signal, more) in
        [(libc::SIGUSR2, &[][..]), (libc::SIGKILL, &[]), (libc::SIGUSR2, &["--ring-size", "33554432"])]
    {
        sensor.signal(signal)?;
        sensor.ended()?;
        sensor = patient(Launch::default()).with(more).start()?;
        ensure!(is_blocked(), "after signal {signal} nothing is blocked: {}", sensor.words());
        ensure!(session.opens()?, "after signal {signal} the session is blocked: {}", sensor.words());
    }
    session.end()?;
    fs::remove_file(SSHD)?;
    sensor.stop()
}

//! Process 1 and a login shell go on to use FIFOs while a generation blocks that any is opened.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use sensor_user::api::status::Status;

use super::host::{self, PATIENCE, run};
use crate::{fifo, protocol::Message, report, wait};

/// systemd makes and opens it.
const OF_PROCESS_1: &str = "/run/creance-fifo";
/// The service that systemd starts for it writes here what it read there.
const ANSWER: &str = "/run/creance-fifo.answer";
/// How often each is tried.
const ROUNDS: u64 = 3;
/// The longest that a brake may go unreported, milliseconds.
const PROMPT: i128 = 1000;
/// Users that a rule may block before its brake must have held.
const MANY: u32 = 10;

/// Uses FIFOs as process 1, as a login shell, and as other users until a brake lets them; tells what was seen.
///
/// # Errors
/// Where process 1 or the login shell cannot.
pub fn used() -> Result<()> {
    host::unit("creance-fifo.socket", &format!("[Socket]\nListenFIFO={OF_PROCESS_1}\nRemoveOnStop=yes\n"))?;
    let service = format!("[Service]\nStandardInput=socket\nExecStart=/bin/sh -c 'read line; echo $line > {ANSWER}'\n");
    host::unit("creance-fifo.service", &service)?;
    run("systemctl", &["daemon-reload"])?;
    let before = host::status()?;
    for round in 0..ROUNDS {
        run("systemctl", &["restart", "creance-fifo.socket"]).context("process 1 cannot open a FIFO")?;
        let words = format!("round-{round}");
        run("ssh", &["localhost", &format!("echo {words} > {OF_PROCESS_1}")])
            .context("a login shell cannot open a FIFO")?;
        wait::within(PATIENCE, "process 1 to start what its FIFO is for", || {
            Ok(fs::read_to_string(ANSWER).is_ok_and(|answer| answer.trim() == words).then_some(()))
        })?;
    }
    let mine = "/tmp/mine";
    fifo::remake(mine)?;
    fs::set_permissions(mine, fs::Permissions::from_mode(0o666))?;
    let refused = (0..MANY).take_while(|user| is_refused(2000 + user, mine)).count();
    ensure!(refused < MANY as usize, "after {refused} blocked users no brake holds");
    let (after, late) = wait::within(PATIENCE, "the brake to be reported", || {
        let status = host::status()?;
        let late = status.brakes.demoted.iter().find_map(|demoted| {
            let reported = demoted.reported?;
            (demoted.rule == "every-fifo").then(|| reported.duration_since(demoted.since).as_millis())
        });
        Ok(late.map(|late| (status, late)))
    })?;
    let judged = after.events["fifo.open"].judged - before.events["fifo.open"].judged;
    let matched = after.events["fifo.open"].matched - before.events["fifo.open"].matched;
    let [lifeline, denied, passed] =
        ["lifeline", "denied", "over_budget"].map(|name| outcome(&after, name) - outcome(&before, name));
    report::send(&Message::Seen {
        what: "  process 1, a login shell".to_owned(),
        expected: "use FIFOs; the brake is reported within 1 s, every open is counted".to_owned(),
        seen: format!(
            "{ROUNDS} rounds; {judged} opens: {lifeline} on the lifeline, {denied} denied, {passed} over the budget; \
             the brake is reported after {late} ms"
        ),
        // Others on this host may open FIFOs too.
        ok: lifeline >= 2 * ROUNDS
            && denied >= refused as u64
            && passed > 0
            && judged == matched
            && judged == lifeline + denied + passed
            && late <= PROMPT,
    });
    Ok(())
}

/// Whether a user is refused to open a FIFO.
fn is_refused(user: u32, path: &str) -> bool {
    let mut open = Command::new("/bin/bash");
    let status = open.args(["-c", &format!(": <> {path}")]).stderr(Stdio::null()).uid(user).gid(user).status();
    !status.is_ok_and(|status| status.success())
}

fn outcome(status: &Status, name: &str) -> u64 {
    status.outcomes.get(name).copied().unwrap_or_default()
}

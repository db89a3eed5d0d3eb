//! A candidate in the shadow of what is in force.

use sensor_common::{
    actor::CGROUP,
    noise::{EVERY, NoiseKey, Role},
    shadow::Matches,
};
use sensor_content::{bundle::Budget, life::Stage};
use sensor_user::{
    api::protocol::Request,
    daemon::service::{
        admission::Access,
        server::{Answer, Service as _},
    },
};

use super::{Host, altered, bundle, content, running, stages};
use crate::support::{Daemon, nothing_seen, record};

/// What a candidate has done: judged so many events, of which rule 0 matched some; the rule in force matched as many.
pub fn saw(daemon: &Daemon, events: u64, (candidate, active): (u64, u64)) {
    let mut seen = nothing_seen();
    (seen.counts.judged[4], seen.counts.time[4], seen.counts.matched) = (events, 20 * events, candidate);
    seen.candidate.insert(0, Matches { events: candidate, beyond: 0 });
    seen.active.insert(0, Matches { events: active, beyond: 0 });
    let noise =
        |generation, rule, events| (NoiseKey { generation, actor: CGROUP, rule, role: Role::Compared as u32 }, events);
    seen.noise = vec![noise(124, 0, candidate), noise(124, EVERY, candidate), noise(120, 0, active)];
    seen.examples = vec![record(124, b"/tmp/seen")];
    *daemon.seen.lock().unwrap() = Some(seen);
    daemon.core.generations().look_at_shadow();
}

/// A host on which generation 120 is good, and 124 judges in its shadow.
fn in_shadow(limits: &str) -> (Host, Daemon) {
    let host = Host::with_good(&[120]);
    host.policy(&format!("[shadow]\ntime = \"0s\"\nevents = 100\n{limits}"));
    let daemon = host.boots("now");
    let bundle =
        altered(124, |manifest, _| manifest.budget = Budget { nanoseconds_per_event: 100, alerts_per_hour: 9 });
    let pushed = daemon.client().push_bundle(&bundle, false).unwrap();
    assert_eq!((pushed.shadow, running(&daemon)), (Some((0, 100)), Some(120)));
    assert_eq!(stages(&daemon, 124).last(), Some(&Stage::Shadow));
    saw(&daemon, 50, (5, 5));
    let text = daemon.client().status().unwrap().to_string();
    assert!(text.contains("generation 124, 1 rules, judges beside") && text.contains("50 events more"), "{text}");
    (host, daemon)
}

#[test]
fn what_keeps_its_limits_in_the_shadow_comes_into_force() {
    let (host, daemon) = in_shadow("");
    saw(&daemon, 100, (9, 9));
    assert_eq!(running(&daemon), Some(124));
    assert_eq!(stages(&daemon, 124)[4..], [Stage::Verified, Stage::Shadow, Stage::Probation]);
    let status = daemon.client().status().unwrap();
    assert!(status.shadow.is_none() && status.last_shadow.unwrap().promoted);
    daemon.stop();
    let daemon = host.boots("later");
    daemon.core.generations().tick();
    assert_eq!(running(&daemon), Some(124));
}

/// What the daemon answers to one with this access.
fn told(daemon: &Daemon, request: Request, access: Access) -> String {
    match daemon.core.answer(request, access) {
        Answer::Reply(reply) => serde_json::to_string(&reply).unwrap(),
        Answer::Events { .. } => unreachable!("these are no events"),
    }
}

#[test]
fn what_breaks_a_limit_in_the_shadow_is_rejected_with_examples() {
    for (seen, why) in [((6, 5), "would block 6 events, 5 in the generation in force"), ((10, 10), "for an hour")] {
        let (_host, daemon) = in_shadow("");
        saw(&daemon, 60, seen);
        assert_eq!(running(&daemon), Some(120));
        assert_eq!(stages(&daemon, 124).last(), Some(&Stage::Rejected));
        let status = daemon.client().status().unwrap();
        let text = status.to_string();
        assert!(text.contains(why) && (why == "for an hour" || text.contains("/tmp/seen")), "{text}");
        assert_eq!((status.changes.refused, status.changes.pushed), (1, 0));
        assert_eq!(content(&daemon).denied, [], "it may be pushed again");
        // Who may read the status only reads no event in it.
        for request in [Request::Status, Request::History] {
            let text = told(&daemon, request, Access::Status);
            assert!(text.contains(why) && !text.contains("/tmp/seen"), "{text}");
        }
        let full = told(&daemon, Request::History, Access::Full);
        assert!(why == "for an hour" || full.contains("/tmp/seen"), "{full}");
        daemon.client().push_bundle(&bundle(125), false).unwrap();
    }
}

#[test]
fn a_daemon_that_ends_gives_the_shadow_up_and_a_host_that_goes_down_denies_it() {
    let last = |daemon: &Daemon| stages(daemon, 124).last().copied();
    for (boot, stop, end) in
        [("now", true, Stage::Rejected), ("now", false, Stage::Rejected), ("after the crash", false, Stage::Denied)]
    {
        let (host, daemon) = in_shadow("");
        if stop {
            daemon.stop();
        } else {
            drop(daemon);
        }
        let daemon = host.boots(boot);
        assert_eq!((running(&daemon), last(&daemon)), (Some(120), Some(end)));
        assert_eq!(content(&daemon).denied.len(), usize::from(end == Stage::Denied));
    }
}

/// Pushed twice, it is one candidate that took its own place: it is charged all the same, and keeps its bundle.
#[test]
fn one_that_takes_its_own_place_in_the_shadow_is_charged_should_the_host_go_down() {
    let (host, daemon) = in_shadow("");
    let again = altered(124, |manifest, _| manifest.budget = Budget { nanoseconds_per_event: 100, alerts_per_hour: 9 });
    daemon.client().push_bundle(&again, false).unwrap();
    let stages = stages(&daemon, 124);
    assert_eq!(stages[stages.len() - 2..], [Stage::Verified, Stage::Shadow], "{stages:?}");
    assert!(stages.contains(&Stage::Rejected));
    drop(daemon);
    let daemon = host.boots("after the crash");
    let last = super::stages(&daemon, 124).last().copied();
    assert_eq!((running(&daemon), last), (Some(120), Some(Stage::Denied)));
    assert_eq!(content(&daemon).denied.len(), 1);
    assert_eq!(content(&daemon).good, [120]);
}

#[test]
fn a_candidate_keeps_its_bundle_while_another_becomes_good_or_is_revoked() {
    let host = Host::with_good(&[118, 119]);
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(120), false).unwrap();
    daemon.stop();
    let daemon = host.boots("after it");
    daemon.core.generations().tick();
    host.policy("[shadow]\ntime = \"0s\"\nevents = 100\n");
    daemon
        .client()
        .push_bundle(&altered(124, |manifest, _| manifest.budget.nanoseconds_per_event = 100), false)
        .unwrap();
    daemon.core.generations().tick();
    assert_eq!(content(&daemon).good, [120, 119, 118]);
    assert!(daemon.core.generations().withdraw(118, None));
    saw(&daemon, 100, (0, 0));
    assert_eq!(running(&daemon), Some(124));
    daemon.stop();
    let daemon = host.boots("later");
    daemon.core.generations().tick();
    assert_eq!(running(&daemon), Some(124), "it cannot be started again");
}

#[test]
fn a_hold_that_comes_later_keeps_a_candidate_in_the_shadow_until_it_ends() {
    const SHADOW: &str = "[shadow]\ntime = \"0s\"\nevents = 100\n";
    const HOLD: &str = "[hold]\nuntil = 2999-01-01T00:00:00Z\nreason = \"Christmas\"\n";
    let (host, daemon) = in_shadow("");
    host.policy(&format!("{SHADOW}{HOLD}"));
    for _ in 0..3 {
        saw(&daemon, 100, (0, 0));
        assert_eq!(running(&daemon), Some(120));
    }
    let status = daemon.client().status().unwrap();
    assert!(status.to_string().contains("the owner holds all content until") && status.last_shadow.is_none());
    assert!(status.shadow.unwrap().waits.unwrap().contains("Christmas"));
    // It is told what speaks against it, and goes on to be judged.
    host.policy(SHADOW);
    saw(&daemon, 100, (0, 0));
    assert_eq!(running(&daemon), Some(124));
}

#[test]
fn a_policy_that_was_set_aside_is_so_until_it_is_written_anew() {
    const HELD: &str = "[shadow]\ntime = \"0s\"\nevents = 100\n[hold]\nuntil = 2999-01-01T00:00:00Z\n";
    for anew in [false, true] {
        let host = Host::with_good(&[120]);
        host.policy(HELD);
        let daemon = host.boots("now");
        let cheap = altered(124, |manifest, _| manifest.budget.nanoseconds_per_event = 100);
        daemon.client().push_bundle(&cheap, true).unwrap();
        if anew {
            host.policy(&format!("{HELD}reason = \"stop this\"\n"));
        }
        saw(&daemon, 100, (0, 0));
        let expected = if anew { 120 } else { 124 };
        assert_eq!(running(&daemon), Some(expected), "{anew}");
        daemon.stop();
        // Also after a start: what was set aside is remembered with what it was set aside for.
        let daemon = host.boots("next");
        daemon.core.generations().tick();
        assert_eq!(running(&daemon), Some(expected), "{anew}");
        daemon.core.generations().tick();
        daemon.stop();
        host.policy(&format!("{HELD}reason = \"stop that\"\n"));
        let daemon = host.boots("after next");
        daemon.core.generations().tick();
        assert_eq!(running(&daemon), Some(if anew { 120 } else { 124 }), "a good one starts at once");
        daemon.stop();
    }
}

#[test]
fn another_generation_in_force_ends_the_shadow() {
    let (_host, daemon) = in_shadow("");
    daemon.client().pushed(&Request::push_bundle(&bundle(125), false, true)).unwrap();
    daemon.core.generations().look_at_shadow();
    assert_eq!((running(&daemon), stages(&daemon, 124).last()), (Some(125), Some(&Stage::Rejected)));
    assert_eq!(stages(&daemon, 125)[5..], [Stage::Shadow, Stage::Probation]);
}

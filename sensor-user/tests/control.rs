//! The control socket and the core behind it, with an engine that needs no kernel.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
};

use sensor_common::brakes::{RuleKey, UNNAMED};
use sensor_common::event::Hook;
use sensor_rules::Source;
use sensor_user::{
    api::protocol::{Refused, Refuser},
    control::client::Error,
    daemon::{
        core::Permits,
        events::journal::{BACKLOG, HISTORY},
        service::{
            admission::Admitted,
            server::{CLIENTS_MAX, READERS_MAX},
        },
    },
    kernel::probe::Mode,
};
use serde_json::Value;
use support::{Daemon, bad_rule_file, record, rule_file, until, user, verifier_refusal};

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Refused {
    match result {
        Err(Error::Refused(refused)) => *refused,
        other => panic!("not refused: {other:?}"),
    }
}

fn event(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[test]
fn a_push_is_the_next_generation_and_rollback_returns() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    let first = client.push(vec![rule_file("one")], false).unwrap();
    assert_eq!((first.generation, first.previous, first.rules), (1, None, 1));
    assert_eq!(first.programs.iter().map(|program| program.event.as_str()).collect::<Vec<_>>(), ["fifo.open"]);
    let second = client.push(vec![rule_file("one"), rule_file("two")], false).unwrap();
    assert_eq!((second.generation, second.previous, second.rules), (2, Some(1), 2));
    assert_eq!(client.rollback().unwrap(), 1);
    let status = client.status().unwrap();
    assert_eq!((status.generation, status.previous, status.rules), (Some(1), Some(2), 1));
    // A number is never used twice: events of 2 exist.
    assert_eq!(client.push(vec![rule_file("three")], false).unwrap().generation, 3);
}

#[test]
fn a_refused_push_changes_nothing_and_uses_no_number() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    client.push(vec![rule_file("one")], false).unwrap();

    // Nine sound rules and a bad one are refused whole.
    let mut ten: Vec<Source> = (0..9).map(|number| rule_file(&format!("sound-{number}"))).collect();
    ten.push(bad_rule_file());
    let by_checks = refused(client.push(ten, false));
    assert_eq!((by_checks.by, by_checks.active), (Refuser::Checks, Some(1)));
    let diagnostic = &by_checks.diagnostics.unwrap().0[0];
    assert_eq!((diagnostic.place.file.as_str(), diagnostic.place.line), ("rules/typo.yaml", 7));
    assert!(by_checks.message.contains("did you mean `path`"), "{}", by_checks.message);

    *daemon.refuse_next.lock().unwrap() = Some(verifier_refusal());
    let by_verifier = refused(client.push(vec![rule_file("two")], false));
    assert_eq!((by_verifier.by, by_verifier.active), (Refuser::Verifier, Some(1)));
    assert!(by_verifier.message.contains("invalid access to map value"), "{}", by_verifier.message);
    assert_eq!(by_verifier.verifier.unwrap().instruction, Some(17));

    let status = client.status().unwrap();
    assert_eq!((status.generation, status.rules), (Some(1), 1));
    assert!(status.last_refusal.unwrap().reason.contains("verifier refused"));
    assert_eq!(client.push(vec![rule_file("two")], false).unwrap().generation, 2);
}

#[test]
fn what_is_no_rule_is_refused() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    for text in [&b"\xff\xfe"[..], b"", b"rules: []", b"rules: [", b"- 1"] {
        let source = Source { name: "rules/x.yaml".into(), text: text.to_vec() };
        let refused = refused(client.push(vec![source], false));
        assert!(refused.message.contains("rules/x.yaml"), "{}", refused.message);
    }
    refused(client.push(Vec::new(), false));
    assert_eq!(client.status().unwrap().generation, None);
}

#[test]
fn rollback_without_a_generation_before_is_refused() {
    let daemon = Daemon::start();
    assert!(refused(daemon.client().rollback()).message.contains("no earlier generation"));
}

#[test]
fn checks_are_skipped_only_where_the_daemon_permits() {
    let daemon = Daemon::start();
    let refusal = refused(daemon.client().push(vec![rule_file("one")], true));
    assert_eq!(refusal.by, Refuser::Daemon);
    assert!(refusal.message.contains("--allow-skip-checks"));

    let daemon = Daemon::with(Mode::Lsm, Permits { skip_checks: true }, Admitted::users([user()]));
    daemon.client().push(vec![rule_file("one")], true).unwrap();
    assert!(daemon.client().status().unwrap().warnings[0].contains("--allow-skip-checks"));
}

#[test]
fn enforcing_is_switched_and_impossible_without_the_lsm() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    assert!(client.enforce(true).unwrap());
    assert!(client.status().unwrap().enforcing);
    assert!(!client.enforce(false).unwrap());

    let daemon = Daemon::with(Mode::Observe, Permits::default(), Admitted::users([user()]));
    let mut client = daemon.client();
    let error = client.enforce(true).unwrap_err().to_string();
    assert!(error.contains("cannot block or kill in this mode"), "{error}");
    let status = client.status().unwrap();
    assert_eq!(status.mode, "observe");
    assert!(
        status.warnings[0].contains("cannot block or kill in this mode") && status.to_string().contains("WARNING"),
        "{status}"
    );
}

#[test]
fn a_file_has_the_last_word_on_enforcing() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    assert!(client.enforce(true).unwrap());
    assert!(daemon.core.off_file(Some("/etc/creance/enforce-off".into())).unwrap());
    assert!(!*daemon.brakes.enforce.lock().unwrap());
    let status = client.status().unwrap();
    assert!(!status.enforcing && status.to_string().contains("/etc/creance/enforce-off is there"), "{status}");
    assert!(client.enforce(true).unwrap_err().to_string().contains("remove it first"));
    assert!(!daemon.core.off_file(Some("/etc/creance/enforce-off".into())).unwrap());
    assert!(daemon.core.off_file(None).unwrap());
    assert!(*daemon.brakes.enforce.lock().unwrap(), "what was asked for does not hold again");
}

#[test]
fn a_rule_over_its_budget_is_reported_once_shown_and_released() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    client.push(vec![rule_file("one")], false).unwrap();
    assert_eq!(client.brakes().unwrap().demoted, []);
    daemon.brakes.demoted.lock().unwrap().extend([RuleKey::new(1, 0), RuleKey::new(1, UNNAMED), RuleKey::new(9, 3)]);
    daemon.core.monitor().report(daemon.core.journal()).unwrap();
    let brakes = client.brakes().unwrap();
    let names: Vec<_> = brakes.demoted.iter().map(|demoted| demoted.rule.as_str()).collect();
    assert_eq!(names, ["one", "(rules beyond those that an event names)", "3"]);
    let reported: Vec<_> = brakes.demoted.iter().map(|demoted| demoted.reported).collect();
    assert!(reported.iter().all(Option::is_some));
    daemon.core.monitor().report(daemon.core.journal()).unwrap();
    assert_eq!(client.brakes().unwrap().demoted.iter().map(|demoted| demoted.reported).collect::<Vec<_>>(), reported);
    assert!(brakes.to_string().contains("it hit several users or services within 10 s; fired 105, held 5"), "{brakes}");
    assert!(client.status().unwrap().to_string().contains("BRAKE: one"));
    assert_eq!(client.release_brake(Some("two".into())).unwrap(), 0);
    assert_eq!(client.release_brake(Some("one".into())).unwrap(), 1);
    assert_eq!(client.release_brake(None).unwrap(), 2);
    assert_eq!(client.brakes().unwrap().demoted, []);
}

#[test]
fn status_shows_counts_and_losses() {
    let daemon = Daemon::start();
    daemon.client().push(vec![rule_file("one")], false).unwrap();
    daemon.happens(&record(1, b"/tmp/f"));
    let status = daemon.client().status().unwrap();
    assert_eq!((status.events["fifo.open"].judged, status.events["fifo.open"].matched), (12, 3));
    assert_eq!((status.losses["ring_full"], status.outcomes["denied"]), (2, 3));
    assert_eq!(status.reports.received, 1);
    let text = status.to_string();
    let misses = format!("recursion_misses {}", 5 * Hook::ALL.len());
    for part in ["generation   1, 1 rule", "ring_full 2", &misses, "denied 3", "file_open", "not needed"] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn an_event_is_named_by_the_rules_that_judged_it() {
    let daemon = Daemon::start();
    let mut client = daemon.client();
    client.push(vec![rule_file("old")], false).unwrap();
    client.push(vec![rule_file("new")], false).unwrap();
    // The ring buffer may still hold an event of the generation before.
    for generation in [1, 2, 77] {
        daemon.happens(&record(generation, b"/tmp/f"));
    }
    let events: Vec<_> = client.events(false).unwrap().map(|line| event(&line.unwrap())).collect();
    let ids: Vec<_> = events.iter().map(|event| event["rules"][0]["id"].as_str()).collect();
    assert_eq!(ids, [Some("old"), Some("new"), None]);
    assert_eq!(events[2]["rules"][0]["number"], 0);
    assert_eq!(events[0]["process"]["exe"], "/bin/dash");
}

#[test]
fn what_is_no_record_is_counted() {
    let daemon = Daemon::start();
    daemon.core.journal().accept(b"short", sensor_user::event::Clock::now());
    let mut strange = record(1, b"/tmp/f");
    strange.head.event = 999;
    daemon.happens(&strange);
    let reports = daemon.client().status().unwrap().reports;
    assert_eq!((reports.received, reports.unreadable), (2, 2));
}

#[test]
fn a_follower_gets_past_and_future_once() {
    let daemon = Daemon::start();
    daemon.happens(&record(1, b"/tmp/0"));
    let mut events = daemon.client().events(true).unwrap();
    let mut paths = vec![event(&events.next().unwrap().unwrap())["path"].clone()];
    for number in 1..50 {
        daemon.happens(&record(1, format!("/tmp/{number}").as_bytes()));
        paths.push(event(&events.next().unwrap().unwrap())["path"].clone());
    }
    let expected: Vec<_> = (0..50).map(|number| Value::from(format!("/tmp/{number}"))).collect();
    assert_eq!(paths, expected);
    assert_eq!(daemon.client().status().unwrap().reports.followers, 1);
    drop(events);
    until("the follower is gone", || daemon.client().status().unwrap().reports.followers == 0);
}

#[test]
fn a_follower_that_does_not_read_is_dropped_and_told() {
    let daemon = Daemon::start();
    let events = daemon.client().events(true).unwrap();
    let mut happened = 0;
    while daemon.client().status().unwrap().reports.followers_dropped == 0 {
        assert!(happened < 50 * BACKLOG, "never dropped");
        for _ in 0..BACKLOG {
            daemon.happens(&record(1, &[b'x'; 256]));
            happened += 1;
        }
    }
    let (mut received, mut unsent) = (0, None);
    for item in events {
        match item {
            Ok(_) => received += 1,
            Err(Error::TooSlow { unsent: number }) => unsent = Some(number),
            Err(other) => panic!("{other}"),
        }
    }
    let unsent = unsent.expect("the follower is told");
    assert!(unsent > 0);
    assert_eq!(received + usize::try_from(unsent).unwrap(), happened);
}

#[test]
fn the_past_is_bounded() {
    let daemon = Daemon::start();
    for _ in 0..HISTORY + 10 {
        daemon.happens(&record(1, b"/tmp/f"));
    }
    let events: Vec<_> = daemon.client().events(false).unwrap().map(Result::unwrap).collect();
    assert_eq!(events.len(), HISTORY);
    assert_eq!(event(&events[0])["seq"], 11);
}

#[test]
fn strangers_are_refused_by_the_kernels_word() {
    let daemon = Daemon::with(Mode::Lsm, Permits::default(), Admitted::users([user() + 1]));
    let error = daemon.client().status().unwrap_err().to_string();
    assert!(error.contains("may not talk to the daemon"), "{error}");
}

#[test]
fn readers_get_the_status_and_nothing_else() {
    let group = fs::metadata("/proc/self").unwrap().gid();
    let admitted = Admitted::users([user() + 1]).readers(Some(group));
    let daemon = Daemon::with(Mode::Lsm, Permits::default(), admitted);
    let mut client = daemon.client();
    client.status().unwrap();
    for error in [client.enforce(true).unwrap_err(), client.rollback().unwrap_err()] {
        assert!(error.to_string().contains("only read the status"), "{error}");
    }
    assert!(client.push(vec![rule_file("one")], false).is_err());
    assert!(client.events(false).is_err());
    // What is longer than any question of theirs is not even read.
    let many = (0..100).map(|number| rule_file(&format!("rule-{number}"))).collect();
    let error = daemon.client().push(many, false).unwrap_err().to_string();
    assert!(error.contains("only read the status"), "{error}");
    let mut readers = Vec::new();
    until("all places are taken", || {
        let mut reader = daemon.client();
        readers.extend(reader.status().is_ok().then_some(reader));
        readers.len() == READERS_MAX
    });
    let error = daemon.client().status().unwrap_err().to_string();
    assert!(error.contains("clients are connected already"), "{error}");
}

#[test]
fn nonsense_is_answered_and_the_next_request_works() {
    let daemon = Daemon::start();
    let mut stream = UnixStream::connect(&daemon.socket).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap());
    for (request, word) in [
        ("hello", "no request"),
        ("{\"command\":\"reboot\"}", "reboot"),
        ("{\"command\":\"enforce\",\"on\":1}", "no request"),
        ("\u{fffd}", "no request"),
        ("{\"command\":\"status\"}", "\"version\""),
    ] {
        writeln!(stream, "{request}").unwrap();
        let mut reply = String::new();
        replies.read_line(&mut reply).unwrap();
        assert!(reply.contains(word), "{request}: {reply}");
    }
}

#[test]
fn a_request_without_end_is_cut() {
    let daemon = Daemon::start();
    let stream = UnixStream::connect(&daemon.socket).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        let chunk = vec![b'x'; 1 << 20];
        // The daemon hangs up in the middle.
        (0..40).any(|_| writer.write_all(&chunk).is_err())
    });
    let mut reply = String::new();
    let _ = BufReader::new(stream).read_to_string(&mut reply);
    assert!(reply.is_empty() || reply.contains("longer than"), "{reply}");
    assert!(flood.join().unwrap(), "the daemon read 40 MiB");
    daemon.client().status().unwrap();
}

#[test]
fn a_client_that_leaves_in_the_middle_harms_nobody() {
    let daemon = Daemon::start();
    let mut stream = UnixStream::connect(&daemon.socket).unwrap();
    stream.write_all(b"{\"command\":\"sta").unwrap();
    drop(stream);
    daemon.client().status().unwrap();
}

#[test]
fn clients_are_served_beside_each_other_up_to_a_number() {
    let daemon = Daemon::start();
    let mut clients: Vec<_> = (0..CLIENTS_MAX).map(|_| daemon.client()).collect();
    for client in &mut clients {
        client.status().unwrap();
    }
    let error = daemon.client().status().unwrap_err().to_string();
    assert!(error.contains("clients are connected already"), "{error}");
    drop(clients);
    until("a place is free again", || daemon.client().status().is_ok());
}

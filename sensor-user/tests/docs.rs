//! The documents say what the program does. `CREANCE_BLESS=1 cargo test -p sensor-user --test docs` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{collections::BTreeSet, fs, path::Path};

use sensor_common::{
    event::Event,
    field::Field,
    record::Record,
    verdict::{Action, Outcome},
};
use sensor_content::{
    fleet::{Arm, Enrolment},
    rollout::{Order, Ring},
};
use sensor_user::{
    api::fleet::Fleet,
    event::{Clock, Report, schema},
    metrics,
};
use serde_json::Value;

fn current(name: &str, made: &str) {
    let path = Path::new("../docs").join(name);
    if std::env::var_os("CREANCE_BLESS").is_some() {
        fs::write(&path, made).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == made, "docs/{name} is stale: run CREANCE_BLESS=1 cargo test -p sensor-user --test docs");
}

#[test]
fn events_md_is_current() {
    current("events.md", &schema::events_markdown());
}

#[test]
fn fields_md_is_current() {
    current("fields.md", &schema::fields_markdown());
}

#[test]
fn metrics_md_is_current() {
    let daemon = support::Daemon::start();
    daemon.core.fleet().write(fleet());
    current("metrics.md", &metrics::markdown(&metrics::text(&daemon.core.status().unwrap()).unwrap()));
}

/// A host that is part of a roll-out.
fn fleet() -> Fleet {
    let (ring, kernel, since) = (Ring::General, "6.1".to_owned(), jiff::Timestamp::UNIX_EPOCH);
    let enrolment = Enrolment {
        release: 124,
        stage: 0,
        arm: Arm::Treated,
        ring,
        kernel: kernel.clone(),
        since,
        watched: 0,
        mishaps: std::collections::BTreeMap::new(),
    };
    let (release, enrolment) = (Some((124, Order::Offer)), Some(enrolment));
    Fleet {
        ring,
        kernel,
        polled: None,
        expires: None,
        release,
        earliest: None,
        enrolment,
        doing: String::new(),
        trouble: None,
    }
}

/// A record of `event` with all that it can carry.
fn full(event: Event) -> Record {
    let mut record = Record::EMPTY;
    record.head.event = event as u32;
    record.head.filled = event.groups().0;
    record.head.outcome = Outcome::Allowed as u32;
    record.verdict.add(0, Action::Alert);
    record
}

/// Names of all members, `process.pid` for the member `pid` of `process`.
fn names(value: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, value) in value.as_object().unwrap() {
        match value.as_object() {
            None => drop(names.insert(name.clone())),
            Some(inner) => names.extend(inner.keys().map(|inner| format!("{name}.{inner}"))),
        }
    }
    names
}

#[test]
fn every_event_has_the_members_and_fields_that_are_documented_and_no_other() {
    for event in Event::ALL {
        let record = full(*event);
        let line = Report::new(&record, None, 1, Clock::now()).unwrap().to_line();
        let documented: BTreeSet<String> = schema::MEMBERS
            .iter()
            .map(|(name, ..)| (*name).to_owned())
            .chain(Field::of(*event).map(|field| field.name.to_owned()))
            .collect();
        assert_eq!(names(&serde_json::from_str(&line).unwrap()), documented, "{}", event.name());
    }
}

#[test]
fn types_are_those_documented() {
    let mut record = full(Event::FifoPayload);
    record.object.payload.set(&[b'a'; 300]);
    let rules = sensor_rules::check(&[support::rule_file("one")], sensor_rules::Options::default()).unwrap();
    let line = Report::new(&record, Some(&rules), 7, Clock::now()).unwrap().to_line();
    let event: Value = serde_json::from_str(&line).unwrap();
    let kind = |value: &Value| match value {
        Value::Number(number) if number.is_u64() => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        other => panic!("no such type is documented: {other}"),
    };
    for (name, documented, _) in schema::MEMBERS {
        assert_eq!(kind(&event[name]), *documented, "{name}");
    }
    for (name, documented, _) in schema::RULE_MEMBERS {
        assert_eq!(kind(&event["rules"][0][name]), *documented, "{name}");
    }
    assert_eq!(event["rules"][0].as_object().unwrap().len(), schema::RULE_MEMBERS.len());
    assert_eq!(event["truncated"], serde_json::json!(["payload"]));
    assert_eq!(event["payload"].as_str().unwrap().len(), 256);
}

#[test]
fn a_field_that_was_not_filled_is_left_out() {
    let mut record = full(Event::FifoPayload);
    record.head.filled = 0;
    let line = Report::new(&record, None, 1, Clock::now()).unwrap().to_line();
    assert!(!line.contains("payload\":") && !line.contains("process"), "{line}");
}

#[test]
fn bytes_are_spelled_without_doubt() {
    let mut record = full(Event::FifoOpen);
    record.object.path.set(b"/tmp/\xff\\");
    let line = Report::new(&record, None, 1, Clock::now()).unwrap().to_line();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["path"], r"/tmp/\xff\\");
}

#[test]
fn each_promise_about_restarts_names_a_test_that_is_there() {
    let root = Path::new("..");
    let page = fs::read_to_string(root.join("docs/restart.md")).unwrap();
    let (_, table) = page.split_once("| Promise | File | Test |\n|---|---|---|\n").unwrap();
    for row in table.lines() {
        let mut cells = row.trim_matches('|').split('|').rev();
        let (tests, file) = (cells.next().unwrap(), cells.next().unwrap().trim().trim_matches('`'));
        let text = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        for test in tests.split('`').skip(1).step_by(2) {
            // A test of this project's VMs has a name; of others, the function is named.
            assert!(text.contains(&format!("name: \"{test}\"")) || text.contains(&format!("fn {test}()")), "{row}");
        }
    }
    assert!(table.lines().count() > 10);
}

#[test]
fn every_loss_of_the_status_is_documented() {
    let daemon = support::Daemon::start();
    let page = schema::events_markdown();
    for name in daemon.core.status().unwrap().all_losses().keys() {
        assert!(page.contains(&format!("| `{name}` | ")), "docs/events.md says nothing of the loss `{name}`");
    }
}

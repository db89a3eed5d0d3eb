//! What a terminal is shown: nothing that steers it or deceives its reader, by whatever command and from wherever.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::process::Command;

use sensor_content::printable::is_plain;
use support::{Daemon, record, rule_file};

/// What a process, or a publisher, may call something.
const HOSTILE: &str = "/tmp/\u{202e}gpj.x\u{9b}2J\u{200b}";

fn shown(daemon: &Daemon, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_creance"));
    let output = command.args(arguments).arg("--socket").arg(&daemon.socket).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(text.contains("gpj.x"), "{arguments:?}: {text}");
    assert!(text.chars().all(|c| c == '\n' || is_plain(c)), "{arguments:?}: {text:?}");
    text
}

#[test]
fn every_command_shows_plain_characters_only() {
    let daemon = Daemon::start();
    daemon.client().push(vec![rule_file("one")], false).unwrap();
    daemon.happens(&record(1, HOSTILE.as_bytes()));
    shown(&daemon, &["events"]);
    let line = shown(&daemon, &["events", "--json"]);
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["path"], HOSTILE, "a program reads what was there");

    daemon.core.unserved(Some(HOSTILE.to_owned()));
    shown(&daemon, &["status"]);
    let status: serde_json::Value = serde_json::from_str(&shown(&daemon, &["status", "--json"])).unwrap();
    assert_eq!(status["warnings"][0], HOSTILE);
    // An error of the command itself.
    shown(&daemon, &["push", HOSTILE]);
}

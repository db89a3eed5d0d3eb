//! `docs/repository.md` says what the program does: each command in it is run here, in order, and says what is shown.
#![allow(clippy::unwrap_used, reason = "a test")]

mod pages;
mod support;

use std::{fs, path::Path, process::Command};

use sensor_content::policy::Policy;
use support::{rule_file, write};

const PAGE: &str = include_str!("../../docs/repository.md");
const RELEASE: &str = "generation = 124\ncategory = \"routine\"\nsoak = \"24h\"\nchangelog = \"124\"\n\
     budget = { nanoseconds_per_event = 2000, alerts_per_hour = 60 }\n";

#[test]
fn each_command_says_what_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[rule_file("one")]);
    fs::write(directory.path().join("release.toml"), RELEASE).unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_creance")).parent().unwrap().display().to_string();
    let steps = pages::steps(PAGE);
    assert!(steps.len() >= 20, "{}", steps.len());
    for step in steps {
        let output = Command::new("sh")
            .args(["-c", &format!("{} 2>&1", step.command)])
            .current_dir(directory.path())
            .env("PATH", format!("{bin}:/usr/bin:/bin"))
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        step.check(output, &["needs signatures", "SOON", "health cannot be read"]);
    }
}

/// A key that does not sign changes nothing: neither what hosts are told nor what the publisher remembers.
#[test]
fn a_roll_out_command_with_another_key_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[rule_file("one")]);
    fs::write(directory.path().join("release.toml"), RELEASE).unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_creance")).parent().unwrap().display().to_string();
    let run = |command: &str| {
        let output = Command::new("sh")
            .args(["-c", &format!("{command} 2>&1")])
            .current_dir(directory.path())
            .env("PATH", format!("{bin}:/usr/bin:/bin"))
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for step in pages::steps(PAGE).iter().take_while(|step| !step.command.contains("rollout start")) {
        run(&step.command);
    }
    let order = |command: &str, key: &str| run(&format!("creance rollout {command} --state desk --key keys/{key}.key"));
    for (command, word) in
        [("start repo 124 --plan urgent", "goes out"), ("halt repo", "halted"), ("revoke repo", "revoked")]
    {
        // Its first line says where the roll-out stands; what comes behind tells the time.
        let stands = || run("creance rollout status --state desk").1.lines().next().map(str::to_owned);
        let before = stands();
        let (well, said) = order(command, "content-1");
        assert!(!well && said.contains("needs signatures"), "{command}: {said}");
        assert_eq!(stands(), before, "{command}");
        let (well, said) = order(command, "online");
        assert!(well && said.contains(word), "{command}: {said}");
    }
    assert!(!order("revoke repo", "online").0, "it is revoked");
}

#[test]
fn the_host_s_policy_is_one() {
    let policy = pages::blocks(PAGE, "toml")[0];
    assert_eq!(Policy::parse(policy).unwrap().repository().unwrap().addresses.len(), 2);
}

#[test]
fn lifetimes_are_those_of_the_program() {
    let lifetime = sensor_content::repository::Lifetime::default();
    for (role, time) in [
        ("root", lifetime.root),
        ("targets", lifetime.root),
        ("content", lifetime.content),
        ("rollout", lifetime.rollout),
        ("snapshot", lifetime.rollout),
        ("timestamp", lifetime.timestamp),
    ] {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{role}` "))).unwrap();
        assert!(row.ends_with(&format!("| {} days |", time.as_hours() / 24)), "{row}");
    }
}

//! What is said is what happens: where a roll-back leads, what a wish comes to, what a switch does, what
//! enforcing stops.

use std::{fs, path::Path, process::Command};

use sensor_user::metrics;

use super::{Host, bundle, bundle_of, content, refused, running};
use crate::support::{Daemon, Fake, rule_file};

/// What `creance` says to these arguments, and whether it ended well.
fn creance(arguments: &[&str]) -> (String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_creance")).args(arguments).env("NO_COLOR", "1").output().unwrap();
    (String::from_utf8([output.stdout, output.stderr].concat()).unwrap(), output.status.success())
}

fn at(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A roll-back leads where status said that it leads, and nowhere else.
#[track_caller]
fn keeps_its_promise(daemon: &Daemon, expected: u64, words: &str) {
    let status = daemon.client().status().unwrap();
    assert_eq!(status.previous, Some(expected));
    assert!(status.to_string().contains(&format!("`creance rollback` returns to {words})")), "{status}");
    let (said, well) = creance(&["rollback", "--socket", at(&daemon.socket)]);
    assert!(well && said.contains(&format!("{words} is in force again")), "{said}");
    assert_eq!(running(daemon), Some(expected));
}

#[test]
fn a_roll_back_leads_where_push_and_status_say() {
    // Over what was on probation itself, where nothing is good yet.
    let host = Host::new();
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(125), false).unwrap();
    assert_eq!(daemon.client().push_bundle(&bundle(126), false).unwrap().previous, Some(0));
    keeps_its_promise(&daemon, 0, "the baseline");
    assert_eq!(daemon.client().status().unwrap().previous, None, "nothing is behind the baseline");
    // Past what was revoked.
    let host = Host::with_good(&[120, 122]);
    let daemon = host.boots("now");
    assert_eq!(daemon.client().push_bundle(&bundle(124), false).unwrap().previous, Some(122));
    assert!(daemon.core.generations().withdraw(122, None));
    keeps_its_promise(&daemon, 120, "generation 120");
    // To what the owner holds it to.
    let host = Host::with_good(&[120, 122]);
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    host.policy("pin = 120\n");
    daemon.core.generations().tick();
    keeps_its_promise(&daemon, 120, "generation 120");
    // From rules that nobody has signed.
    let host = Host::with_good(&[120]);
    host.policy("unsigned = true\n");
    let daemon = host.boots("now");
    let pushed = daemon.client().push(vec![rule_file("one")], false).unwrap();
    assert_eq!(pushed.previous, Some(120));
    keeps_its_promise(&daemon, 120, "generation 120");
}

#[test]
fn push_says_in_words_where_a_roll_back_leads() {
    let host = Host::new();
    let daemon = host.boots("now");
    let path = host.path().join("125.bundle");
    fs::write(&path, bundle(125)).unwrap();
    let (said, well) = creance(&["push", at(&path), "--socket", at(&daemon.socket)]);
    assert!(well && said.contains("`creance rollback` returns to the baseline"), "{said}");
}

#[test]
fn a_wish_to_leave_a_generation_is_met_also_where_none_is_good_yet() {
    let host = Host::new();
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(126), false).unwrap();
    host.policy("[rollback]\nfrom = 126\n");
    daemon.core.generations().tick();
    assert_eq!((running(&daemon), content(&daemon).denied[0].0), (Some(0), 126));
    assert_eq!(content(&daemon).trouble, [""; 0]);
}

#[test]
fn a_wish_that_cannot_be_met_says_so_everywhere() {
    const WORDS: &str = "cannot be met, and 124 stays in force: 119 is not among the good generations here (122, 120)";
    let host = Host::with_good(&[120, 122]);
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    host.policy("[rollback]\nfrom = 124\nto = 119\n");
    for _ in 0..2 {
        daemon.core.generations().tick();
        assert_eq!(running(&daemon), Some(124));
        let status = daemon.client().status().unwrap();
        assert!(content(&daemon).trouble[0].contains(WORDS) && status.to_string().contains(WORDS), "{status}");
    }
    let (policy, state) = (host.path().join("content.toml"), host.path().join("state"));
    let (said, well) = creance(&["policy", "check", at(&policy), "--state", at(&state)]);
    assert!(!well && said.contains(WORDS) && said.contains("content.toml"), "{said}");
    let path = host.path().join("125.bundle");
    fs::write(&path, bundle(125)).unwrap();
    let explain = ["policy", "explain", at(&path), "--policy", at(&policy), "--state", at(&state)];
    let (said, well) = creance(&explain);
    assert!(well && said.contains(WORDS) && said.contains("generation 125 will be taken now"), "{said}");
    // What is denied here is not promised.
    assert!(daemon.core.generations().withdraw(124, None));
    fs::write(&path, bundle(124)).unwrap();
    let (said, _) = creance(&explain);
    assert!(said.contains("is denied here") && !said.contains("will be taken"), "{said}");
}

#[test]
fn policy_check_finds_a_hold_that_has_ended() {
    let host = Host::new();
    host.policy("[hold]\nuntil = 2020-01-01T00:00:00Z\n");
    let policy = host.path().join("content.toml");
    let (said, well) = creance(&["policy", "check", at(&policy), "--state", "/nowhere"]);
    assert!(!well && said.contains("content.toml:2:9: this hold ended at 2020-01-01T00:00:00Z"), "{said}");
    // For the host it is over, as it was promised.
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
}

#[test]
fn a_hangup_reads_the_policy_anew() {
    let host = Host::with_good(&[120]);
    let daemon = host.boots("now");
    for (policy, said, only_alert) in [
        ("[actions]\nblock = []\n", "; the owner's policy is read anew", &["one"][..]),
        ("hold = 1\n", "; the owner's policy cannot be read", &["one"]),
        ("", "; the owner's policy is read anew", &[]),
    ] {
        host.policy(policy);
        let words = daemon.core.read_anew(None);
        assert!(words.contains(said), "{policy}: {words}");
        assert_eq!(running(&daemon), Some(120), "{policy}");
        assert_eq!(content(&daemon).restrained, only_alert, "{policy}");
    }
}

#[test]
fn a_misspelt_switch_is_the_baseline_and_is_said_to_be_none() {
    let host = Host::with_good(&[120]);
    let switch = host.path().join("safe-mode");
    fs::write(&switch, "last_good\n").unwrap();
    let daemon = host.boots("now");
    assert_eq!(running(&daemon), Some(0));
    let text = daemon.client().status().unwrap().to_string();
    let words = "`last_good` is no switch: it is off, baseline or last-good; it is taken for `baseline`";
    assert!(text.contains("safe-mode: ") && text.contains(words), "{text}");
    fs::write(&switch, "last-good\n").unwrap();
    daemon.core.generations().tick();
    assert!(!daemon.client().status().unwrap().to_string().contains("is no switch"));
}

#[test]
fn a_switch_that_is_gone_holds_nothing_back_and_one_that_comes_does() {
    let host = Host::with_good(&[120]);
    let daemon = host.boots("before");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    daemon.stop();
    let switch = host.path().join("safe-mode");
    fs::write(&switch, "last-good").unwrap();
    let daemon = host.boots("now");
    daemon.core.generations().tick();
    let held = |daemon: &Daemon| daemon.client().status().unwrap().to_string().contains("held back by a switch");
    assert!(held(&daemon) && running(&daemon) == Some(120));
    let said = refused(&daemon, &bundle(125)).message;
    assert!(said.contains("the switch `last-good` holds all content back"), "{said}");
    fs::remove_file(&switch).unwrap();
    daemon.core.generations().tick();
    assert_eq!((held(&daemon), running(&daemon)), (false, Some(124)), "it is tried again");
    daemon.stop();
    // Switches say with what a daemon starts: it does not climb by itself, and says how.
    fs::write(&switch, "baseline").unwrap();
    let daemon = host.boots("next");
    assert_eq!(running(&daemon), Some(0));
    fs::remove_file(&switch).unwrap();
    daemon.core.generations().tick();
    assert!(!held(&daemon), "it is asked anew");
}

#[test]
fn a_daemon_that_was_started_under_a_switch_says_how_to_go_on_without() {
    let host = Host::with_good(&[120]);
    let switch = host.path().join("safe-mode");
    fs::write(&switch, "baseline").unwrap();
    let daemon = host.boots("now");
    fs::remove_file(&switch).unwrap();
    daemon.core.generations().tick();
    let text = daemon.client().status().unwrap().to_string();
    assert!(!text.contains("held back by a switch"), "{text}");
    assert!(text.contains("started under the switch `baseline`, which is gone: start it anew"), "{text}");
    assert!(text.contains("to go on with generation 120"), "{text}");
}

#[test]
fn figures_tell_the_baseline_from_nothing() {
    let host = Host::new();
    let figure = |daemon: &Daemon| {
        let text = metrics::text(&daemon.core.status().unwrap()).unwrap();
        text.lines().find_map(|line| line.strip_prefix("creance_generation ").map(str::to_owned)).unwrap()
    };
    let daemon = host.boots("now");
    assert_eq!(figure(&daemon), "0");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    assert_eq!(figure(&daemon), "124");
    daemon.stop();
    fs::write(host.path().join("safe-mode"), "off").unwrap();
    assert_eq!(figure(&host.boots("next")), "-1");
}

#[test]
fn enforcing_says_what_the_rules_in_force_ask_for() {
    let said = |daemon: &Daemon| {
        let (said, well) = creance(&["enforce", "on", "--socket", at(&daemon.socket)]);
        assert!(well, "{said}");
        (said, daemon.client().status().unwrap().to_string())
    };
    let host = Host::new();
    let daemon = host.boots("now");
    let (words, status) = said(&daemon);
    assert!(words.contains("nothing is stopped: the 17 rules of the baseline only alert; push rules"), "{words}");
    assert!(status.contains(words.trim()), "{status}");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    let (words, status) = said(&daemon);
    assert!(words.contains("are carried out, where rules ask for them: 1 of 1 in force"), "{words}");
    assert!(!status.contains("nothing is stopped"), "{status}");
    host.policy("[actions]\nblock = []\n");
    daemon.core.generations().tick();
    let (words, _) = said(&daemon);
    assert!(
        words.contains("nothing is stopped: the owner's policy ([actions]) lets these rules only alert: one"),
        "{words}"
    );
    host.policy("");
    let mut alerts = rule_file("two");
    alerts.text = String::from_utf8(alerts.text).unwrap().replace("action: block", "action: alert").into();
    daemon.client().push_bundle(&bundle_of(125, vec![alerts], "routine"), false).unwrap();
    let (words, _) = said(&daemon);
    assert!(words.contains("nothing is stopped: the rule of generation 125 only alerts; push"), "{words}");
    // What a daemon before has left in force counts as what it is.
    let daemon = Host::new().adopts("now", Fake::left(0));
    assert!(said(&daemon).0.contains("rules of the baseline only alert"));
    let (off, _) = creance(&["enforce", "off", "--socket", at(&daemon.socket)]);
    assert!(off.contains("reported, not carried out"), "{off}");
}

//! Bundles in the daemon: taken in step by step, kept, tried again, taken back; with an engine that needs no kernel.
#![allow(clippy::unwrap_used, reason = "a test")]

mod bad;
mod full;
mod promises;
mod roads;
mod shadow;
mod start;
#[path = "../support/mod.rs"]
mod support;

use std::{fs, path::Path, time::Duration};

use jiff::SignedDuration;
use sensor_content::{
    bundle::{self, Manifest, Release},
    digest::Digest,
    key::PrivateKey,
    life::{BootId, Stage},
};
use sensor_rules::Source;
use sensor_user::{
    api::protocol::{Refused, Refuser},
    control::client::Error,
    host::settings::Settings,
};
use support::{Daemon, Fake, rule_file, verifier_refusal};

/// A host's disk, and a publisher whom it trusts.
struct Host {
    directory: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let host = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(host.path().join("keys")).unwrap();
        fs::write(host.path().join("keys/publisher.pub"), key().public().to_pem().unwrap()).unwrap();
        host
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn policy(&self, text: &str) {
        fs::write(self.path().join("content.toml"), text).unwrap();
    }

    /// The daemon starts, in this start of the kernel.
    fn boots(&self, boot: &str) -> Daemon {
        Daemon::keeping(&self.settings(boot))
    }

    /// The daemon starts where one before has left something in force.
    fn adopts(&self, boot: &str, left: Fake) -> Daemon {
        Daemon::adopting(&self.settings(boot), left)
    }

    fn settings(&self, boot: &str) -> Settings {
        Settings {
            state: self.path().join("state"),
            policy: self.path().join("content.toml"),
            keys: self.path().join("keys"),
            approvals: self.path().join("approvals"),
            safe_mode: self.path().join("safe-mode"),
            boot: BootId(boot.into()),
            program: env!("CARGO_BIN_EXE_creance").into(),
            settle: Duration::ZERO,
            up: Duration::ZERO,
            back_off: SignedDuration::ZERO,
        }
    }

    /// A host whose generations are good.
    fn with_good(numbers: &[u64]) -> Self {
        let host = Self::new();
        host.makes_good(numbers);
        host
    }

    fn makes_good(&self, numbers: &[u64]) {
        for number in numbers {
            let daemon = self.boots(&format!("before {number}"));
            daemon.client().push_bundle(&bundle(*number), false).unwrap();
            daemon.stop();
            let daemon = self.boots(&format!("after {number}"));
            daemon.core.generations().tick();
            daemon.core.generations().tick();
            assert_eq!(content(&daemon).good[0], *number);
            daemon.stop();
        }
    }
}

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[1; 32])
}

fn bundle_of(number: u64, sources: Vec<Source>, category: &str) -> Vec<u8> {
    let release = format!(
        "generation = {number}\ncategory = \"{category}\"\nsoak = \"0s\"\nchangelog = \"{number}\"\n\
         budget = {{ nanoseconds_per_event = 1, alerts_per_hour = 1 }}"
    );
    let sources =
        sources.into_iter().map(|source| Source { name: source.name.replace("rules/", ""), ..source }).collect();
    Release::parse(&release).unwrap().build(sources, &key()).unwrap()
}

fn bundle(number: u64) -> Vec<u8> {
    bundle_of(number, vec![rule_file("one")], "routine")
}

/// The bundle with something changed by the publisher.
fn altered(number: u64, change: impl FnOnce(&mut Manifest, &mut Vec<u8>)) -> Vec<u8> {
    altered_of(&bundle(number), change)
}

fn altered_of(bundle: &[u8], change: impl FnOnce(&mut Manifest, &mut Vec<u8>)) -> Vec<u8> {
    let parts = bundle::decode(bundle).unwrap();
    let (mut manifest, mut text) = (parts.manifest, parts.sources[0].text.clone());
    change(&mut manifest, &mut text);
    manifest.files[0].size = u32::try_from(text.len()).unwrap();
    bundle::encode(&manifest, &[&text], &key()).unwrap()
}

#[track_caller]
fn refused(daemon: &Daemon, bytes: &[u8]) -> Refused {
    match daemon.client().push_bundle(bytes, false) {
        Err(Error::Refused(refused)) => *refused,
        other => panic!("not refused: {other:?}"),
    }
}

fn content(daemon: &Daemon) -> sensor_user::api::status::Content {
    daemon.client().status().unwrap().content.unwrap()
}

fn running(daemon: &Daemon) -> Option<u64> {
    daemon.client().status().unwrap().generation
}

fn stages(daemon: &Daemon, number: u64) -> Vec<Stage> {
    let history = daemon.client().history().unwrap();
    history.into_iter().filter(|entry| entry.generation.number == number).map(|entry| entry.stage).collect()
}

#[test]
fn a_bundle_goes_all_the_way_to_good() {
    use Stage::{Checked, Compiled, Downloaded, Good, Probation, Shadow, Signed, Verified};
    let host = Host::new();
    let daemon = host.boots("first");
    assert_eq!(running(&daemon), Some(0), "the baseline, where there is nothing else");
    let pushed = daemon.client().push_bundle(&bundle(124), false).unwrap();
    assert_eq!((pushed.generation, pushed.rules), (124, 1));
    let way = [Downloaded, Signed, Checked, Compiled, Verified, Shadow, Probation];
    assert_eq!(stages(&daemon, 124), way);
    let text = daemon.client().status().unwrap().to_string();
    assert!(text.contains("on probation until the host has been rebooted"), "{text}");
    // Its time is over; a reboot is missing.
    daemon.core.generations().tick();
    daemon.core.generations().tick();
    assert_eq!(content(&daemon).good, [0; 0]);
    daemon.stop();

    let daemon = host.boots("second");
    assert_eq!(running(&daemon), Some(0), "the host comes up without what is on probation");
    daemon.core.generations().tick();
    assert_eq!(running(&daemon), Some(124));
    daemon.core.generations().tick();
    assert_eq!((content(&daemon).good, content(&daemon).trial), (vec![124], None));
    assert_eq!(stages(&daemon, 124), [&way[..], &[Good]].concat());
    daemon.stop();

    let daemon = host.boots("third");
    assert_eq!(running(&daemon), Some(124), "the last good one starts at once");
}

#[test]
fn each_check_can_refuse_and_what_runs_stays() {
    let host = Host::with_good(&[120]);
    let daemon = host.boots("now");
    let refuses = |bytes: &[u8], by: Refuser, word: &str| {
        let refused = refused(&daemon, bytes);
        assert!(refused.by == by && refused.message.contains(word), "{word}: {refused:?}");
        assert_eq!(running(&daemon), Some(120));
    };
    refuses(b"rules", Refuser::Bundle, "no bundle");
    // For another field table: before the signature is looked at.
    let mut misfit = altered(124, |manifest, _| manifest.contract = Digest::of(b"21 fields"));
    let end = misfit.len();
    misfit[end - 64..].fill(0);
    refuses(&misfit, Refuser::Bundle, "field table");
    assert_eq!(stages(&daemon, 124), [Stage::Downloaded, Stage::Rejected]);
    let mut unsigned = bundle(125);
    let end = unsigned.len();
    unsigned[end - 64..].fill(0);
    refuses(&unsigned, Refuser::Bundle, "signature is wrong");
    refuses(&bundle(119), Refuser::Policy, "generation 120, which is newer, is in force");
    refuses(&bundle(120), Refuser::Policy, "in force already");
    refuses(&altered(126, |manifest, _| "alert".clone_into(&mut manifest.rules[0].action)), Refuser::Bundle, "lies");
    assert_eq!(stages(&daemon, 126), [Stage::Downloaded, Stage::Signed, Stage::Rejected]);
    let wrong = |_: &mut Manifest, text: &mut Vec<u8>| {
        *text = String::from_utf8(text.clone()).unwrap().replace("/home/me/f", "/tmp/me").into();
    };
    refuses(&altered(127, wrong), Refuser::Tests, "its own tests fail here");
    *daemon.refuse_next.lock().unwrap() = Some(verifier_refusal());
    refuses(&bundle(128), Refuser::Verifier, "");
    assert_eq!(stages(&daemon, 128).last(), Some(&Stage::Rejected));
    assert_eq!(content(&daemon).denied, [], "what never ran is not held against anybody");
    // After all this, a crash is charged to nobody but what ran.
    drop(daemon);
    let daemon = host.boots("now");
    assert_eq!(running(&daemon), Some(120));
}

#[test]
fn one_that_kills_the_daemon_at_load_is_not_tried_again() {
    let host = Host::with_good(&[120]);
    let daemon = host.boots("now");
    daemon.core.generations().tick();
    *daemon.die_next.lock().unwrap() = true;
    assert!(daemon.client().push_bundle(&bundle(124), false).is_err());
    drop(daemon);
    let daemon = host.boots("now");
    assert_eq!(running(&daemon), Some(120));
    assert_eq!(content(&daemon).denied[0].0, 124);
    let refused = refused(&daemon, &bundle(124));
    assert!(
        refused.message.contains("denied here") && refused.message.contains("while it was loaded"),
        "{}",
        refused.message
    );
}

#[test]
fn one_that_takes_the_host_down_on_probation_costs_one_boot() {
    let host = Host::with_good(&[120, 122]);
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    drop(daemon);
    let daemon = host.boots("after the crash");
    daemon.core.generations().tick();
    assert_eq!(running(&daemon), Some(122));
    assert_eq!(stages(&daemon, 124)[7..], [Stage::RolledBack, Stage::Denied]);
    let text = daemon.client().status().unwrap().to_string();
    assert!(text.contains("124: the host went down without a clean stop"), "{text}");
}

#[test]
fn rollback_leaves_a_generation_for_good() {
    let host = Host::with_good(&[120, 122]);
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    assert_eq!(daemon.client().rollback().unwrap(), 122);
    assert_eq!(daemon.client().rollback().unwrap(), 120);
    assert_eq!(daemon.client().rollback().unwrap(), 0, "the baseline");
    assert_eq!(running(&daemon), Some(0));
    assert!(daemon.client().rollback().is_err());
    assert_eq!(running(&daemon), Some(0));
    daemon.stop();
    let daemon = host.boots("later");
    daemon.core.generations().tick();
    assert_eq!(running(&daemon), Some(0));
    assert!(refused(&daemon, &bundle(122)).message.contains("by order"));
    daemon.client().push_bundle(&bundle(125), false).unwrap();
}

#[test]
fn the_owner_decides() {
    let host = Host::with_good(&[120]);
    host.policy("[hold]\nuntil = 2999-01-01T00:00:00Z\n");
    let daemon = host.boots("now");
    let held = refused(&daemon, &bundle_of(124, vec![rule_file("one")], "urgent"));
    assert!(held.by == Refuser::Policy && held.message.contains("holds all content"), "{held:?}");
    assert_eq!(stages(&daemon, 124), [Stage::Downloaded, Stage::Signed, Stage::Denied]);
    // A policy that cannot be read holds back, too.
    host.policy("hold = 1\n");
    let unreadable = refused(&daemon, &bundle(124));
    assert!(unreadable.message.contains("content.toml:1:8"), "{}", unreadable.message);
    host.policy("[actions]\nblock = []\n");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    assert_eq!(content(&daemon).restrained, ["one"]);
    // Whoever is root may set the policy aside, and not the age.
    host.policy("pin = 120\n");
    assert_eq!(refused(&daemon, &bundle(125)).by, Refuser::Policy);
    daemon.client().push_bundle(&bundle(125), true).unwrap();
    assert!(daemon.client().push_bundle(&bundle(125), true).is_err());
    // Unsigned rules need the owner's word.
    host.policy("");
    daemon.core.generations().tick();
    assert!(
        matches!(daemon.client().push(vec![rule_file("one")], false), Err(Error::Refused(refused)) if refused.by == Refuser::Policy)
    );
    host.policy("unsigned = true\n");
    daemon.core.generations().tick();
    daemon.client().push(vec![rule_file("one")], false).unwrap();
}

#[test]
fn a_wish_to_go_back_is_fulfilled_once() {
    let host = Host::with_good(&[120, 122]);
    let daemon = host.boots("now");
    host.policy("[rollback]\nfrom = 122\n");
    for _ in 0..3 {
        daemon.core.generations().tick();
        assert_eq!(running(&daemon), Some(120));
    }
    assert_eq!(stages(&daemon, 122).iter().filter(|stage| **stage == Stage::RolledBack).count(), 1);
}

#[test]
fn switches_hold_content_back() {
    let host = Host::with_good(&[120]);
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    daemon.stop();
    for (content_of_file, expected) in [("last-good", Some(120)), ("", Some(0)), ("baseline\n", Some(0)), ("off", None)]
    {
        fs::write(host.path().join("safe-mode"), content_of_file).unwrap();
        let daemon = host.boots("next");
        daemon.core.generations().tick();
        assert_eq!(running(&daemon), expected, "{content_of_file:?}");
        assert!(daemon.client().status().unwrap().to_string().contains("held back by a switch"));
        daemon.stop();
    }
    fs::remove_file(host.path().join("safe-mode")).unwrap();
    let daemon = host.boots("last");
    daemon.core.generations().tick();
    assert_eq!(running(&daemon), Some(124), "nothing was lost");
}

#[test]
fn without_a_store_there_are_no_bundles() {
    let daemon = Daemon::start();
    assert!(refused(&daemon, &bundle(1)).message.contains("--state"));
    assert!(daemon.client().history().unwrap_err().to_string().contains("--state"));
}

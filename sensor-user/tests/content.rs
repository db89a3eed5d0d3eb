//! Bundles in the daemon: taken in step by step, kept, tried again, taken back; with an engine that needs no kernel.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use sensor_common::shadow::Matches;
use sensor_content::{
    bundle::{self, Budget, Manifest, Release},
    digest::Digest,
    key::PrivateKey,
    life::{BootId, Stage},
};
use sensor_rules::Source;
use sensor_user::{
    control::{
        client::Error,
        protocol::{Refused, Refuser, Request},
    },
    daemon::keeper::Settings,
};
use support::{Daemon, nothing_seen, record, rule_file, verifier_refusal};

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
        Daemon::keeping(&Settings {
            state: self.path().join("state"),
            policy: self.path().join("content.toml"),
            keys: self.path().join("keys"),
            approvals: self.path().join("approvals"),
            safe_mode: self.path().join("safe-mode"),
            boot: BootId(boot.into()),
            program: env!("CARGO_BIN_EXE_creance").into(),
            settle: Duration::ZERO,
            up: Duration::ZERO,
        })
    }

    /// A host whose generations are good.
    fn with_good(numbers: &[u64]) -> Self {
        let host = Self::new();
        for number in numbers {
            let daemon = host.boots(&format!("before {number}"));
            daemon.client().push_bundle(&bundle(*number), false).unwrap();
            daemon.stop();
            let daemon = host.boots(&format!("after {number}"));
            daemon.core.tick();
            daemon.core.tick();
            assert_eq!(content(&daemon).good[0], *number);
            daemon.stop();
        }
        host
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
    let parts = bundle::decode(&bundle(number)).unwrap();
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

fn content(daemon: &Daemon) -> sensor_user::status::Content {
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
    daemon.core.tick();
    daemon.core.tick();
    assert_eq!(content(&daemon).good, [0; 0]);
    daemon.stop();

    let daemon = host.boots("second");
    assert_eq!(running(&daemon), Some(0), "the host comes up without what is on probation");
    daemon.core.tick();
    assert_eq!(running(&daemon), Some(124));
    daemon.core.tick();
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
    refuses(&altered(127, wrong), Refuser::Bundle, "its own tests fail here");
    *daemon.refuse_next.lock().unwrap() = Some(verifier_refusal());
    refuses(&bundle(128), Refuser::Verifier, "");
    assert_eq!(stages(&daemon, 128).last(), Some(&Stage::Rejected));
    assert_eq!(content(&daemon).denied, [], "what never ran is not held against anybody");
    // After all this, a crash is charged to nobody but what ran.
    drop(daemon);
    let daemon = host.boots("now");
    assert_eq!(running(&daemon), Some(120));
}

/// Every file below a directory.
fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { BTreeSet::from([path]) }).collect()
}

/// The bundle with these bytes in place of those, signed by the publisher all the same.
fn patched(number: u64, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let source = Source { name: "aa/x.yaml".into(), ..rule_file("one") };
    let mut bytes = bundle_of(number, vec![source], "routine");
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    let end = bytes.len() - 64;
    let signature = key().sign(&bytes[..end]);
    bytes[end..].copy_from_slice(&signature);
    bytes
}

/// Ten lists of ten of the list before, twenty times.
fn yaml_bomb() -> String {
    let level = |level: u8| {
        let (before, here) = ((b'a' + level) as char, (b'b' + level) as char);
        format!("  {here}: &{here} [{}]\n", vec![format!("*{before}"); 10].join(", "))
    };
    let levels: String = (0..20).map(level).collect();
    format!("lists:\n  A: &a [x, x, x, x, x, x, x, x, x, x]\n{levels}")
}

#[test]
fn no_bad_bundle_changes_anything() {
    let host = Host::with_good(&[120]);
    let daemon = host.boots("now");
    let before = files(host.path());
    let whole = bundle(130);
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let stranger = PrivateKey::from_seed(&[9; 32]);
    let parts = bundle::decode(&whole).unwrap();
    let of_stranger = bundle::encode(&parts.manifest, &[&parts.sources[0].text], &stranger).unwrap();
    // A frame of zstd whose 100 blocks are 128 KiB of one byte each; a header of gzip; a tar archive with a name that leads out.
    let zstd = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58][..], &[0x02, 0x00, 0x10, 0x00].repeat(100)].concat();
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0; 64]].concat();
    let mut tar = [&b"../../etc/creance/keys/other.pub"[..], &[0; 992]].concat();
    tar[257..262].copy_from_slice(b"ustar");
    let claims_much = [bundle::MAGIC, &u32::MAX.to_le_bytes()].concat();
    let cases = [
        ("cut in the middle", whole[..whole.len() / 2].to_vec(), "is cut"),
        ("cut by a byte", whole[..whole.len() - 1].to_vec(), "is cut"),
        ("with a byte more", [&whole[..], b"x"].concat(), "too many"),
        ("changed", flipped, ""),
        ("by another key", of_stranger, "not trusted here"),
        ("for another architecture", altered(130, |manifest, _| manifest.architecture = "aarch64".into()), "aarch64"),
        ("packed with zstd", zstd, "no bundle"),
        ("packed with gzip", gzip, "no bundle"),
        ("an archive", tar, "no bundle"),
        ("that claims four gigabytes", claims_much, "the longest has"),
        ("larger than any", vec![0; bundle::BUNDLE_MAX + 1], "larger than"),
        ("with a bomb of YAML", altered(130, |_, text| *text = yaml_bomb().into()), "its own tests fail here"),
        ("with a name that leads out", patched(130, "aa/x.yaml", "../x.yaml"), "makes no sense"),
        ("with a name from the root", patched(130, "aa/x.yaml", "/aa/x.yml"), "makes no sense"),
        ("older than what runs", bundle(119), "newer, is in force"),
        ("with a lie about a rule", altered(130, |manifest, _| manifest.rules[0].id = "harmless".into()), "lies"),
        ("with a rule not named", altered(130, |manifest, _| manifest.rules.clear()), "lies"),
    ];
    for (what, bytes, word) in cases {
        let refused = refused(&daemon, &bytes);
        assert!(refused.message.contains(word), "a bundle {what}: {refused:?}");
        assert_eq!(running(&daemon), Some(120), "a bundle {what}");
        assert_eq!(files(host.path()), before, "a bundle {what}");
    }
    assert_eq!(content(&daemon).good, [120]);
    let last = daemon.client().history().unwrap().pop().unwrap();
    assert_eq!((last.generation.number, last.stage), (130, Stage::Rejected), "{last}");
    // What was whole and good is taken afterwards.
    assert_eq!(daemon.client().push_bundle(&whole, false).unwrap().generation, 130);
}

#[test]
fn one_that_kills_the_daemon_at_load_is_not_tried_again() {
    let host = Host::with_good(&[120]);
    let daemon = host.boots("now");
    daemon.core.tick();
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
    daemon.core.tick();
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
    daemon.core.tick();
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
    daemon.core.tick();
    assert!(
        matches!(daemon.client().push(vec![rule_file("one")], false), Err(Error::Refused(refused)) if refused.by == Refuser::Policy)
    );
    host.policy("unsigned = true\n");
    daemon.core.tick();
    daemon.client().push(vec![rule_file("one")], false).unwrap();
}

#[test]
fn a_wish_to_go_back_is_fulfilled_once() {
    let host = Host::with_good(&[120, 122]);
    let daemon = host.boots("now");
    host.policy("[rollback]\nfrom = 122\n");
    for _ in 0..3 {
        daemon.core.tick();
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
        daemon.core.tick();
        assert_eq!(running(&daemon), expected, "{content_of_file:?}");
        assert!(daemon.client().status().unwrap().to_string().contains("held back by a switch"));
        daemon.stop();
    }
    fs::remove_file(host.path().join("safe-mode")).unwrap();
    let daemon = host.boots("last");
    daemon.core.tick();
    assert_eq!(running(&daemon), Some(124), "nothing was lost");
}

/// What a candidate has done: judged so many events, of which rule 0 matched some; the rule in force matched as many.
fn saw(daemon: &Daemon, events: u64, (candidate, active): (u64, u64)) {
    let mut seen = nothing_seen();
    (seen.counts.judged[4], seen.counts.time[4], seen.counts.matched) = (events, 20 * events, candidate);
    seen.candidate.insert(0, Matches { events: candidate, beyond: 0 });
    seen.active.insert(0, Matches { events: active, beyond: 0 });
    seen.examples = vec![record(124, b"/tmp/seen")];
    *daemon.seen.lock().unwrap() = Some(seen);
    daemon.core.look_at_shadow();
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
    daemon.core.tick();
    assert_eq!(running(&daemon), Some(124));
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

#[test]
fn another_generation_in_force_ends_the_shadow() {
    let (_host, daemon) = in_shadow("");
    daemon.client().pushed(&Request::push_bundle(&bundle(125), false, true)).unwrap();
    daemon.core.look_at_shadow();
    assert_eq!((running(&daemon), stages(&daemon, 124).last()), (Some(125), Some(&Stage::Rejected)));
    assert_eq!(stages(&daemon, 125)[5..], [Stage::Shadow, Stage::Probation]);
}

#[test]
fn without_a_store_there_are_no_bundles() {
    let daemon = Daemon::start();
    assert!(refused(&daemon, &bundle(1)).message.contains("--state"));
    assert!(daemon.client().history().unwrap_err().to_string().contains("--state"));
}

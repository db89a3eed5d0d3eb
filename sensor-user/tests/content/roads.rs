//! Every road by which something comes into force, by every word of the owner, and the one of the content keys,
//! that is said before the last step is taken.

use std::{fs, process::Command};

use sensor_common::brakes::RuleKey;
use sensor_content::{
    bundle::{Category, Unverified},
    fleet::{Ramps, Release, Seat},
    key::PrivateKey,
    life::Id,
    rollout::{HostId, Ring},
    store::{Directory, write_sealed},
};

use super::{Host, altered, bundle, content, running, shadow::saw};
use crate::support::{Daemon, Fake, rule_file, write};

/// What the owner can say, each so that it is against what is about to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Nothing,
    Hold,
    Window,
    Pin,
    Approval,
    Actions,
    /// The policy cannot be read.
    Unreadable,
    /// `rollback.from`
    TakenBack,
    Delay,
    /// The file `safe-mode`.
    Switch,
    /// Not the owner's: the content keys do not allow it yet.
    Ramp,
}

const WORDS: [Word; 11] = [
    Word::Nothing,
    Word::Hold,
    Word::Window,
    Word::Pin,
    Word::Approval,
    Word::Actions,
    Word::Unreadable,
    Word::TakenBack,
    Word::Delay,
    Word::Switch,
    Word::Ramp,
];

impl Word {
    /// It is said of this generation, beside what the road needs, to a host whose daemon runs, or does not.
    fn is_said(self, host: &Host, daemon: Option<&Daemon>, about: u64, more: &str) {
        if self == Self::Ramp {
            let ramps = not_yet(about);
            let mut directory = Directory::open(host.path().join("state/repository")).unwrap();
            write_sealed(&mut directory, "ramps", &ramps).unwrap();
            if let Some(daemon) = daemon {
                daemon.core.generations().keep_pace(&ramps);
            }
        }
        if self == Self::Switch {
            fs::write(host.path().join("safe-mode"), "last-good").unwrap();
        }
        host.policy(&self.policy(host, about, more));
    }

    fn policy(self, host: &Host, about: u64, more: &str) -> String {
        let said = match self {
            Self::Nothing | Self::Switch | Self::Ramp => String::new(),
            Self::Hold => "[hold]\nuntil = 2999-01-01T00:00:00Z\n".into(),
            Self::Window => closed_window(),
            Self::Pin => return format!("pin = 9999\n{more}"),
            Self::Delay => return format!("delay = \"24h\"\n{more}"),
            Self::Unreadable => return "hold = 1\n".into(),
            Self::TakenBack => format!("[rollback]\nfrom = {about}\n"),
            Self::Approval => {
                let key = host.path().join("owner.pub");
                fs::write(&key, owner().public().to_pem().unwrap()).unwrap();
                format!("[approval]\nkey = \"{}\"\n", key.display())
            }
            Self::Actions => "[actions]\nblock = []\n".into(),
        };
        format!("{more}{said}")
    }
}

/// The repository lists this generation, whatever its content, and its first publication was just now.
fn not_yet(number: u64) -> Ramps {
    let seat = Seat { host: HostId([7; 16]), ring: Ring::General, hangs: false };
    let ids = [bundle(number), cheap(number)].map(|bytes| {
        let digest = Unverified::read(bytes).unwrap().digest();
        Id { number, digest }
    });
    let releases = ids.map(|id| Release { id, category: Category::Routine, paced: None });
    let mut ramps = Ramps::default();
    ramps.learns(seat, None, releases.into_iter());
    ramps
}

/// The bundle of this number, for a shadow that measures its cost.
fn cheap(number: u64) -> Vec<u8> {
    altered(number, |manifest, _| manifest.budget.nanoseconds_per_event = 100)
}

thread_local! {
    static GOOD: Host = Host::with_good(&[120]);
}

/// A host on which 120 is good: made once, since many are needed.
fn host() -> Host {
    GOOD.with(|good| {
        let host = Host::new();
        let copied = Command::new("cp").arg("-a").arg(good.path().join("state")).arg(host.path()).status().unwrap();
        assert!(copied.success());
        host
    })
}

fn owner() -> PrivateKey {
    PrivateKey::from_seed(&[3; 32])
}

/// A window that is open for one minute, half a day from now.
fn closed_window() -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(12);
    let end = then + jiff::SignedDuration::from_mins(1);
    let clock = |time: jiff::Timestamp| time.strftime("%H:%M").to_string();
    format!("[[window]]\nfrom = \"{}\"\nto = \"{}\"\nzone = \"UTC\"\n", clock(then), clock(end))
}

/// What is in force in the end: the number, and the rules that only alert by the owner's word.
type End = (Option<u64>, Vec<String>);

fn end(daemon: &Daemon) -> End {
    (running(daemon), content(daemon).restrained)
}

const SHADOW: &str = "[shadow]\ntime = \"0s\"\nevents = 100\n";

fn push(word: Word) -> End {
    let host = host();
    let daemon = host.boots("now");
    word.is_said(&host, Some(&daemon), 124, "");
    drop(daemon.client().push_bundle(&bundle(124), false));
    end(&daemon)
}

fn push_with_the_policy_aside(word: Word) -> End {
    let host = host();
    let daemon = host.boots("now");
    word.is_said(&host, Some(&daemon), 124, "");
    drop(daemon.client().push_bundle(&bundle(124), true));
    end(&daemon)
}

fn unsigned_push(word: Word) -> End {
    let host = host();
    let daemon = host.boots("now");
    word.is_said(&host, Some(&daemon), 124, "unsigned = true\n");
    drop(daemon.client().push(vec![rule_file("one")], false));
    end(&daemon)
}

/// A candidate that has kept its limits when the owner says the word.
fn out_of_the_shadow(word: Word) -> End {
    let host = host();
    host.policy(SHADOW);
    let daemon = host.boots("now");
    daemon.client().push_bundle(&cheap(124), false).unwrap();
    saw(&daemon, 50, (0, 0));
    word.is_said(&host, Some(&daemon), 124, SHADOW);
    // Twice: where other actions are permitted it judges anew.
    for _ in 0..2 {
        saw(&daemon, 100, (0, 0));
    }
    end(&daemon)
}

fn unsigned_out_of_the_shadow(word: Word) -> End {
    let host = host();
    let policy = format!("unsigned = true\n{SHADOW}");
    host.policy(&policy);
    let daemon = host.boots("now");
    daemon.client().push(vec![rule_file("one")], false).unwrap();
    word.is_said(&host, Some(&daemon), 124, &policy);
    for _ in 0..2 {
        saw(&daemon, 100, (0, 0));
    }
    end(&daemon)
}

fn tried_again_after_a_start(word: Word) -> End {
    let host = host();
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    daemon.stop();
    word.is_said(&host, None, 124, "");
    let daemon = host.boots("next");
    daemon.core.generations().tick();
    end(&daemon)
}

fn start(word: Word) -> End {
    let host = host();
    word.is_said(&host, None, 120, "");
    end(&host.boots("now"))
}

/// On probation, left in force for another version of the sensor.
fn another_version(word: Word) -> End {
    let host = host();
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    daemon.hand_over();
    word.is_said(&host, None, 124, "");
    let daemon = host.adopts("now", Fake::beside(true));
    daemon.core.generations().tick();
    end(&daemon)
}

fn roll_back_by_order(word: Word) -> End {
    let (host, daemon) = over_120();
    word.is_said(&host, Some(&daemon), 120, "");
    daemon.core.generations().tick();
    daemon.client().rollback().unwrap();
    end(&daemon)
}

fn roll_back_by_the_owner(word: Word) -> End {
    let (host, daemon) = over_120();
    word.is_said(&host, Some(&daemon), 124, if word == Word::TakenBack { "" } else { "[rollback]\nfrom = 124\n" });
    daemon.core.generations().tick();
    end(&daemon)
}

fn mishap(word: Word) -> End {
    let (host, daemon) = over_120();
    word.is_said(&host, Some(&daemon), 120, "");
    daemon.brakes.demoted.lock().unwrap().insert(RuleKey::new(124, 0));
    daemon.core.generations().tick();
    end(&daemon)
}

fn tried_again_after_a_mishap(word: Word) -> End {
    let (host, daemon) = over_120();
    daemon.brakes.demoted.lock().unwrap().insert(RuleKey::new(124, 0));
    daemon.core.generations().tick();
    assert_eq!(running(&daemon), Some(120));
    daemon.brakes.demoted.lock().unwrap().clear();
    word.is_said(&host, Some(&daemon), 124, "");
    daemon.core.generations().tick();
    end(&daemon)
}

/// The directory of `--rules`, which nobody has signed.
fn rules_read_anew(word: Word) -> End {
    let host = host();
    let daemon = host.boots("now");
    write(&host.path().join("rules"), &[rule_file("one")]);
    word.is_said(&host, Some(&daemon), 124, "unsigned = true\n");
    daemon.core.read_anew(Some(&host.path().join("rules")));
    end(&daemon)
}

fn revocation(word: Word) -> End {
    let (host, daemon) = over_120();
    word.is_said(&host, Some(&daemon), 120, "");
    assert!(daemon.core.generations().withdraw(124, None));
    end(&daemon)
}

/// A generation is in force, and the owner says the word.
fn change_of_the_policy(word: Word) -> End {
    let (host, daemon) = over_120();
    word.is_said(&host, Some(&daemon), 124, "");
    daemon.core.generations().tick();
    end(&daemon)
}

fn change_of_the_policy_over_unsigned_rules(word: Word) -> End {
    let host = host();
    host.policy("unsigned = true\n");
    let daemon = host.boots("now");
    daemon.client().push(vec![rule_file("one")], false).unwrap();
    word.is_said(&host, Some(&daemon), 124, "unsigned = true\n");
    daemon.core.generations().tick();
    end(&daemon)
}

/// 120 is good, and 124 is in force.
fn over_120() -> (Host, Daemon) {
    let host = host();
    let daemon = host.boots("now");
    daemon.client().push_bundle(&bundle(124), false).unwrap();
    (host, daemon)
}

const UNSIGNED: u64 = 1 << 40;

#[test]
fn every_road_asks_for_every_word() {
    // A road; what is in force where it is taken, and where it is not; by which words it is not.
    type Road = fn(Word) -> End;
    // Nobody else tries first what nobody has signed, and no number could be taken back.
    let unsigned = [Word::Hold, Word::Window, Word::Pin, Word::Approval, Word::Unreadable, Word::Switch];
    let new = [&unsigned[..], &[Word::TakenBack, Word::Delay, Word::Ramp]].concat();
    let stronger = [Word::Unreadable, Word::TakenBack, Word::Switch];
    let taken_back = [Word::TakenBack];
    let roads: [(&str, Road, u64, u64, &[Word]); 16] = [
        ("push", push, 124, 120, &new),
        ("push with the policy aside", push_with_the_policy_aside, 124, 120, &stronger),
        ("push of unsigned rules", unsigned_push, UNSIGNED, 120, &unsigned),
        ("out of the shadow", out_of_the_shadow, 124, 120, &new),
        ("unsigned out of the shadow", unsigned_out_of_the_shadow, UNSIGNED, 120, &unsigned),
        ("tried again after a start", tried_again_after_a_start, 124, 120, &new),
        ("tried again after a mishap", tried_again_after_a_mishap, 124, 120, &new),
        ("rules read anew by SIGHUP", rules_read_anew, UNSIGNED, 120, &unsigned),
        ("start", start, 120, 0, &taken_back),
        ("another version", another_version, 124, 120, &[Word::TakenBack, Word::Switch]),
        ("roll-back by order", roll_back_by_order, 120, 0, &taken_back),
        ("roll-back by the owner", roll_back_by_the_owner, 120, 124, &[Word::Unreadable]),
        ("mishap", mishap, 120, 0, &taken_back),
        ("revocation", revocation, 120, 0, &taken_back),
        ("change of the policy", change_of_the_policy, 124, 120, &taken_back),
        ("change over unsigned rules", change_of_the_policy_over_unsigned_rules, UNSIGNED, 120, &[]),
    ];
    for (name, road, taken, not, by) in roads {
        for word in WORDS {
            let expected = if by.contains(&word) { not } else { taken };
            // A daemon that could not read a policy yet lets every rule only alert.
            let is_blind =
                word == Word::Unreadable && ["tried again after a start", "start", "another version"].contains(&name);
            let restrained: &[&str] = if word == Word::Actions || is_blind { &["one"] } else { &[] };
            let (found, only_alert) = road(word);
            assert_eq!(found, Some(expected), "{name}, {word:?}");
            assert_eq!(only_alert, restrained, "{name}, {word:?}");
        }
    }
}

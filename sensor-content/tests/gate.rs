//! What may come into force: every road by every word of the owner.
#![allow(clippy::unwrap_used, reason = "a test")]

use jiff::Timestamp;
use sensor_content::{
    bundle::Category,
    digest::Digest,
    fleet::{Ramps, Release, Seat},
    gate::{Gate, Objection, Step, Wish},
    life::Id,
    policy::Policy,
    rollout::{HostId, Ring},
    store::{Memory, Rung, Switch},
};

fn id(number: u64) -> Id {
    Id { number, digest: Digest::of(&number.to_le_bytes()) }
}

fn rung(number: u64) -> Rung {
    Rung::Generation(id(number))
}

/// A host on which these are good, the last first.
fn memory(good: &[u64]) -> Memory {
    Memory { good: good.iter().copied().map(id).collect(), ..Memory::default() }
}

/// Asks the gate of a host on which 120 runs, on a Friday at noon.
fn ask<T>(policy: &str, memory: &Memory, switch: Option<Switch>, question: impl FnOnce(&Gate) -> T) -> T {
    let policy = Policy::parse(policy).unwrap();
    question(&Gate { switch, running: 120, ..Gate::new(&policy, memory) })
}

fn now() -> Timestamp {
    "2026-11-27T12:00:00Z".parse().unwrap()
}

const WORDS: [&str; 8] = [
    "unsigned = true",
    "unsigned = true\n[hold]\nuntil = 2999-01-01T00:00:00Z",
    "unsigned = true\n[[window]]\ndays = [\"mon\"]\nfrom = \"02:00\"\nto = \"03:00\"\nzone = \"UTC\"",
    "unsigned = true\npin = 122",
    "unsigned = true\n[approval]\nkey = \"/owner.pub\"",
    "unsigned = true\n[actions]\nblock = []",
    "unsigned = true\ndelay = \"24h\"",
    "unsigned = true\n[rollback]\nfrom = 124",
];

#[test]
fn every_road_asks_for_every_word_of_the_owner() {
    let take = |aside| Step::Take { id: id(124), category: Category::Routine, aside };
    // What each road says to nothing, a hold, a window, a pin, an approval that is missing, actions, a delay, a
    // wish to leave 124: taken (T), waits (W), unwanted (U). Actions never decide whether something comes into
    // force, but as what; nobody else tries first what nobody has signed.
    for (step, said) in [
        (take(false), "TWWUWTWU"),
        (take(true), "TTTTTTTU"),
        (Step::Unsigned, "TWWUWTTT"),
        (Step::Return(rung(119)), "TTTTTTTT"),
        (Step::Return(rung(124)), "TTTTTTTU"),
        (Step::Return(Rung::Baseline), "TTTTTTTT"),
        (Step::Stay(rung(120)), "TTTTTTTT"),
    ] {
        for (policy, expected) in WORDS.iter().zip(said.chars()) {
            let found = match ask(policy, &memory(&[120, 119]), None, |gate| gate.admits(&step, now())) {
                Ok(()) => 'T',
                Err(Objection::Waits(_)) => 'W',
                Err(Objection::Unwanted(_)) => 'U',
                Err(other) => panic!("{step:?}, {policy}: {other}"),
            };
            assert_eq!(found, expected, "{step:?}, {policy}");
        }
    }
}

#[test]
fn what_is_denied_taken_back_or_held_by_a_switch_takes_no_road() {
    let mut denied = memory(&[120]);
    drop(denied.roll_back(id(119), "it harmed", now()));
    drop(denied.roll_back(id(124), "it harmed", now()));
    for step in [
        Step::Take { id: id(124), category: Category::Urgent, aside: false },
        Step::Take { id: id(124), category: Category::Urgent, aside: true },
        Step::Return(rung(119)),
    ] {
        let said = ask("", &denied, None, |gate| gate.admits(&step, now())).unwrap_err();
        assert!(matches!(&said, Objection::Denied(words) if words.ends_with(": it harmed")), "{step:?}: {said}");
    }
    let unwanted = ask("[rollback]\nfrom = 119", &memory(&[120, 119]), None, |gate| {
        gate.admits(&Step::Return(rung(119)), now()).unwrap_err()
    });
    assert!(matches!(&unwanted, Objection::Unwanted(words) if words.contains("rollback.from")), "{unwanted}");
    for (switch, good, baseline) in
        [(Switch::LastGood, true, true), (Switch::Baseline, false, true), (Switch::Off, false, false)]
    {
        let is_ok =
            |step| ask("unsigned = true", &memory(&[120]), Some(switch), |gate| gate.admits(&step, now()).is_ok());
        for aside in [false, true] {
            assert!(!is_ok(Step::Take { id: id(124), category: Category::Urgent, aside }), "{switch}, {aside}");
        }
        assert!(!is_ok(Step::Unsigned), "{switch}");
        assert_eq!((is_ok(Step::Return(rung(120))), is_ok(Step::Return(Rung::Baseline))), (good, baseline), "{switch}");
        assert!(is_ok(Step::Return(Rung::Nothing)) && is_ok(Step::Stay(rung(120))), "{switch}");
    }
    // The policy set aside is no way back in time.
    let old = Step::Take { id: id(119), category: Category::Routine, aside: true };
    assert!(matches!(ask("", &memory(&[120]), None, |gate| gate.admits(&old, now())), Err(Objection::Old(_))));
}

#[test]
fn nothing_new_is_taken_while_the_policy_cannot_be_read() {
    let (policy, memory) = (Policy::unreadable(), memory(&[120]));
    let gate = Gate { blind: Some("line 1"), running: 120, approved: true, ..Gate::new(&policy, &memory) };
    for aside in [false, true] {
        let step = Step::Take { id: id(124), category: Category::Urgent, aside };
        assert_eq!(gate.admits(&step, now()), Err(Objection::Waits("line 1".into())));
    }
    assert!(gate.admits(&Step::Unsigned, now()).is_err());
    assert_eq!(gate.admits(&Step::Return(rung(120)), now()), Ok(()));
}

#[test]
fn the_way_back_is_computed_in_one_place() {
    let behind = |policy: &str, good: &[u64], leaving| ask(policy, &memory(good), None, |gate| gate.behind(leaving));
    assert_eq!(behind("", &[120, 119], rung(120)), [rung(119), Rung::Baseline]);
    assert_eq!(behind("", &[120, 119], rung(124)), [rung(120), rung(119), Rung::Baseline]);
    assert_eq!(behind("", &[], rung(124)), [Rung::Baseline]);
    assert_eq!(behind("", &[120], Rung::Baseline), []);
    assert_eq!(behind("pin = 119", &[120, 119], rung(124))[0], rung(119), "the one that the owner holds it to");
    assert_eq!(behind("[rollback]\nfrom = 120", &[120, 119], rung(124))[0], rung(119), "not what was taken back");
    let mut given_up = memory(&[]);
    given_up.charges.push(sensor_content::store::Charge { rung: Rung::Baseline, times: 2 });
    assert_eq!(ask("", &given_up, None, |gate| gate.behind(rung(124))), []);
    // The start goes the same way.
    let start = ask("[rollback]\nfrom = 120", &memory(&[120, 119]), None, |gate| gate.start().rungs);
    assert_eq!(start, [rung(119), Rung::Baseline, Rung::Nothing]);
}

#[test]
fn a_wish_to_go_back_is_met_or_says_why_not() {
    let wish = |policy: &str, good: &[u64], running| ask(policy, &memory(good), None, |gate| gate.wish(running));
    assert_eq!(
        wish("[rollback]\nfrom = 124", &[124, 122, 120], rung(124)),
        Wish::Back(vec![rung(122), rung(120), Rung::Baseline])
    );
    assert_eq!(wish("[rollback]\nfrom = 124", &[122, 120], rung(122)), Wish::Nothing, "it is met");
    assert_eq!(wish("[rollback]\nfrom = 124\nto = 120", &[122, 120], rung(124)), Wish::Back(vec![rung(120)]));
    assert_eq!(wish("[rollback]\nfrom = 124", &[], rung(124)), Wish::Back(vec![Rung::Baseline]), "none is good yet");
    let Wish::Unmet(words) = wish("[rollback]\nfrom = 124\nto = 119", &[122, 120], rung(124)) else {
        panic!("119 is not there")
    };
    assert!(words.contains("119 is not among the good generations here (122, 120)"), "{words}");
}

#[test]
fn what_the_content_keys_do_not_allow_yet_waits_unless_the_owner_sets_it_aside() {
    let seat = Seat { host: HostId([7; 16]), ring: Ring::General, hangs: false };
    let mut ramps = Ramps::default();
    ramps.learns(seat, None, [Release { id: id(124), category: Category::Routine, paced: None }].into_iter());
    let (policy, memory) = (Policy::parse("").unwrap(), memory(&[120]));
    let gate = Gate { running: 120, ramps: &ramps, ..Gate::new(&policy, &memory) };
    let take = |number, aside| Step::Take { id: id(number), category: Category::Routine, aside };
    let Err(Objection::Waits(words)) = gate.admits(&take(124, false), now()) else { panic!("it is taken") };
    assert!(words.contains("the content keys have signed no ramp with it"), "{words}");
    assert_eq!(gate.admits(&take(124, true), now()), Ok(()));
    assert_eq!(gate.admits(&take(125, false), now()), Ok(()), "it is none of the repository's");
    assert_eq!(gate.admits(&Step::Return(rung(120)), now()), Ok(()));
    // The control group goes through the motions.
    assert_eq!(gate.would_take(id(124), Category::Routine, now()), Ok(()));
}

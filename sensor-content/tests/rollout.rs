//! What the judge and the controller do, and what they never do.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use sensor_content::{
    bundle::Category,
    rollout::{
        Answer, Bucket, Census, Cohort, Counts, Decision, Document, Health, Host, HostId, Order, Plan, Question, Ramp,
        Ring, Stage, State, Step, Verdict, halt, judge, resume, revoke, step,
    },
};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn plans() -> [Plan; 2] {
    [Plan::ROUTINE, Plan::URGENT].map(|text| Plan::parse(text).unwrap())
}

fn start() -> Timestamp {
    "2026-07-19T04:09:00Z".parse().unwrap()
}

fn census() -> Census {
    let hosts = BTreeMap::from([("6.1".to_owned(), 40_000), ("6.12".to_owned(), 30_000)]);
    Ring::ALL.iter().map(|ring| (*ring, hosts.clone())).collect()
}

fn counts(hosts: u64, hours: u64) -> Counts {
    Counts { fetched: hosts, heard: hosts, minutes: hosts * hours * 60, ..Counts::default() }
}

fn kernels(counts: Counts) -> BTreeMap<String, Counts> {
    BTreeMap::from([("6.1".to_owned(), counts), ("6.12".to_owned(), counts)])
}

/// Health of a fleet whose stages were all taken by `treated`, of each kernel.
fn health(plan: &Plan, taken: Timestamp, treated: Counts, control: Counts) -> Health {
    let cohort = Cohort { treated: kernels(treated), control: kernels(control) };
    Health { taken: Some(taken), census: census(), stages: vec![cohort; plan.stages().len()] }
}

fn verdict(plan: &Plan, treated: Counts, control: Counts, question: Question) -> Verdict {
    let now = start();
    judge(plan, 0, &health(plan, now, treated, control), now, 30, question).verdict
}

/// Steps every minute until the order or the stage changes, `limit` minutes at most.
fn until_it_changes(plan: &Plan, state: &State, treated: Counts, limit: i32) -> (State, i32) {
    let mut state = state.clone();
    let began = (state.order, state.progress.stage);
    for minute in 1..=limit {
        let now = state.stepped + MINUTE;
        state = step(plan, &state, &health(plan, now, treated, counts(800, 10)), now).after;
        if (state.order, state.progress.stage) != began || state.progress.finished {
            return (state, minute);
        }
    }
    (state, limit)
}

#[test]
fn a_good_release_reaches_everybody_and_no_stage_is_cut_short() {
    for plan in plans() {
        let mut state = State::start(124, start());
        for (number, stage) in plan.stages().iter().enumerate() {
            assert_eq!((state.order, state.progress.stage), (Order::Offer, number));
            let (next, minutes) = until_it_changes(&plan, &state, counts(40, 10), 100_000);
            assert!(i64::from(minutes) > (stage.ramp + stage.soak).as_mins(), "{} took {minutes} minutes", stage.name);
            state = next;
        }
        assert!(state.progress.finished);
    }
}

#[test]
fn hosts_that_die_without_a_word_stop_it() {
    for plan in plans() {
        let dead = Counts { fetched: 8, missing: 8, ..Counts::default() };
        let now = start();
        let decision = step(&plan, &State::start(124, now), &health(&plan, now, dead, counts(800, 1)), now);
        assert_eq!(decision.after.order, Order::Revoke);
        assert!(decision.reasons.iter().any(|reason| reason.contains("fell silent")), "{:?}", decision.reasons);
    }
}

#[test]
fn a_few_recovery_ladders_at_once_stop_it_and_the_reason_names_kernel_and_figures() {
    for plan in plans() {
        let now = start();
        let mut health = health(&plan, now, counts(20, 0), counts(800, 1));
        health.stages[0].treated.get_mut("6.12").unwrap().fallbacks = 6;
        let decision = step(&plan, &State::start(124, now), &health, now);
        assert_eq!(decision.after.order, Order::Revoke);
        let reason = decision.reasons.iter().find(|reason| reason.contains("6.12")).unwrap();
        assert!(
            reason.contains("canary, 6.12: recovery ladder used: 6 in 20 hosts, control 0 in 800; p ="),
            "{reason}"
        );
    }
}

#[test]
fn silence_on_both_sides_is_telemetry_and_pauses() {
    for plan in plans() {
        let silent = |hosts| Counts { fetched: hosts, missing: hosts, ..Counts::default() };
        assert_eq!(verdict(&plan, silent(30), silent(800), Question::Stay), Verdict::Pause);
    }
}

#[test]
fn old_health_and_health_of_the_future_pause() {
    let [plan, _] = plans();
    for (taken, words) in [
        (Some(start() - MINUTE * 6), "health was read at 2026-07-19T04:03:00Z"),
        (Some(start() + MINUTE), "health was read at"),
        (None, "no health was read yet"),
    ] {
        let health = Health { taken, ..health(&plan, start(), counts(20, 1), counts(800, 1)) };
        let decision = step(&plan, &State::start(1, start()), &health, start());
        assert_eq!(decision.after.order, Order::Pause);
        let reason = &decision.reasons[0];
        assert!(reason.contains(words) && reason.contains("no data is not healthy"), "{reason}");
    }
}

#[test]
fn a_stage_that_lacks_hosts_stays_open_for_them_and_does_not_advance() {
    let [plan, _] = plans();
    let mut state = State::start(124, start());
    state.progress.ramped = plan.stages()[0].ramp;
    state.progress.soaked = plan.stages()[0].soak;
    let now = start() + MINUTE;
    let few = step(&plan, &state, &health(&plan, now, counts(6, 12), counts(800, 12)), now);
    assert_eq!((few.after.order, few.after.progress.stage), (Order::Offer, 0));
    assert!(few.reasons[0].contains("canary, 6.1: heard from 6 hosts, 7 are needed"), "{:?}", few.reasons);
    let enough = step(&plan, &state, &health(&plan, now, counts(10, 12), counts(800, 12)), now);
    assert_eq!((enough.after.order, enough.after.progress.stage), (Order::Offer, 1));
}

#[test]
fn a_dead_controller_opens_nothing_and_its_time_does_not_count() {
    let [plan, _] = plans();
    let state = State { continued: true, ..State::start(124, start()) };
    let late = start() + SignedDuration::from_hours(24 * 30);
    let after = step(&plan, &state, &health(&plan, late, counts(20, 12), counts(800, 12)), late).after;
    assert_eq!(after.progress.stage, 0);
    assert_eq!(after.progress.ramped, plan.limits().step);
    // A clock that was set back counts nothing.
    let back = start() - SignedDuration::from_hours(24);
    let after = step(&plan, &after, &health(&plan, back, counts(20, 12), counts(800, 12)), back).after;
    assert_eq!(after.progress.ramped, plan.limits().step);
}

/// Steps five minutes apart, each with the health that the judge answers with `continue`, or without one; how
/// much time counted.
fn counted(plan: &Plan, continues: &[bool]) -> SignedDuration {
    let mut state = State::start(124, start());
    for continues in continues {
        let now = state.stepped + MINUTE * 5;
        let taken = if *continues { now } else { start() - MINUTE * 60 };
        state = step(plan, &state, &health(plan, taken, counts(20, 12), counts(800, 12)), now).after;
        assert_eq!(state.order, if *continues { Order::Offer } else { Order::Pause });
    }
    state.progress.ramped + state.progress.soaked
}

#[test]
fn paused_time_is_neither_ramp_nor_soak() {
    for plan in plans() {
        assert_eq!(counted(&plan, &[true, true, true]), MINUTE * 10, "from the first look to the third");
        // It was paused from the second step to the third, and nobody had looked before the first.
        assert_eq!(counted(&plan, &[true, false, true]), SignedDuration::ZERO);
        assert_eq!(counted(&plan, &[false, true].repeat(20)), SignedDuration::ZERO, "a pause before each look");
        // A person's pause between two steps.
        let look = |state: &State| {
            let now = state.stepped + MINUTE * 5;
            step(&plan, state, &health(&plan, now, counts(20, 12), counts(800, 12)), now).after
        };
        let begun = look(&State::start(124, start()));
        assert_eq!(look(&resume(&halt(&begun))).progress, begun.progress);
        // Too few hosts keep the door open, and the clock stands still.
        let mut few = State { continued: true, ..State::start(124, start()) };
        (few.progress.ramped, few.progress.soaked) = (plan.stages()[0].ramp, plan.stages()[0].soak);
        let now = start() + MINUTE;
        let waits = step(&plan, &few, &health(&plan, now, counts(1, 12), counts(800, 12)), now).after;
        assert_eq!((waits.order, waits.continued), (Order::Offer, false));
    }
}

#[test]
fn what_a_person_stopped_stays_stopped() {
    let [plan, _] = plans();
    let good = |state: &State| {
        let now = state.stepped + MINUTE;
        step(&plan, state, &health(&plan, now, counts(20, 12), counts(800, 12)), now).after
    };
    let state = good(&State::start(124, start()));
    assert_eq!(good(&halt(&state)).order, Order::Halt);
    assert_eq!(good(&resume(&halt(&state))).order, Order::Offer);
    assert_eq!(good(&resume(&revoke(&state))).order, Order::Revoke);
    assert_eq!(good(&halt(&revoke(&state))).order, Order::Revoke);
}

#[test]
fn a_recorded_decision_is_replayed_from_its_json() {
    for plan in plans() {
        let harm = Counts { fallbacks: 7, restarts: 3, ..counts(40, 1) };
        let decision = step(&plan, &State::start(124, start()), &health(&plan, start(), harm, counts(800, 1)), start());
        let recorded = serde_json::to_string(&decision).unwrap();
        let read: Decision = serde_json::from_str(&recorded).unwrap();
        assert_eq!(read, decision);
        assert_eq!(read.replay(), decision);
        assert_eq!(decision.after.order, Order::Revoke);
    }
}

prop_compose! {
    fn any_counts()(fetched in 0..3000_u64, heard in 0..3000_u64, missing in 0..3000_u64, hours in 0..100_u64,
        events in prop::array::uniform6(0..40_u64)) -> Counts {
        let heard = heard.min(fetched);
        let missing = missing.min(fetched - heard);
        let [kernel_crashes, fallbacks, refusals, restarts, flooded, costly] = events;
        Counts { fetched, heard, missing, minutes: fetched * hours * 60, kernel_crashes, fallbacks,
            refusals: refusals.min(heard), restarts, flooded: flooded.min(heard), costly: costly.min(heard) }
    }
}

proptest! {
    #[test]
    fn more_harm_never_makes_a_verdict_milder(
        treated in any_counts(), control in any_counts(), more in 1..50_u64, which in 0..4,
    ) {
        let mut worse = treated;
        match which {
            0 => worse.kernel_crashes += more,
            1 => worse.fallbacks += more,
            2 => worse.restarts += more,
            _ => worse.refusals = (worse.refusals + more).min(worse.heard),
        }
        for plan in plans() {
            for question in [Question::Stay, Question::Advance] {
                prop_assert!(verdict(&plan, worse, control, question) >= verdict(&plan, treated, control, question));
            }
        }
    }

    #[test]
    fn hosts_that_nobody_heard_from_never_open_the_next_stage(fetched in 0..100_000_u64, control in any_counts()) {
        for plan in plans() {
            let unheard = Counts { fetched, ..Counts::default() };
            prop_assert_ne!(verdict(&plan, unheard, control, Question::Advance), Verdict::Continue);
        }
    }

    #[test]
    fn whatever_is_known_one_step_opens_one_stage_at_most_and_never_less(
        treated in any_counts(), control in any_counts(), gap in -100_000..100_000_i64,
        stage in 0..5_usize, ramped in 0..600_i64, soaked in 0..900_i64,
    ) {
        for plan in plans() {
            let mut state = State::start(9, start());
            let stage = stage.min(plan.stages().len() - 1);
            state.progress.stage = stage;
            state.progress.ramped = SignedDuration::from_mins(ramped).min(plan.stages()[stage].ramp);
            state.progress.soaked = SignedDuration::from_mins(soaked).min(plan.stages()[stage].soak);
            let now = start() + SignedDuration::from_secs(gap);
            let decision = step(&plan, &state, &health(&plan, now, treated, control), now);
            let opened = decision.after.progress.stage;
            prop_assert!(opened == stage || opened == stage + 1);
            prop_assert!(opened < plan.stages().len());
            let before = plan.offers(stage, state.progress.ramped, &census());
            if opened == stage {
                for (ring, offer) in before {
                    for kernel in ["6.1", "6.12"] {
                        prop_assert!(decision.document.offers[&ring].of(kernel) >= offer.of(kernel));
                    }
                }
            }
            prop_assert_eq!(decision.replay(), decision);
        }
    }
}

/// A plan as the document shows it.
fn table(plan: &Plan) -> String {
    let share = |stage: &Stage, ring| stage.open.get(&ring).map_or("-".to_owned(), ToString::to_string);
    let row = |stage: &Stage| {
        let [early, general, late] = Ring::ALL.map(|ring| share(stage, ring));
        let Stage { name, hosts_per_kernel, ramp, soak, .. } = stage;
        format!("| {name} | {early} | {general} | {late} | {hosts_per_kernel} | {ramp:#} | {soak:#} |\n")
    };
    let rows: String = plan.stages().iter().map(row).collect();
    format!(
        "| Stage | early | general | late | hosts per kernel | ramp | soak |\n|---|---|---|---|---|---|---|\n{rows}"
    )
}

#[test]
fn the_document_shows_the_shipped_plans() {
    let document = include_str!("../../docs/rollout.md");
    for plan in plans() {
        assert!(document.contains(&table(&plan)), "docs/rollout.md should contain:\n{}", table(&plan));
    }
}

/// The shipped ramps as the document shows them.
fn ramps() -> String {
    let row = |ramp: &Ramp, step: &Step| {
        let [early, general, late] = Ring::ALL.map(|ring| ramp.share(ring, step.after));
        format!("| {:#} | {early} | {general} | {late} |\n", step.after)
    };
    let table = |ramp: Ramp| {
        let rows: String = ramp.steps().iter().map(|step| row(&ramp, step)).collect();
        format!("| After | early | general | late |\n|---|---|---|---|\n{rows}")
    };
    [Category::Urgent, Category::Routine].map(|category| table(Ramp::shipped(category))).join("\n")
}

#[test]
fn the_document_shows_the_shipped_ramps() {
    let document = include_str!("../../docs/rollout.md");
    assert!(document.contains(&ramps()), "docs/rollout.md should contain:\n{}", ramps());
}

/// A plan at its best is as fast as the ramp, and no faster than it but for canaries of rare kernels: or good releases
/// would wait for nothing.
#[test]
fn the_shipped_ramps_hold_no_shipped_plan_back() {
    for (plan, category) in plans().into_iter().zip([Category::Routine, Category::Urgent]) {
        let (ramp, mut begun) = (Ramp::shipped(category), SignedDuration::ZERO);
        for (index, stage) in plan.stages().iter().enumerate() {
            let full = begun + stage.ramp;
            for (ring, share) in &stage.open {
                assert!(ramp.share(*ring, full) >= *share, "{category} {} {ring:?}", stage.name);
            }
            if plan.is_last(index) {
                assert!(ramp.hanging() <= begun && ramp.end() <= full, "{category}");
            }
            begun = full + stage.soak;
        }
    }
}

/// Hosts that take what they are offered, go through the motions where they are compared, and are heard.
struct Small {
    hosts: Vec<(Bucket, Ring, &'static str)>,
    /// By host: the stage, and whether it took the release.
    parts: Vec<Option<(usize, bool)>>,
}

impl Small {
    fn of(count: u8) -> Self {
        let rings = Ring::ALL.iter().cycle();
        let host = |(index, ring): (u8, &Ring)| {
            let kernel = if index.is_multiple_of(5) { "6.12" } else { "6.1" };
            (Bucket::of(HostId([index; 16]), 124), *ring, kernel)
        };
        Self { hosts: (0..count).zip(rings).map(host).collect(), parts: vec![None; count.into()] }
    }

    fn obey(&mut self, document: &Document) {
        for ((bucket, ring, kernel), part) in self.hosts.iter().zip(&mut self.parts) {
            let bucket = *bucket;
            let host = Host { bucket, ring: *ring, kernel, hangs: false };
            let compared = document.control.get(ring).is_some_and(|slice| slice.contains(bucket));
            match part {
                Some((_, true)) => {}
                _ if document.answer(host) == Answer::Take => *part = Some((document.stage, true)),
                None if compared => *part = Some((document.stage, false)),
                _ => {}
            }
        }
    }

    fn health(&self, taken: Timestamp, stages: usize) -> Health {
        let mut census = Census::new();
        let mut cohorts = vec![Cohort::default(); stages];
        for ((_, ring, kernel), part) in self.hosts.iter().zip(&self.parts) {
            *census.entry(*ring).or_default().entry((*kernel).to_owned()).or_default() += 1;
            let Some((stage, treated)) = part else { continue };
            let Some(cohort) = cohorts.get_mut(*stage) else { continue };
            let arm = if *treated { &mut cohort.treated } else { &mut cohort.control };
            let counts = arm.entry((*kernel).to_owned()).or_default();
            *counts = counts.plus(&Counts { fetched: 1, heard: 1, minutes: 60, ..Counts::default() });
        }
        Health { taken: Some(taken), census, stages: cohorts }
    }
}

#[test]
fn a_fleet_smaller_than_any_control_group_does_not_wait_for_hosts_that_are_not_there() {
    for plan in plans() {
        for count in [1, 2, 5, 12, 40, 150, 250] {
            let (mut fleet, mut state) = (Small::of(count), State::start(124, start()));
            for _ in 0..20_000 {
                let now = state.stepped + SignedDuration::from_mins(5);
                let decision = step(&plan, &state, &fleet.health(now, state.progress.stage + 1), now);
                assert!(matches!(decision.after.order, Order::Offer), "{count} hosts: {:?}", decision.reasons);
                fleet.obey(&decision.document);
                state = decision.after;
                if state.progress.finished {
                    break;
                }
            }
            assert!(state.progress.finished, "{count} hosts stay at stage {}", state.progress.stage);
            assert!(
                fleet.parts.iter().all(|part| matches!(part, Some((_, true)))),
                "{count} hosts: all have it in the end"
            );
        }
    }
}

#[test]
fn what_was_stopped_or_skipped_is_not_among_what_went_out() {
    let over = |state: State| {
        let progress = sensor_content::rollout::Progress { finished: true, ..state.progress };
        State { progress, ..state }
    };
    let went_out = |state: &State| (state.base, state.earlier.clone());
    let first = State::start(122, start());
    assert_eq!(went_out(&first), (None, vec![]));
    let second = over(first).next(123, start());
    assert_eq!(went_out(&second), (Some(122), vec![]));
    // 124 is revoked at the canary, 125 is given up by hand, 126 is skipped, 127 is revoked after it was everywhere.
    let fourth = over(second).next(124, start());
    let fifth = revoke(&fourth).next(125, start());
    assert_eq!(went_out(&fifth), (Some(123), vec![122]));
    let seventh = halt(&fifth).next(127, start());
    let eighth = revoke(&over(seventh)).next(128, start());
    assert_eq!((eighth.release, went_out(&eighth)), (128, (Some(123), vec![122])));
    let document =
        step(&plans()[0], &eighth, &health(&plans()[0], start(), counts(0, 0), counts(0, 0)), start()).document;
    let offered: Vec<_> = (120..=128).filter(|number| document.went_out(*number)).collect();
    assert_eq!(offered, [122, 123]);
    let many = (129..200).fold(eighth, |state, number| over(state).next(number, start()));
    assert_eq!(went_out(&many), (Some(198), (191..198).rev().collect()));
}

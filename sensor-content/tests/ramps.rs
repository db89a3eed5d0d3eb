//! The shipped ramps: as the document shows them, and beside the shipped plans.
#![allow(clippy::unwrap_used, reason = "a test")]

use jiff::SignedDuration;
use sensor_content::{
    bundle::Category,
    rollout::{Plan, Ramp, Ring, Step},
};

fn plans() -> [Plan; 2] {
    [Plan::ROUTINE, Plan::URGENT].map(|text| Plan::parse(text).unwrap())
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

//! A roll-out as rows, for terminals and pages.

use jiff::{SignedDuration, Timestamp};
use sensor_content::rollout::{Cohort, Counts, Order, Ring, Stage};

use crate::publisher::Rollout;

/// A stage of a roll-out.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it opens, in words.
    pub opens: String,
    /// How much of its ramp and soak is over, from 0 to 1.
    pub done: f64,
    /// What was counted, of those that took the release.
    pub treated: Counts,
    /// The same, of those that they are compared with.
    pub control: Counts,
}

/// All stages.
pub fn rows(rollout: &Rollout) -> Vec<Row> {
    let progress = rollout.state.progress;
    let sum =
        |counts: &std::collections::BTreeMap<String, Counts>| counts.values().fold(Counts::default(), Counts::plus);
    let row = |(index, stage): (usize, &Stage)| {
        let cohort = rollout.health.stages.get(index).cloned().unwrap_or_else(Cohort::default);
        let done = match index.cmp(&progress.stage) {
            _ if progress.finished => 1.0,
            std::cmp::Ordering::Less => 1.0,
            std::cmp::Ordering::Greater => 0.0,
            std::cmp::Ordering::Equal => {
                part(progress.ramped.saturating_add(progress.soaked), stage.ramp.saturating_add(stage.soak))
            }
        };
        let opens: Vec<_> =
            Ring::ALL.iter().filter_map(|ring| Some(format!("{} {}", ring.name(), stage.open.get(ring)?))).collect();
        let opens = format!("{}; {} of each kernel", opens.join(", "), stage.hosts_per_kernel);
        Row { name: stage.name.clone(), opens, done, treated: sum(&cohort.treated), control: sum(&cohort.control) }
    };
    rollout.plan.stages().iter().enumerate().map(row).collect()
}

fn part(done: SignedDuration, whole: SignedDuration) -> f64 {
    if whole.is_positive() { (done.as_secs_f64() / whole.as_secs_f64()).clamp(0.0, 1.0) } else { 1.0 }
}

/// Where a roll-out stands, in a few words.
pub fn place(rollout: &Rollout) -> String {
    let stage = rollout.plan.stages().get(rollout.state.progress.stage).map_or("no stage", |stage| stage.name.as_str());
    match rollout.state.order {
        Order::Halt => format!("halted by a person at `{stage}`"),
        Order::Revoke => format!("revoked at `{stage}`"),
        Order::Pause => format!("paused at `{stage}`"),
        Order::Offer if rollout.state.progress.finished => "over; everybody may have it".into(),
        Order::Offer => format!("open as far as `{stage}`"),
    }
}

/// How many the content keys allow by now, in words.
pub fn allowed(rollout: &Rollout, now: Timestamp) -> String {
    let Some(pace) = &rollout.pace else {
        return "the content keys have signed no ramp: each host goes by the shipped one, from when it first saw the release".into();
    };
    let age = now.duration_since(pace.published);
    let share = |ring: &Ring| format!("{} {}", ring.name(), pace.ramp.share(*ring, age));
    let shares: Vec<_> = Ring::ALL.iter().map(share).collect();
    format!("the content keys allow {} by now ({pace})", shares.join(", "))
}

/// Signals that were seen, in words.
pub fn mishaps(counts: &Counts) -> String {
    let seen = sensor_content::rollout::Signal::ALL.iter().filter(|signal| signal.count(counts) > 0);
    let seen: Vec<_> = seen.map(|signal| format!("{} {}", signal.name(), signal.count(counts))).collect();
    if seen.is_empty() { "-".into() } else { seen.join(", ") }
}

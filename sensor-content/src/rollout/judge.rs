//! May a roll-out go on? Continue, pause or abort, by exact tests with a fixed error rate.
//!
//! The judge may look as often as it likes: look number k spends 1/(k·(k+1)) of the error rate, which sums up
//! to all of it over infinitely many looks, and divides that evenly among all signals, stages and kernels. So
//! the probability that a harmless release is ever stopped stays below `error_rate`. Harm of the kind that
//! this is about (most hosts of a kernel) is seen in a handful of hosts all the same.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;

use super::{
    health::{Cohort, Counts, Health, Signal},
    plan::{Limits, Plan},
    statistics,
};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing speaks against it, and enough was seen.
    Continue,
    /// Not enough was seen, or something looks odd: nobody new gets it.
    Pause,
    /// It does harm: those that have it return.
    Abort,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// May the stage stay open?
    Stay,
    /// May the next one be opened? Asks for enough hosts of each kernel as well.
    Advance,
}

/// The answer and all that spoke against going on.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The worst that the findings demand.
    pub verdict: Verdict,
    /// Worst first.
    pub findings: Vec<Finding>,
}

impl Judgement {
    /// Whether nothing is wrong but that more hosts must be heard from.
    pub fn only_too_few(&self) -> bool {
        !self.findings.is_empty() && self.findings.iter().all(|finding| matches!(finding, Finding::TooFew { .. }))
    }
}

/// Something that speaks against going on.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Health is older than the plan lets pass, or from the future.
    Stale {
        /// When it was read; `None` where it never was.
        taken: Option<Timestamp>,
    },
    /// No host at all is known.
    Nobody,
    /// The control group fell silent too: telemetry is down, or the world is.
    ControlSilent {
        /// Name of the stage.
        stage: String,
        /// Its counts.
        control: Counts,
    },
    /// Too few hosts were heard from.
    TooFew {
        /// Name of the stage.
        stage: String,
        /// Release of their kernel, or `all kernels`, or `control group`.
        hosts: String,
        /// So many were.
        heard: u64,
        /// So many must be.
        needed: u64,
    },
    /// Worse than the control group.
    Worse {
        /// Name of the stage.
        stage: String,
        /// Release of the kernel; all together where there is none.
        kernel: Option<String>,
        /// What is worse.
        signal: Signal,
        /// Those that took it.
        treated: Counts,
        /// Those that did not.
        control: Counts,
        /// Probability of so much or more, were the release harmless.
        p: f64,
        /// Whether it is beyond the error rate, not only suspicious.
        beyond: bool,
    },
}

impl Finding {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Worse { beyond: true, .. } => Verdict::Abort,
            _ => Verdict::Pause,
        }
    }
}

/// Judges `health` at `now`, while `stage` is the last that is open. `look` counts from 1.
pub fn judge(plan: &Plan, stage: usize, health: &Health, now: Timestamp, look: u64, question: Question) -> Judgement {
    let limits = plan.limits();
    let mut findings = Vec::new();
    let age = health.taken.map(|taken| now.duration_since(taken));
    if age.is_none_or(|age| age > limits.stale || age.is_negative()) {
        findings.push(Finding::Stale { taken: health.taken });
    }
    if health.census.values().flat_map(BTreeMap::values).sum::<u64>() == 0 {
        findings.push(Finding::Nobody);
    }
    let stages = || plan.stages().iter().map(|stage| stage.name.as_str()).zip(&health.stages);
    let cells: usize = stages().map(|(_, cohort)| cohort.treated.len() + 1).sum();
    let bar = Bar::new(limits, look, cells);
    for (name, cohort) in stages() {
        findings.extend(control_silent(name, cohort));
        findings.extend(worse(name, cohort, &bar));
    }
    if question == Question::Advance {
        findings.extend(too_few(plan, stage, health));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict()));
    let verdict = findings.first().map_or(Verdict::Continue, Finding::verdict);
    Judgement { verdict, findings }
}

/// How unlikely something must be, for one test at one look.
struct Bar<'a> {
    limits: &'a Limits,
    abort: f64,
    pause: f64,
}

impl<'a> Bar<'a> {
    fn new(limits: &'a Limits, look: u64, cells: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "far below 2⁵²")]
        let tests = (cells * Signal::ALL.len()) as f64 * look.max(1) as f64 * (look.max(1) + 1) as f64;
        Self { limits, abort: limits.error_rate / tests, pause: limits.suspicion / tests }
    }
}

/// Hosts of a kernel or of a stage from which the comparative signals are judged.
const MINIMUM: u64 = 20;

/// Crashes and restarts with any release or none: one in 100 host days at most. More are let pass where the
/// control group has more.
const MISHAP_MINUTES: f64 = 100.0 * 24.0 * 60.0;

/// Every signal of every kernel of a stage, and of all kernels together, that is worse than in the control group.
fn worse(stage: &str, cohort: &Cohort, bar: &Bar) -> Vec<Finding> {
    let all = |counts: &BTreeMap<String, Counts>| counts.values().fold(Counts::default(), Counts::plus);
    let everybody = all(&cohort.control);
    let own = |kernel: &String| match cohort.control.get(kernel) {
        Some(own) if own.fetched >= MINIMUM => *own,
        _ => everybody,
    };
    let kernels = cohort.treated.iter().map(|(kernel, counts)| (Some(kernel.clone()), *counts, own(kernel)));
    let mut findings = Vec::new();
    for (kernel, treated, control) in kernels.chain([(None, all(&cohort.treated), everybody)]) {
        for signal in Signal::ALL {
            let p = likelihood(*signal, &treated, &control, bar.limits);
            if p < bar.pause {
                let (stage, kernel, signal) = (stage.to_owned(), kernel.clone(), *signal);
                findings.push(Finding::Worse { stage, kernel, signal, treated, control, p, beyond: p < bar.abort });
            }
        }
    }
    findings
}

/// The probability of what was seen in `treated`, or more, were the release harmless; 1 where it is not judged.
///
/// The control counts a little more than it saw (one event in 100 host days, one host of 20), so that harm is seen
/// also where no control group answers, and a control of a few hosts does not look flawless.
#[expect(clippy::cast_precision_loss, reason = "host minutes stay far below 2⁵²")]
fn likelihood(signal: Signal, treated: &Counts, control: &Counts, limits: &Limits) -> f64 {
    if !signal.hard() && treated.heard < MINIMUM {
        return 1.0;
    }
    let (seen, control_seen) = (signal.count(treated), signal.count(control));
    let much_more = |rate: f64, control: f64| rate >= limits.ratio * control;
    match signal {
        Signal::KernelCrash | Signal::Fallback | Signal::Restart => {
            // A host that died at once was watched for a minute.
            let minutes = treated.minutes.max(treated.fetched) as f64;
            let usual = minutes / MISHAP_MINUTES;
            let control_rate = control_seen as f64 / (control.minutes as f64).max(1.0);
            if seen < 2 || !much_more(seen as f64, usual.max(control_rate * minutes)) {
                return 1.0;
            }
            let known = (control_seen + 1, control.minutes as f64 + MISHAP_MINUTES);
            // Two tests, each with half of the error rate: the control group may be too small to say much.
            (2.0 * statistics::two_rates((seen, minutes), known).min(statistics::one_rate(seen, usual))).min(1.0)
        }
        Signal::Refusal => {
            let base = limits.refusals.fraction();
            let all = treated.fetched.max(seen);
            if much_more(seen as f64 / all as f64, base) { statistics::binomial((seen, all), base) } else { 1.0 }
        }
        Signal::Missing | Signal::Flood | Signal::Cost => {
            let of = |counts: &Counts| {
                if signal == Signal::Missing {
                    counts.heard + counts.missing
                } else {
                    counts.heard.max(signal.count(counts))
                }
            };
            let (all, control_all) = (of(treated), of(control) + 20);
            if seen == 0 || !much_more(seen as f64 / all as f64, (control_seen + 1) as f64 / control_all as f64) {
                return 1.0;
            }
            statistics::fisher((seen, all), (control_seen + 1, control_all))
        }
    }
}

/// A control group that fell silent by more than a third says that the judge is blind.
fn control_silent(stage: &str, cohort: &Cohort) -> Option<Finding> {
    let control = cohort.control.values().fold(Counts::default(), Counts::plus);
    let asked = control.heard + control.missing;
    (asked >= MINIMUM && control.missing * 3 > asked)
        .then(|| Finding::ControlSilent { stage: stage.to_owned(), control })
}

/// The first stage must hear from a quarter of its hosts of each kernel that is not too rare (the others are switched
/// off, or their owners wait); every stage from some of the hosts that it opens, and from some of its control group.
fn too_few(plan: &Plan, stage: usize, health: &Health) -> Vec<Finding> {
    let Some(here) = plan.stages().get(stage) else { return Vec::new() };
    let nobody = Cohort::default();
    let cohort = health.stages.get(stage).unwrap_or(&nobody);
    let finding = |hosts: &str, heard, needed| {
        let (stage, hosts) = (here.name.clone(), hosts.to_owned());
        (heard < needed).then_some(Finding::TooFew { stage, hosts, heard, needed })
    };
    let mut hosts: BTreeMap<&String, u64> = BTreeMap::new();
    for ring in here.open.keys().filter(|ring| plan.turn(stage, **ring).is_some()) {
        for (kernel, known) in health.census.get(ring).into_iter().flatten() {
            *hosts.entry(kernel).or_default() += known;
        }
    }
    let heard = |kernel: &String| cohort.treated.get(kernel).map_or(0, |counts| counts.heard);
    // The first stage has to show every kernel; what later ones bring of a kernel, earlier ones may have had already.
    let common = hosts.iter().filter(|(_, known)| stage == 0 && **known >= here.hosts_per_kernel * 2);
    let kernels = common.map(|(kernel, _)| finding(kernel, heard(kernel), here.hosts_per_kernel / 4));
    // Who is not there cannot be waited for: in a small fleet a stage may open nobody, and a control group be empty.
    let expected = plan.expected(stage, &health.census);
    let needed = |expected: u64| MINIMUM.min(expected / 4);
    let sum = |counts: &BTreeMap<String, Counts>| counts.values().map(|counts| counts.heard).sum();
    let all = finding("all kernels", sum(&cohort.treated), needed(expected.treated));
    let control = finding("control group", sum(&cohort.control), needed(expected.control));
    kernels.flatten().chain(all).chain(control).collect()
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |kernel: &Option<String>| kernel.as_ref().map_or(String::new(), |kernel| format!(", {kernel}"));
        match self {
            Self::Stale { taken: Some(taken) } => {
                write!(formatter, "health was read at {taken}: no data is not healthy")
            }
            Self::Stale { taken: None } => write!(formatter, "no health was read yet: no data is not healthy"),
            Self::Nobody => write!(formatter, "no host is heard from: no data is not healthy"),
            Self::ControlSilent { stage, control } => write!(
                formatter,
                "{stage}: {} of {} hosts of the control group fell silent too; telemetry may be down",
                control.missing,
                control.missing + control.heard
            ),
            Self::TooFew { stage, hosts, heard, needed } => {
                write!(formatter, "{stage}, {hosts}: heard from {heard} hosts, {needed} are needed")
            }
            Self::Worse { stage, kernel, signal, treated, control, p, beyond } => write!(
                formatter,
                "{stage}{}: {}: {} in {} hosts, control {} in {}; p = {p:.1e}, {}",
                of(kernel),
                signal.name(),
                signal.count(treated),
                treated.fetched,
                signal.count(control),
                control.fetched,
                if *beyond { "beyond the error rate" } else { "suspicious" },
            ),
        }
    }
}

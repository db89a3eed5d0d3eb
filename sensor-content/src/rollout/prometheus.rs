//! Health as Prometheus knows it: what is asked, and what is made of the answers. Pure; who asks is elsewhere.
//!
//! Hosts publish states (`creance_rollout_*`), not events: a host that goes down between two scrapes is still
//! known to have fetched the release, because it is loaded only when that has been seen.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{
    health::{Census, Cohort, Counts, Health, Signal},
    plan::Plan,
    ring::Ring,
};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Hosts by ring and kernel.
    Census,
    /// When a host was heard from last, Unix time.
    Newest,
    /// Hosts that fetched the release, or would have.
    Fetched,
    /// Of these, heard from after the plan's grace.
    Heard,
    /// Of these, silent since.
    Missing,
    /// Minutes for which they were watched.
    Minutes,
    /// What happened, by signal.
    Mishaps,
}

impl Question {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Census, Self::Newest, Self::Fetched, Self::Heard, Self::Missing, Self::Minutes, Self::Mishaps];

    /// In the language of Prometheus, about a release that has been going out for `since`.
    pub fn query(self, release: u64, since: SignedDuration, plan: &Plan) -> String {
        // What hosts said before they fell silent counts as long as the roll-out lasts.
        let window = since.as_secs().max(0) + 3600;
        let grace = plan.limits().grace.as_secs().max(1);
        let over = |name: &str| format!("max_over_time({name}{{release=\"{release}\"}}[{window}s])");
        let age = over("creance_rollout_age_seconds");
        let by = "by (stage, arm, kernel)";
        match self {
            Self::Census => "count by (ring, kernel) (last_over_time(creance_fleet_host[1d]))".into(),
            Self::Newest => "max(timestamp(creance_fleet_host))".into(),
            Self::Fetched => format!("count {by} ({age})"),
            Self::Heard => format!("count {by} ({age} >= {grace})"),
            Self::Missing => format!(
                "count {by} (({age} < {grace}) unless \
                 last_over_time(creance_rollout_age_seconds{{release=\"{release}\"}}[{grace}s]))"
            ),
            Self::Minutes => format!("sum {by} ({}) / 60", over("creance_rollout_watched_seconds")),
            Self::Mishaps => format!("sum by (stage, arm, kernel, signal) ({})", over("creance_rollout_mishaps")),
        }
    }
}

/// An answer of `/api/v1/query`.
#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
struct Data {
    result: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// An answer that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Prometheus' answer cannot be used: {0}")]
pub struct NoAnswer(String);

/// Makes health of the answers to all questions. What was heard last, at `now` at the latest, says how old it is.
///
/// # Errors
/// An answer is missing, an error, or of another shape.
pub fn health(answers: &BTreeMap<Question, Vec<u8>>, stages: usize, now: Timestamp) -> Result<Health, NoAnswer> {
    let read = |question: Question| {
        let bytes = answers.get(&question).ok_or_else(|| NoAnswer(format!("none to {question:?}")))?;
        samples(bytes)
    };
    let mut census = Census::new();
    for sample in read(Question::Census)? {
        let Some(ring) = ring(&sample) else { continue };
        let kernel = sample.metric.get("kernel").cloned().unwrap_or_default();
        *census.entry(ring).or_default().entry(kernel).or_default() += sample.count();
    }
    let newest = read(Question::Newest)?.first().map(Sample::count);
    let newest = newest.and_then(|second| Timestamp::from_second(i64::try_from(second).ok()?).ok());
    let mut cohorts = vec![Cohort::default(); stages];
    for question in [Question::Fetched, Question::Heard, Question::Missing, Question::Minutes] {
        for sample in read(question)? {
            let Some(counts) = cell(&mut cohorts, &sample) else { continue };
            let of = match question {
                Question::Fetched => &mut counts.fetched,
                Question::Heard => &mut counts.heard,
                Question::Missing => &mut counts.missing,
                _ => &mut counts.minutes,
            };
            *of += sample.count();
        }
    }
    for sample in read(Question::Mishaps)? {
        let signal = sample.metric.get("signal");
        let signal = Signal::ALL.iter().find(|known| Some(known.label()) == signal.map(String::as_str));
        if let (Some(signal), Some(counts)) = (signal, cell(&mut cohorts, &sample)) {
            add_mishap(*signal, counts, sample.count());
        }
    }
    Ok(Health { taken: newest.map(|newest| newest.min(now)), census, stages: cohorts })
}

fn samples(bytes: &[u8]) -> Result<Vec<Sample>, NoAnswer> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|error| NoAnswer(error.to_string()))?;
    match answer.data {
        Some(data) if answer.status == "success" => Ok(data.result),
        _ => Err(NoAnswer(crate::printable::ascii(&answer.error))),
    }
}

impl Sample {
    /// Counts are whole; what is none is 0.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded before")]
    fn count(&self) -> u64 {
        let value: f64 = self.value.1.parse().unwrap_or(0.0);
        if value.is_finite() { value.clamp(0.0, 1e15) as u64 } else { 0 }
    }
}

fn ring(sample: &Sample) -> Option<Ring> {
    let name = sample.metric.get("ring")?;
    Ring::ALL.into_iter().find(|ring| ring.name() == name)
}

/// The counts that a sample belongs to; stages beyond the open one are none of ours.
fn cell<'a>(cohorts: &'a mut [Cohort], sample: &Sample) -> Option<&'a mut Counts> {
    let stage: usize = sample.metric.get("stage")?.parse().ok()?;
    let cohort = cohorts.get_mut(stage)?;
    let arm = if sample.metric.get("arm")? == "control" { &mut cohort.control } else { &mut cohort.treated };
    Some(arm.entry(sample.metric.get("kernel").cloned().unwrap_or_default()).or_default())
}

fn add_mishap(signal: Signal, counts: &mut Counts, count: u64) {
    let of = match signal {
        Signal::KernelCrash => &mut counts.kernel_crashes,
        Signal::Fallback => &mut counts.fallbacks,
        Signal::Missing => return,
        Signal::Refusal => &mut counts.refusals,
        Signal::Restart => &mut counts.restarts,
        Signal::Flood => &mut counts.flooded,
        Signal::Cost => &mut counts.costly,
    };
    *of += count;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(samples: &[(&str, &str)]) -> Vec<u8> {
        let samples: Vec<_> = samples
            .iter()
            .map(|(metric, value)| format!(r#"{{"metric":{{{metric}}},"value":[1,"{value}"]}}"#))
            .collect();
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, samples.join(",")).into()
    }

    #[test]
    fn answers_become_health() {
        let cell = |stage: &str, arm: &str| format!(r#""stage":"{stage}","arm":"{arm}","kernel":"6.1""#);
        let (treated, control, beyond) = (cell("0", "treated"), cell("0", "control"), cell("7", "treated"));
        let refusal = format!(r#"{treated},"signal":"refusal""#);
        let mut answers = BTreeMap::from([
            (Question::Census, answer(&[(r#""ring":"early","kernel":"6.1""#, "25"), (r#""ring":"none""#, "3")])),
            (Question::Newest, answer(&[("", "1000.5")])),
            (Question::Fetched, answer(&[(&treated, "5"), (&control, "2"), (&beyond, "9")])),
            (Question::Heard, answer(&[(&treated, "4")])),
            (Question::Missing, answer(&[(&treated, "1")])),
            (Question::Minutes, answer(&[(&treated, "12.7"), (&control, "NaN")])),
            (Question::Mishaps, answer(&[(&refusal, "2")])),
        ]);
        let now = Timestamp::from_second(2000).unwrap();
        let read = health(&answers, 1, now).unwrap();
        assert_eq!(read.taken.map(Timestamp::as_second), Some(1000));
        assert_eq!(read.census[&Ring::Early]["6.1"], 25);
        assert_eq!(read.stages.len(), 1);
        let expected = Counts { fetched: 5, heard: 4, missing: 1, minutes: 12, refusals: 2, ..Counts::default() };
        assert_eq!(read.stages[0].treated["6.1"], expected);
        assert_eq!(read.stages[0].control["6.1"].fetched, 2);
        answers.insert(Question::Newest, answer(&[]));
        assert_eq!(health(&answers, 1, now).unwrap().taken, None, "nobody was heard");
        answers.insert(Question::Heard, br#"{"status":"error","error":"too much"}"#.to_vec());
        assert!(health(&answers, 1, now).unwrap_err().to_string().contains("too much"));
        answers.remove(&Question::Heard);
        assert!(health(&answers, 1, now).is_err());
    }
}

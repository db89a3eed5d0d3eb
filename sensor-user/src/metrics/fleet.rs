//! The figures that the judge of a roll-out reads. Every one is a state, not a rate: what Prometheus missed,
//! it sees the next time.

use jiff::Timestamp;
use sensor_content::{fleet::Enrolment, rollout::Signal};

use super::figures::{Figures, number};
use crate::api::fleet::Fleet;

/// Labels of a host that is compared.
const COMPARED: [&str; 5] = ["release", "stage", "arm", "ring", "kernel"];

/// Adds the figures of a host in its fleet.
pub fn add(figures: &Figures, fleet: &Fleet) -> Result<(), prometheus::Error> {
    let (ring, kernel) = (fleet.ring.name(), fleet.kernel.as_str());
    figures.gauge(
        "fleet_host",
        "1, by the ring that the host's owner chose",
        &["ring", "kernel"],
        [(&[ring, kernel][..], 1)],
    )?;
    figures.number(
        "repository_trouble",
        "1 while the repository does not answer, or its answer is refused",
        fleet.trouble.is_some().into(),
    )?;
    let time = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_second);
    figures.number(
        "repository_polled_timestamp_seconds",
        "When the repository answered last; 0: never",
        time(fleet.polled),
    )?;
    figures.number(
        "repository_expires_timestamp_seconds",
        "When the repository's last answer expires; 0: no answer yet",
        time(fleet.expires),
    )?;
    fleet.enrolment.iter().try_for_each(|enrolment| compared(figures, enrolment))
}

fn compared(figures: &Figures, enrolment: &Enrolment) -> Result<(), prometheus::Error> {
    let (release, stage) = (enrolment.release.to_string(), enrolment.stage.to_string());
    let labels = [&release, &stage, enrolment.arm.name(), enrolment.ring.name(), &enrolment.kernel];
    let age = Timestamp::now().duration_since(enrolment.since).as_secs().max(0);
    figures.gauge(
        "rollout_age_seconds",
        "Time since the host fetched the release, or (arm control) would have fetched it",
        &COMPARED,
        [(&labels[..], age)],
    )?;
    figures.gauge(
        "rollout_watched_seconds",
        "The part of that time during which the daemon was up",
        &COMPARED,
        [(&labels[..], number(enrolment.watched))],
    )?;
    let names: Vec<_> = Signal::ALL.iter().map(|signal| signal.label()).collect();
    let samples: Vec<_> = Signal::ALL
        .iter()
        .zip(&names)
        .map(|(signal, name)| {
            let mut all = labels.to_vec();
            all.push(name);
            (all, number(enrolment.mishaps.get(signal).copied().unwrap_or(0)))
        })
        .collect();
    let with_signal: Vec<_> = COMPARED.into_iter().chain(["signal"]).collect();
    let samples = samples.iter().map(|(labels, count)| (labels.as_slice(), *count));
    figures.gauge("rollout_mishaps", "Failures since then that the judge must know", &with_signal, samples)
}

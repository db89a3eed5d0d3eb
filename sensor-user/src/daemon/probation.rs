//! What a generation on probation is held to while it is in force: no brake has to hold its rules, and it alerts no more than its
//! publisher said it would.

use std::time::Duration;

use sensor_content::{bundle::Budget, life::Id, rollout::Signal};

/// What was counted when a generation was first looked at.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// The generation.
    pub id: Id,
    /// What its bundle says of it.
    pub budget: Budget,
    /// How many events had matched before.
    pub matched: u64,
}

impl Watch {
    /// Why the generation is not to stay, if so, and what the judge of a roll-out is told: a rule that a brake holds; or how many events
    /// have matched until now is more than its bundle says for the hours that it has been in force, the last one whole.
    pub fn mishap(&self, held: Option<&str>, matched: u64, in_force: Duration) -> Option<(Signal, String)> {
        if let Some(rule) = held {
            return Some((Signal::Fallback, format!("a brake holds rule {rule}, which hit several users or services")));
        }
        let (alerts, said) = (matched.saturating_sub(self.matched), u64::from(self.budget.alerts_per_hour));
        let hours = in_force.as_secs() / 3600 + 1;
        let why = || format!("{alerts} alerts within {} s, and its bundle says {said} in an hour", in_force.as_secs());
        (alerts > said * hours).then(|| (Signal::Flood, why()))
    }
}

#[cfg(test)]
mod tests {
    use sensor_content::digest::Digest;

    use super::*;

    #[test]
    fn the_hours_that_have_begun_count_whole() {
        let budget = Budget { nanoseconds_per_event: 1, alerts_per_hour: 10 };
        let watch = Watch { id: Id { number: 7, digest: Digest::of(b"") }, budget, matched: 100 };
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert_eq!(watch.mishap(None, 110, hours(0)), None);
        assert_eq!(watch.mishap(None, 120, hours(1)), None);
        let said = watch.mishap(None, 111, Duration::from_secs(5)).unwrap();
        assert_eq!(said, (Signal::Flood, "11 alerts within 5 s, and its bundle says 10 in an hour".to_owned()));
        // The counts of another daemon.
        assert_eq!(watch.mishap(None, 5, hours(0)), None);
        let (signal, why) = watch.mishap(Some("guard"), 100, hours(0)).unwrap();
        assert!(signal == Signal::Fallback && why.contains("guard"));
    }
}

//! Who publishes: the project's own plan, judge and controller, or what others did.

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use sensor_content::rollout::{Census, Document, Health, Offer, Order, Plan, Ring, Share, State, halt, step};

use super::{
    fleet::{DAY, HOUR, MINUTE, Time},
    scenario::{Failure, Scenario, Strategy, World},
};

/// When people notice, where nothing else does: 78 minutes, as on 19 July 2024.
const NOTICED: Time = 78 * MINUTE;
/// The release that goes out.
pub const RELEASE: u64 = 291;

/// Waves by the clock: so much until then, evenly from the one before.
const WAVES: &[(Time, u64)] =
    &[(HOUR, 1), (4 * HOUR, 5), (DAY, 15), (2 * DAY, 40), (3 * DAY, 60), (4 * DAY, 90), (6 * DAY, 100)];

/// Publishes a document every minute.
pub struct Publisher {
    strategy: Strategy,
    harmful: bool,
    /// Whether somebody else signs.
    stolen: bool,
    plan: Plan,
    state: State,
    /// Why it is as it is.
    pub reasons: Vec<String>,
}

impl Publisher {
    /// That the scenario's release is harmful is known to nobody but the people who notice, after 78 minutes.
    pub fn new(strategy: Strategy, scenario: &Scenario) -> Result<Self> {
        let (harmful, stolen) = (scenario.failure != Failure::None, scenario.world == World::KeyStolen);
        let plan = Plan::parse(if strategy == Strategy::Urgent { Plan::URGENT } else { Plan::ROUTINE })?;
        Ok(Self { strategy, harmful, stolen, plan, state: State::start(RELEASE, at(0)), reasons: Vec::new() })
    }

    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The last stage that is open.
    pub const fn stage(&self) -> usize {
        self.state.progress.stage
    }

    pub const fn finished(&self) -> bool {
        self.state.progress.finished
    }

    /// A person halts it.
    pub fn halt(&mut self) {
        self.state = halt(&self.state);
    }

    /// The document of this minute.
    pub fn publish(&mut self, now: Time, health: &Health) -> Document {
        if self.strategy.recovers() && !self.stolen {
            let decision = step(&self.plan, &self.state, health, at(now));
            self.state = decision.after;
            if self.state.order != decision.before.order || decision.before.order == Order::Offer {
                self.reasons = decision.reasons;
            }
            return decision.document;
        }
        let share = if self.strategy == Strategy::Everybody || self.stolen { Share::ALL } else { wave(now) };
        let offer = Offer { share: Some(share), ..Offer::default() };
        let order = if self.harmful && now >= NOTICED { Order::Revoke } else { Order::Offer };
        if order == Order::Revoke {
            self.reasons = vec!["people noticed".to_owned()];
        }
        let offers = Ring::ALL.iter().map(|ring| (*ring, offer.clone())).collect();
        Document {
            release: RELEASE,
            serial: u64::from(now / MINUTE),
            order,
            hanging: true,
            offers,
            ..Document::default()
        }
    }
}

fn wave(now: Time) -> Share {
    let mut before = (0, Share::NONE);
    for (until, percent) in WAVES {
        let share = Share::of(*percent, 100);
        if now < *until {
            return before.1.towards(share, u64::from(now - before.0), u64::from(until - before.0));
        }
        before = (*until, share);
    }
    Share::ALL
}

/// The moment of a simulated second.
pub fn at(time: Time) -> Timestamp {
    const START: Timestamp = Timestamp::constant(1_721_362_140, 0); // 2024-07-19T04:09:00Z
    START.saturating_add(SignedDuration::from_secs(i64::from(time))).unwrap_or(START)
}

/// Nobody is known, nothing was read.
pub fn blind(census: Census, read: Time) -> Health {
    Health { taken: Some(at(read)), census, stages: Vec::new() }
}

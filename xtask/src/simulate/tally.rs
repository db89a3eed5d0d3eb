//! What came of it.

use sensor_content::rollout::Order;
use serde::Serialize;

use super::fleet::{HOUR, MINUTE, POLL, Time};

/// GETs of a host that takes a release, apart from the poll: snapshot, targets, bundle.
const GETS: u32 = 3;

/// A point in time of the curves.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Seconds since the release was published.
    pub time: Time,
    /// Hosts that run the release.
    pub active: u64,
    /// Hosts that are down or flooded.
    pub harmed: u64,
}

/// What came of one way to send a release out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Hosts that took it.
    pub taken: u64,
    /// Hosts that were harmed.
    pub harmed: u64,
    /// Of these, hosts that needed a hand.
    pub repairs: u64,
    /// How long a host was harmed, seconds: half of them less than.
    pub harmed_median: Time,
    /// The longest.
    pub harmed_longest: Time,
    /// When it was halted or revoked, seconds.
    pub halted: Option<Time>,
    /// From the first harmed host to the halt, seconds.
    pub harm_to_halt: Option<Time>,
    /// From the halt until the last host that still took it, seconds.
    pub last_take_after_halt: Option<Time>,
    /// From the revocation until the last host gave it back that was on all the time, seconds.
    pub last_return: Option<Time>,
    /// Minutes for which it was paused.
    pub paused_minutes: u32,
    /// When 99 % of the hosts that were on, and whose owner holds nothing back, had it, seconds.
    pub protected: Option<Time>,
    /// Most requests in one second.
    pub peak_requests: u32,
    /// When nothing more could happen, or the scenario ended, seconds.
    pub ended: Time,
    /// Why it ended so.
    pub reasons: Vec<String>,
    /// Over time.
    pub curve: Vec<Point>,
    #[serde(skip)]
    durations: Vec<Time>,
    #[serde(skip)]
    active: u64,
    #[serde(skip)]
    harmed_now: u64,
    #[serde(skip)]
    first_harm: Option<Time>,
    #[serde(skip)]
    second: (Time, u32),
    #[serde(skip)]
    polls: u32,
}

impl Tally {
    pub fn took(&mut self, now: Time) {
        self.taken += 1;
        self.active += 1;
        if self.second.0 != now {
            self.second = (now, 0);
        }
        self.second.1 += GETS;
        self.peak_requests = self.peak_requests.max(self.second.1 + self.polls);
        if let Some(halted) = self.halted {
            self.last_take_after_halt = Some(now - halted);
        }
    }

    /// A host runs it no more.
    pub fn lost(&mut self) {
        self.active = self.active.saturating_sub(1);
    }

    /// A host that polled all the time gave it back.
    pub fn returned(&mut self, now: Time) {
        self.last_return = self.halted.map(|halted| now - halted);
    }

    pub fn harmed(&mut self, since: Time) {
        self.harmed += 1;
        self.harmed_now += 1;
        self.first_harm = Some(self.first_harm.map_or(since, |first| first.min(since)));
    }

    pub fn healed(&mut self) {
        self.harmed_now = self.harmed_now.saturating_sub(1);
    }

    pub fn was_harmed_for(&mut self, duration: Time) {
        self.durations.push(duration);
    }

    pub fn ordered(&mut self, order: Order, now: Time) {
        match order {
            Order::Pause => self.paused_minutes += 1,
            Order::Halt | Order::Revoke if self.halted.is_none() => self.halted = Some(now),
            Order::Offer | Order::Halt | Order::Revoke => {}
        }
    }

    pub fn sample(&mut self, now: Time, on: usize, (active, reachable): (usize, usize)) {
        self.polls = u32::try_from(on).unwrap_or(u32::MAX) / POLL;
        self.peak_requests = self.peak_requests.max(self.polls);
        if self.protected.is_none() && active * 100 >= reachable * 99 && reachable > 0 {
            self.protected = Some(now + MINUTE);
        }
    }

    /// A point of the curves: every minute at first, every ten minutes later.
    pub fn draw(&mut self, now: Time) {
        if now < 3 * HOUR || now.is_multiple_of(10 * MINUTE) {
            self.curve.push(Point { time: now, active: self.active, harmed: self.harmed_now });
        }
    }

    pub fn end(&mut self, now: Time, reasons: &[String]) {
        self.ended = now;
        self.reasons = reasons.to_vec();
        self.harm_to_halt = self.halted.and_then(|halted| halted.checked_sub(self.first_harm?));
        let middle = self.durations.len() / 2;
        if middle < self.durations.len() {
            self.harmed_median = *self.durations.select_nth_unstable(middle).1;
        }
        self.harmed_longest = self.durations.iter().copied().max().unwrap_or(0);
        self.durations = Vec::new();
    }
}

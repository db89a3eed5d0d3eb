//! How fast the content keys allow the release: each host holds to it, by the code that hosts run.

use std::iter;

use jiff::SignedDuration;
use sensor_content::{
    bundle::Category,
    digest::Digest,
    fleet::{Paced, Ramps, Release, Seat},
    life::Id,
    rollout::{Order, Pace, Ramp},
};

use super::{Life, Simulation, life::shifted};
use crate::simulate::{
    fleet::Time,
    publisher::{RELEASE, at},
    scenario::Strategy,
    wheel::Event,
};

/// The release, as the content keys have signed it at its publication.
pub struct Signed {
    id: Id,
    category: Category,
    paced: Paced,
}

impl Signed {
    pub fn new(strategy: Strategy) -> Self {
        let category = if strategy == Strategy::Urgent { Category::Urgent } else { Category::Routine };
        let pace = Pace { published: at(0), ramp: Ramp::shipped(category) };
        Self { id: Id { number: RELEASE, digest: Digest::of(b"291") }, category, paced: Paced::Signed(pace) }
    }

    fn release(&self) -> Release<'_> {
        Release { id: self.id, category: self.category, paced: Some(&self.paced) }
    }
}

impl Simulation<'_> {
    /// How long the release has to wait on a host whose clock is so many seconds fast. Whoever publishes signs
    /// the time anew every minute.
    pub(super) fn waits(&self, host: u32, now: Time, fast: i64) -> Option<Time> {
        let traits = &self.fleet.hosts[host as usize];
        let seat = Seat { host: self.fleet.id(host), ring: traits.ring, hangs: traits.hangs };
        let (mut ramps, clock) = (Ramps::default(), at(shifted(now, fast)));
        let learns = |ramps: &mut Ramps, time| {
            ramps.learns(seat, Some(at(time)), iter::once(self.signed.release()));
        };
        if self.fleet.is_always_on(host) {
            learns(&mut ramps, 0);
            ramps.passes(SignedDuration::from_secs(now.into()), clock);
        }
        learns(&mut ramps, now);
        ramps.passes(SignedDuration::ZERO, clock);
        let left = ramps.waits(self.signed.id)?.left()?;
        Some(Time::try_from(left.as_secs()).unwrap_or(Time::MAX))
    }

    /// It was offered the release before it was to take it, and goes by the document that it has read last.
    pub(super) fn opens(&mut self, host: u32, now: Time) {
        if !matches!(self.states[host as usize].life, Life::Idle | Life::Delayed) {
            return;
        }
        if !self.fleet.online(host, now) {
            return self.wheel.push(self.fleet.next_poll(host, now), Event::Poll, host);
        }
        let stopped = matches!(self.documents[1].order, Order::Halt | Order::Revoke);
        let read = now.saturating_sub(self.fleet.since_poll(host, now));
        match self.tally.halted.filter(|_| stopped) {
            Some(halted) if read >= halted + self.fleet.edge(host) => {}
            // It does not know yet; what is revoked, it leaves as soon as it does.
            Some(_) => {
                self.take(host, now);
                if self.documents[1].order == Order::Revoke {
                    self.wheel.push(self.fleet.next_poll(host, now + 1), Event::Return, host);
                }
            }
            None => self.poll(host, now),
        }
    }
}

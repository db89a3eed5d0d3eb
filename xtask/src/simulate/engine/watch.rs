//! What is heard of hosts, of the control group, and of mishaps that no release is to blame for.

use sensor_content::rollout::Ring;

use super::{Life, Simulation};
use crate::simulate::{
    fleet::{DAY, Draw, HOUR, MINUTE, NOISY, Time, mix},
    observer::{Arm, Cell},
    wheel::Event,
};

/// Mean time between two starts of a host that follow no clean stop, release or not.
const UNCLEAN: f64 = 200.0 * DAY as f64;
/// One in so many of these leaves evidence of a kernel crash.
const CRASH_IN: u64 = 20;
/// A generation is on probation for a day.
const PROBATION: Time = DAY;

impl Simulation<'_> {
    pub(super) fn cell(&self, host: u32, arm: Arm) -> Cell {
        Cell { arm, stage: self.states[host as usize].stage, kernel: self.fleet.hosts[host as usize].kernel }
    }

    pub(super) fn report(&mut self, host: u32, now: Time, arm: Arm) {
        let state = self.states[host as usize];
        let silent = arm == Arm::Treated && state.life == Life::Down;
        if state.heard || silent || (arm == Arm::Control && state.life != Life::Idle) {
            return;
        }
        if self.fleet.online(host, now) {
            return self.hear(host, arm);
        }
        let grace = if arm == Arm::Treated { Event::Grace } else { Event::MotionGrace };
        if state.missing {
            let report = if arm == Arm::Treated { Event::Report } else { Event::MotionReport };
            self.wheel.push(self.fleet.next_poll(host, now + 1), report, host);
        } else {
            self.wheel.push(now + self.grace - MINUTE, grace, host);
        }
    }

    pub(super) fn hear(&mut self, host: u32, arm: Arm) {
        let cell = self.cell(host, arm);
        let state = &mut self.states[host as usize];
        let missing = std::mem::take(&mut state.missing);
        if std::mem::replace(&mut state.heard, true) {
            return;
        }
        let counts = self.observer.counts(cell);
        counts.heard += 1;
        counts.missing -= u64::from(missing);
    }

    pub(super) fn grace(&mut self, host: u32, now: Time, arm: Arm) {
        let cell = self.cell(host, arm);
        let state = &mut self.states[host as usize];
        if state.heard || state.missing || (arm == Arm::Control && state.life != Life::Idle) {
            return;
        }
        state.missing = true;
        self.observer.counts(cell).missing += 1;
        let report = if arm == Arm::Treated { Event::Report } else { Event::MotionReport };
        self.wheel.push(self.fleet.next_poll(host, now + 1), report, host);
    }

    /// A stage begins: its part of the control group gets moments within its ramp.
    pub(super) fn begin_motions(&mut self, now: Time) {
        let (plan, stage) = (self.publisher.plan(), self.publisher.stage());
        let ramp = plan.stages().get(stage).and_then(|stage| Time::try_from(stage.ramp.as_secs()).ok()).unwrap_or(0);
        let turns = Ring::ALL.map(|ring| plan.turn(stage, ring));
        for (ring, turn) in turns.into_iter().enumerate() {
            let Some((turn, turns)) = turn else { continue };
            for index in 0..self.control[ring].len() {
                let host = self.control[ring][index];
                if self.fleet.below(host, Draw::Turn, turns as Time) == turn as Time {
                    self.states[host as usize].stage = stage as u8;
                    self.visit(Event::Motion, host, now + self.fleet.below(host, Draw::Motion, ramp));
                }
            }
        }
    }

    /// A host of the control group would take the release now.
    pub(super) fn motion(&mut self, host: u32, now: Time) {
        let state = &mut self.states[host as usize];
        if state.life != Life::Idle || state.since != Time::MAX {
            return;
        }
        state.since = now;
        let cell = self.cell(host, Arm::Control);
        self.observer.counts(cell).fetched += 1;
        self.observer.watch(cell);
        self.wheel.push(now + MINUTE, Event::MotionReport, host);
        if self.fleet.part(host, Draw::Noisy) < NOISY {
            self.wheel.push(now + HOUR, Event::MotionFlood, host);
        }
    }

    /// Hosts lose their power and kernels crash, release or not. One on probation charges the release with it.
    pub(super) fn nature(&mut self, now: Time) {
        let hosts = self.fleet.hosts.len();
        for _ in 0..poisson(hosts as f64 * f64::from(MINUTE) / UNCLEAN, &mut self.random) {
            let host = self.random.u32(0..hosts as u32);
            let state = self.states[host as usize];
            let motions = state.life == Life::Idle && state.since != Time::MAX;
            if !(state.life == Life::Active || motions) || !self.fleet.online(host, now) {
                continue;
            }
            let cell = self.cell(host, if motions { Arm::Control } else { Arm::Treated });
            let counts = self.observer.counts(cell);
            counts.fallbacks += 1;
            counts.kernel_crashes += u64::from(mix(u64::from(now), host, 0).is_multiple_of(CRASH_IN));
            if state.life == Life::Active && now - state.since < PROBATION && self.strategy.recovers() {
                self.states[host as usize].life = Life::Returned;
                self.observer.leave(cell);
                self.tally.lost();
            }
        }
    }
}

/// A Poisson number (Knuth); `mean` is below 100 here.
fn poisson(mean: f64, random: &mut fastrand::Rng) -> u32 {
    let (limit, mut product, mut count) = ((-mean).exp(), random.f64(), 0);
    while product > limit {
        product *= random.f64();
        count += 1;
    }
    count
}

//! What happens to a host that is offered the release, takes it, suffers from it and comes back.

use sensor_content::rollout::{Answer, Host};

use super::{IDLE, Life, Simulation, State};
use crate::simulate::{
    fleet::{DAY, Draw, HOUR, MINUTE, NOISY, Owner, Permission, Time},
    observer::Arm,
    scenario::{Failure, Strategy, World},
    wheel::Event,
};

/// How long metadata counts: the repository's `timestamp`.
const LIFETIME: Time = 2 * DAY;
/// Hosts over their alert budget with a release that floods.
const FLOODED: f64 = 0.6;

impl Simulation<'_> {
    /// The host reads the document that its edge has, and does what that and its owner say.
    pub(super) fn poll(&mut self, host: u32, now: Time) {
        if let World::ContentDown(from, to) = self.scenario.world
            && (from..to).contains(&now)
        {
            self.wheel.push(self.fleet.next_poll(host, now + 1), Event::Poll, host);
            return;
        }
        let traits = &self.fleet.hosts[host as usize];
        let mirror = self.frozen.as_ref().filter(|_| self.fleet.reads_mirror(host));
        let document = mirror.unwrap_or(&self.documents[usize::from(now % MINUTE >= self.fleet.edge(host))]);
        // By the host's own clock.
        let fast = if self.scenario.world == World::ClocksWrong { self.fleet.is_fast(host) } else { 0 };
        let age = mirror.map_or(0, |_| self.tally.halted.map_or(0, |halted| now - halted));
        if i64::from(age) + fast > i64::from(LIFETIME) {
            return;
        }
        let kernel = &self.fleet.kernels[usize::from(traits.kernel)];
        let asks = Host { bucket: traits.bucket, ring: traits.ring, kernel, hangs: traits.hangs };
        let answer = document.answer(asks);
        if answer == Answer::Take
            && self.strategy.recovers()
            && let Some(left) = self.waits(host, now, fast)
        {
            return self.wheel.push(now.saturating_add(left), Event::Opens, host);
        }
        let state = &mut self.states[host as usize];
        match answer {
            Answer::Return => {}
            Answer::Wait => self.paused.push(host),
            Answer::Take => {
                let seen = if state.life == Life::Delayed { state.since } else { now };
                let urgent = self.strategy == Strategy::Urgent;
                let owner = if self.strategy.recovers() { traits.owner } else { Owner::Plain };
                match owner.permits(urgent, shifted(seen, fast), shifted(now, fast), traits.zone) {
                    Permission::Never => {}
                    Permission::Now => self.take(host, now),
                    Permission::From(time) => {
                        let time = shifted(time, -fast);
                        *state = State { life: Life::Delayed, since: seen, ..*state };
                        self.wheel.push(self.fleet.next_poll(host, time), Event::Poll, host);
                    }
                }
            }
        }
    }

    pub(super) fn take(&mut self, host: u32, now: Time) {
        let stage = self.publisher.stage() as u8;
        self.states[host as usize] = State { life: Life::Active, stage, since: now, ..IDLE };
        self.tally.took(now);
        let cell = self.cell(host, Arm::Treated);
        self.observer.counts(cell).fetched += 1;
        let unseen = self.fleet.part(host, Draw::Unseen);
        if self.scenario.failure.on_load(self.fleet.hosts[host as usize].kernel, unseen) {
            self.wheel.push(now + self.grace, Event::Grace, host);
            self.tally.lost();
            return self.crash(host, now);
        }
        self.observer.watch(cell);
        self.wheel.push(now + MINUTE, Event::Report, host);
        let floods = if self.scenario.failure == Failure::Flood { FLOODED } else { NOISY };
        if self.fleet.part(host, Draw::Noisy) < floods {
            self.wheel.push(now + HOUR, Event::Flood, host);
        }
        match self.scenario.failure {
            Failure::Leak => {
                self.wheel.push(now + self.until_leaked(host), Event::Fail, host);
            }
            Failure::AtBoot => {
                let until = -(1.0 - self.fleet.part(host, Draw::Later)).ln() * 14.0 * f64::from(DAY);
                self.wheel.push(now.saturating_add(until as Time), Event::Fail, host);
            }
            Failure::None
            | Failure::OnLoad
            | Failure::ForGood
            | Failure::OnLoadOfRareKernel
            | Failure::OnLoadOfFew
            | Failure::Flood => {}
        }
    }

    /// How long a daemon lives that loses memory.
    fn until_leaked(&self, host: u32) -> Time {
        5 * HOUR + HOUR / 2 + self.fleet.below(host, Draw::Later, HOUR)
    }

    /// The host goes down. With the recovery ladder it comes back by itself, unless it hangs.
    pub(super) fn crash(&mut self, host: u32, now: Time) {
        let helped = self.strategy.recovers() && self.scenario.failure != Failure::ForGood;
        let by_itself = helped && !self.fleet.hosts[host as usize].hangs;
        let until = if by_itself {
            30 + 90 + self.fleet.below(host, Draw::Boot, 210)
        } else {
            self.tally.repairs += 1;
            // 97 % were back after six days.
            let days = -(1.0 - self.fleet.part(host, Draw::Repair)).ln() * 6.0 / 3.5;
            HOUR + (days * f64::from(DAY)) as Time
        };
        let state = &mut self.states[host as usize];
        *state = State { life: Life::Down, since: now, harmed: true, ..*state };
        self.tally.harmed(now);
        self.tally.was_harmed_for(until);
        self.wheel.push(now + until, Event::Restart, host);
    }

    /// Up again on the last good generation, and says why.
    pub(super) fn restart(&mut self, host: u32) {
        self.states[host as usize].life = Life::Returned;
        self.tally.healed();
        let cell = self.cell(host, Arm::Treated);
        let counts = self.observer.counts(cell);
        counts.fallbacks += 1;
        counts.kernel_crashes += 1;
        self.hear(host, Arm::Treated);
    }

    /// What shows later, shows.
    pub(super) fn fail(&mut self, host: u32, now: Time) {
        if self.states[host as usize].life != Life::Active {
            return;
        }
        // A daemon starts anew with its host, and so does what it loses of its memory.
        if self.scenario.failure == Failure::Leak && !self.fleet.online(host, now) {
            let on = self.fleet.next_poll(host, now);
            return self.wheel.push(on + self.until_leaked(host), Event::Fail, host);
        }
        let cell = self.cell(host, Arm::Treated);
        self.observer.leave(cell);
        self.tally.lost();
        if self.scenario.failure == Failure::AtBoot {
            return self.crash(host, now);
        }
        // The daemon is killed and started five times within five minutes; then the ladder takes the release away.
        let counts = self.observer.counts(cell);
        counts.restarts += 5;
        counts.fallbacks += 1;
        self.states[host as usize].life = Life::Returned;
        self.tally.harmed(now);
        self.tally.was_harmed_for(5 * MINUTE);
        self.tally.healed();
    }

    pub(super) fn flood(&mut self, host: u32, arm: Arm) {
        let state = &mut self.states[host as usize];
        if arm == Arm::Treated && state.life != Life::Active {
            return;
        }
        if arm == Arm::Treated && self.scenario.failure == Failure::Flood {
            state.harmed = true;
            self.tally.harmed(state.since);
        }
        let cell = self.cell(host, arm);
        self.observer.counts(cell).flooded += 1;
    }

    /// The release was revoked: back to the last good generation.
    pub(super) fn give_back(&mut self, host: u32, now: Time) {
        let state = &mut self.states[host as usize];
        if state.life != Life::Active {
            return;
        }
        state.life = Life::Returned;
        let (harmed, since) = (state.harmed, state.since);
        if harmed {
            self.tally.was_harmed_for(now - since);
            self.tally.healed();
        }
        self.tally.lost();
        if let Some(halted) = self.tally.halted
            && (halted..now).step_by(MINUTE as usize).all(|time| self.fleet.online(host, time))
        {
            self.tally.returned(now);
        }
        let cell = self.cell(host, Arm::Treated);
        self.observer.leave(cell);
    }
}

/// A time by a clock that is so many seconds fast; not before publication.
pub(super) fn shifted(time: Time, fast: i64) -> Time {
    Time::try_from((i64::from(time) + fast).max(0)).unwrap_or(Time::MAX)
}

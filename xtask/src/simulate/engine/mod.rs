//! The fleet lives: hosts poll, take, crash, come back and are heard, minute by minute, while the publisher publishes.
//!
//! A poll that changes nothing is not simulated but counted: hosts are sorted by bucket, and one is visited at its next
//! poll only when a new document covers it, or takes the release away. What it then does, [`Document::answer`], the
//! ramp that the content keys have signed, and its owner decide.

mod life;
mod pace;
mod queue;
mod watch;

use anyhow::Result;
use sensor_content::rollout::{Document, Order};

use pace::Signed;
use queue::{Queue, queues};

use super::{
    fleet::{Fleet, MINUTE, Owner, Time},
    observer::{Arm, Observer},
    publisher::{self, Publisher},
    scenario::{Scenario, Strategy, World},
    tally::Tally,
    wheel::{Event, Wheel},
};

/// Where a host stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// It was offered nothing, or took nothing.
    Idle,
    /// Its owner lets it wait.
    Delayed,
    /// It runs the release.
    Active,
    /// It is down.
    Down,
    /// It runs the last good generation again.
    Returned,
}

/// What is remembered of a host.
#[derive(Clone, Copy)]
struct State {
    life: Life,
    /// The stage in which it took the release, or the control group's.
    stage: u8,
    heard: bool,
    missing: bool,
    harmed: bool,
    /// When it took the release, was harmed, or saw the offer that its owner lets wait.
    since: Time,
}

const IDLE: State = State { life: Life::Idle, stage: 0, heard: false, missing: false, harmed: false, since: Time::MAX };

/// A fleet, a release and a publisher.
pub struct Simulation<'a> {
    fleet: &'a Fleet,
    scenario: Scenario,
    strategy: Strategy,
    publisher: Publisher,
    signed: Signed,
    observer: Observer,
    wheel: Wheel,
    states: Vec<State>,
    queues: Vec<Queue>,
    /// Control group by ring.
    control: [Vec<u32>; 3],
    /// Covered hosts that found the roll-out paused.
    paused: Vec<u32>,
    documents: [Document; 2],
    /// What a mirror serves that stands still.
    frozen: Option<Document>,
    tally: Tally,
    random: fastrand::Rng,
    /// The plan's time from fetch until a host must have been heard from.
    grace: Time,
}

impl<'a> Simulation<'a> {
    pub fn new(fleet: &'a Fleet, scenario: Scenario, strategy: Strategy, seed: u64) -> Result<Self> {
        let mut publisher = Publisher::new(strategy, &scenario)?;
        let census = fleet.census();
        let stages = publisher.plan().stages().len();
        let document = publisher.publish(0, &publisher::blind(census.clone(), 0));
        let mut control = [Vec::new(), Vec::new(), Vec::new()];
        for (host, traits) in (0..).zip(&fleet.hosts) {
            let first = publisher.plan().control(traits.ring).rest();
            if strategy.recovers() && !first.contains(traits.bucket) && traits.owner != Owner::Hold && !traits.hangs {
                control[traits.ring as usize].push(host);
            }
        }
        let grace = Time::try_from(publisher.plan().limits().grace.as_secs())?;
        Ok(Self {
            fleet,
            scenario,
            strategy,
            publisher: Publisher::new(strategy, &scenario)?,
            signed: Signed::new(strategy),
            observer: Observer::new(fleet.kernels.clone(), census, stages),
            wheel: Wheel::new(scenario.end),
            states: vec![IDLE; fleet.hosts.len()],
            queues: queues(fleet),
            control,
            paused: Vec::new(),
            documents: [document.clone(), document],
            frozen: None,
            tally: Tally::default(),
            random: fastrand::Rng::with_seed(seed),
            grace,
        })
    }

    /// Lives until the end, or until nothing more can happen.
    pub fn run(mut self) -> Tally {
        let mut stage = None;
        let mut now = 0;
        while now < self.scenario.end {
            self.nature(now);
            self.publish(now);
            let order = self.documents[1].order;
            if self.strategy.recovers() && order == Order::Offer && stage != Some(self.publisher.stage()) {
                self.begin_motions(now);
                stage = Some(self.publisher.stage());
            }
            for second in now..now + MINUTE {
                for (event, host) in self.wheel.take(second) {
                    self.happen(event, host, second);
                }
            }
            self.observer.minute();
            self.sample(now);
            self.tally.draw(now);
            now += MINUTE;
            let over = self.publisher.finished() || matches!(order, Order::Halt | Order::Revoke);
            if over && self.wheel.is_empty() && !matches!(self.scenario.world, World::Absent(_)) {
                break;
            }
        }
        self.tally.end(now, &self.publisher.reasons);
        self.tally
    }

    /// The publisher publishes; hosts for which that changes something are visited at their next poll.
    fn publish(&mut self, now: Time) {
        match self.scenario.world {
            World::HaltedBy(time) if time == now => self.publisher.halt(),
            World::Frozen(time) if time == now => {
                self.frozen = Some(self.documents[1].clone());
                self.publisher.halt();
            }
            _ => {}
        }
        let down = matches!(self.scenario.world, World::TelemetryDown(from, to) if (from..to).contains(&now));
        let read = if let World::TelemetryDown(from, _) = self.scenario.world
            && down
        {
            from
        } else {
            now
        };
        let health = self.observer.read(read, self.publisher.stage());
        let document = self.publisher.publish(now, &health);
        let before = self.documents[1].order;
        self.documents.swap(0, 1);
        self.documents[1] = document;
        let order = self.documents[1].order;
        self.tally.ordered(order, now);
        match order {
            Order::Offer => {
                if before == Order::Pause {
                    for host in std::mem::take(&mut self.paused) {
                        self.visit(Event::Poll, host, now);
                    }
                }
                for queue in &mut self.queues {
                    for host in queue.next(&self.documents[1], self.fleet) {
                        let seen = now + self.fleet.edge(host);
                        self.wheel.push(self.fleet.next_poll(host, seen), Event::Poll, host);
                    }
                }
            }
            Order::Revoke if before != Order::Revoke => {
                for host in 0..self.fleet.hosts.len() as u32 {
                    if self.states[host as usize].life == Life::Active {
                        self.visit(Event::Return, host, now);
                    }
                }
            }
            Order::Pause | Order::Halt | Order::Revoke => {}
        }
    }

    fn visit(&mut self, event: Event, host: u32, now: Time) {
        let poll = self.fleet.next_poll(host, now + self.fleet.edge(host));
        self.wheel.push(poll, event, host);
    }

    fn happen(&mut self, event: Event, host: u32, now: Time) {
        match event {
            Event::Poll => self.poll(host, now),
            Event::Report => self.report(host, now, Arm::Treated),
            Event::Grace => self.grace(host, now, Arm::Treated),
            Event::Restart => self.restart(host),
            Event::Fail => self.fail(host, now),
            Event::Flood => self.flood(host, Arm::Treated),
            Event::Return => self.give_back(host, now),
            Event::Opens => self.opens(host, now),
            Event::Motion => self.motion(host, now),
            Event::MotionReport => self.report(host, now, Arm::Control),
            Event::MotionGrace => self.grace(host, now, Arm::Control),
            Event::MotionFlood => self.flood(host, Arm::Control),
        }
    }

    /// Every ten minutes: how many of the hosts that are on now, and may, have it.
    fn sample(&mut self, now: Time) {
        const SAMPLE: usize = 20_000;
        if !now.is_multiple_of(10 * MINUTE) {
            return;
        }
        let step = (self.fleet.hosts.len() / SAMPLE).max(1);
        let (mut on, mut reachable, mut active) = (0, 0, 0);
        for host in (0..self.fleet.hosts.len()).step_by(step) {
            if !self.fleet.online(host as u32, now) {
                continue;
            }
            on += 1;
            if self.fleet.hosts[host].owner != Owner::Hold || !self.strategy.recovers() {
                reachable += 1;
                active += usize::from(matches!(self.states[host].life, Life::Active));
            }
        }
        self.tally.sample(now, on * step, (active, reachable));
    }
}

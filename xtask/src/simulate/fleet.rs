//! Virtual hosts: what each is, when it is online, when it polls. All of it follows from the seed.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use sensor_content::{
    bundle::Category,
    policy::{Decision, Host, Offer, Policy},
    rollout::{Bucket, Census, HostId, Ring},
};

/// Seconds since the release was published.
pub type Time = u32;

pub const MINUTE: Time = 60;
pub const HOUR: Time = 60 * MINUTE;
pub const DAY: Time = 24 * HOUR;

/// Seconds between two polls of a host.
pub const POLL: Time = 10 * MINUTE;
/// Kernel builds in the fleet; the last is the rare one, with 0.5 % of the hosts.
pub const KERNELS: usize = 25;
/// Hosts over their alert budget with any release.
pub const NOISY: f64 = 0.005;
/// 19 July 2024, a Friday, 04:09 UTC: seconds since Monday, 00:00 UTC.
const WEEK_START: Time = 4 * DAY + 4 * HOUR + 9 * MINUTE;

/// When the release was published: the moment of Channel File 291.
const PUBLISHED: Timestamp = Timestamp::constant(1_721_362_140, 0);
/// Its number; hosts run the one before.
const RELEASE: u64 = 2;

/// Its owner's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Takes what is offered.
    Plain,
    /// A day later; an urgent release an hour later.
    Delay,
    /// From 02:00 to 05:00 local time only; an urgent release at once.
    Night,
    /// Nothing.
    Hold,
}

/// When the owner lets a host take what it was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    Now,
    From(Time),
    Never,
}

/// The policies of `Owner::Night`, by time zone.
static NIGHTS: LazyLock<Vec<Policy>> = LazyLock::new(|| (0..24).map(night).collect());
static DELAY: LazyLock<Policy> = LazyLock::new(|| policy("delay = \"24h\"\n[urgent]\ndelay = \"1h\"\n"));
static HOLD: LazyLock<Policy> = LazyLock::new(|| policy("[hold]\nuntil = 2200-01-01T00:00:00Z\n"));
static PLAIN: LazyLock<Policy> = LazyLock::new(Policy::default);

/// The policy of a host so many hours east of UTC, which POSIX counts to the west.
fn night(zone: i32) -> Policy {
    let west = if zone > 12 { 24 - zone } else { -zone };
    policy(&format!("[[window]]\nfrom = \"02:00\"\nto = \"05:00\"\nzone = \"Etc/GMT{west:+}\"\n"))
}

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|error| unreachable!("{error}, in a text of our own"))
}

impl Owner {
    fn policy(self, zone: u8) -> &'static Policy {
        match self {
            Self::Plain => &PLAIN,
            Self::Delay => &DELAY,
            Self::Night => &NIGHTS[usize::from(zone)],
            Self::Hold => &HOLD,
        }
    }

    /// Decides about an offer that the host first saw at `seen`, as a host's daemon does.
    pub fn permits(self, urgent: bool, seen: Time, now: Time, zone: u8) -> Permission {
        let at = |time: Time| PUBLISHED + SignedDuration::from_secs(time.into());
        let category = if urgent { Category::Urgent } else { Category::Routine };
        let offer = Offer { number: RELEASE, category, first_seen: at(seen) };
        let host = Host { running: RELEASE - 1, known: &[], approved: false };
        match self.policy(zone).decide(&offer, &host, at(now)).decision {
            Decision::Take => Permission::Now,
            Decision::At(time) => {
                Time::try_from(time.as_second() - PUBLISHED.as_second()).map_or(Permission::Never, Permission::From)
            }
            Decision::Wait | Decision::Never => Permission::Never,
        }
    }
}

/// What a host is.
#[derive(Clone, Copy)]
pub struct Traits {
    /// Place in the order of this release.
    pub bucket: Bucket,
    /// Second of the poll interval at which it polls.
    phase: u16,
    /// Index of its kernel build.
    pub kernel: u8,
    pub ring: Ring,
    pub owner: Owner,
    /// Hours east of UTC, from 0.
    pub zone: u8,
    /// Switched off outside of working hours.
    workstation: bool,
    /// Would hang after a kernel panic: no `kernel.panic`, no watchdog.
    pub hangs: bool,
    /// Off until then.
    absent_until: Time,
}

/// All hosts.
pub struct Fleet {
    seed: u64,
    pub hosts: Vec<Traits>,
    pub kernels: Vec<String>,
}

/// A well-mixed number from three (splitmix64's finalizer).
pub const fn mix(seed: u64, host: u32, salt: u64) -> u64 {
    let mut z = seed ^ (host as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What is drawn for a host; each from its own stream.
#[derive(Clone, Copy)]
pub enum Draw {
    Id = 1,
    IdEnd,
    Kernel,
    Ring,
    Owner,
    Place,
    Hangs,
    Absent,
    Edge,
    Hours,
    Boot,
    Repair,
    Later,
    Noisy,
    Turn,
    Motion,
    Mirror,
    Clock,
    Unseen,
}

impl Fleet {
    /// `count` hosts; `absent` of them are off until `back`.
    pub fn new(count: u32, seed: u64, release: u64, absent: (f64, Time)) -> Self {
        let kernels = (1..=KERNELS).map(|build| format!("6.1.0-{build}-amd64")).collect();
        let mut fleet = Self { seed, hosts: Vec::with_capacity(count as usize), kernels };
        for host in 0..count {
            let traits = fleet.draw(host, release, absent);
            fleet.hosts.push(traits);
        }
        fleet
    }

    fn draw(&self, host: u32, release: u64, (absent, back): (f64, Time)) -> Traits {
        let place = mix(self.seed, host, Draw::Place as u64);
        let ring = match self.part(host, Draw::Ring) {
            part if part < 0.02 => Ring::Early,
            part if part < 0.9 => Ring::General,
            _ => Ring::Late,
        };
        let workstation = (place >> 24) % 5 < 2;
        let owner = match self.part(host, Draw::Owner) {
            _ if ring == Ring::Early => Owner::Plain,
            part if part < 0.02 => Owner::Hold,
            part if part < 0.07 => Owner::Delay,
            part if part < 0.12 && !workstation => Owner::Night,
            _ => Owner::Plain,
        };
        // A thirty-third of all hosts would hang after a panic.
        Traits {
            bucket: Bucket::of(self.id(host), release),
            phase: (place % u64::from(POLL)) as u16,
            kernel: kernel(self.part(host, Draw::Kernel)),
            ring,
            owner,
            zone: ((place >> 16) % 24) as u8,
            workstation,
            hangs: mix(self.seed, host, Draw::Hangs as u64).is_multiple_of(33),
            absent_until: if self.part(host, Draw::Absent) < absent { back } else { 0 },
        }
    }

    /// Which host it is.
    pub fn id(&self, host: u32) -> HostId {
        let id = (u128::from(mix(self.seed, host, Draw::Id as u64)) << 64)
            | u128::from(mix(self.seed, host, Draw::IdEnd as u64));
        HostId(id.to_le_bytes())
    }

    /// A number from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    pub fn part(&self, host: u32, draw: Draw) -> f64 {
        (mix(self.seed, host, draw as u64) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `end`.
    pub fn below(&self, host: u32, draw: Draw, end: Time) -> Time {
        (mix(self.seed, host, draw as u64) % u64::from(end.max(1))) as Time
    }

    /// Hosts by ring and kernel, without those that are off for long.
    pub fn census(&self) -> Census {
        let mut census = Census::new();
        let mut counts = [[0_u64; KERNELS]; 3];
        for host in self.hosts.iter().filter(|host| host.absent_until == 0) {
            counts[host.ring as usize][host.kernel as usize] += 1;
        }
        for ring in Ring::ALL {
            let kernels = self.kernels.iter().cloned().zip(counts[ring as usize]).filter(|(_, hosts)| *hosts > 0);
            census.insert(ring, kernels.collect());
        }
        census
    }

    /// Whether the host is on at `time`.
    pub fn online(&self, host: u32, time: Time) -> bool {
        self.next_online(host, time) == time
    }

    /// The first second from `time` on at which it is on: always for a server; from about 8 to 18 o'clock
    /// local time for a workstation, at weekends one in seven.
    fn next_online(&self, host: u32, time: Time) -> Time {
        let traits = &self.hosts[host as usize];
        let time = time.max(traits.absent_until);
        if !traits.workstation {
            return time;
        }
        let shift = self.below(host, Draw::Hours, 3 * HOUR);
        let (on, off) = (7 * HOUR + shift, 16 * HOUR + shift);
        let now = local(time, traits.zone);
        (0..8)
            .find_map(|days| {
                let day = now / DAY + days;
                let works = day % 7 < 5 || mix(self.seed, host, u64::from(day)).is_multiple_of(7);
                let from = now.max(day * DAY + on);
                (works && from < day * DAY + off).then(|| time + (from - now))
            })
            .unwrap_or(time + 8 * DAY)
    }

    /// Whether it is on all the time, and was when the release was published.
    pub fn is_always_on(&self, host: u32) -> bool {
        let traits = &self.hosts[host as usize];
        !traits.workstation && traits.absent_until == 0
    }

    /// How long ago it polled last, where it is on.
    pub fn since_poll(&self, host: u32, time: Time) -> Time {
        (time + POLL - Time::from(self.hosts[host as usize].phase)) % POLL
    }

    /// Its first poll from `time` on.
    pub fn next_poll(&self, host: u32, time: Time) -> Time {
        let phase = Time::from(self.hosts[host as usize].phase);
        let mut time = time;
        // Two rounds do, unless a poll would fall on the end of the working day.
        loop {
            let on = self.next_online(host, time);
            let poll = on + (POLL + phase - on % POLL) % POLL;
            if self.online(host, poll) {
                return poll;
            }
            time = poll;
        }
    }

    /// Whether it reads from the mirror that a tenth of the hosts reads from.
    pub fn reads_mirror(&self, host: u32) -> bool {
        self.part(host, Draw::Mirror) < 0.1
    }

    /// By how many seconds its clock is fast, in a world where one clock in a hundred is wrong by up to three
    /// days, either way.
    pub fn is_fast(&self, host: u32) -> i64 {
        let part = self.part(host, Draw::Clock);
        if part < 0.01 { ((part / 0.01 * 6.0 - 3.0) * f64::from(DAY)) as i64 } else { 0 }
    }

    /// Seconds after publication until the edge from which it reads has a new document: 0 to 59.
    pub fn edge(&self, host: u32) -> Time {
        self.below(host, Draw::Edge, MINUTE)
    }
}

/// Seconds of the local week (not wrapped).
fn local(time: Time, zone: u8) -> Time {
    time + WEEK_START + Time::from(zone) * HOUR
}

/// Zipf's law for all builds but the last, which has 0.5 %.
fn kernel(part: f64) -> u8 {
    const RARE: f64 = 0.005;
    if part < RARE {
        return (KERNELS - 1) as u8;
    }
    let weight = |build: usize| 1.0 / (build + 1) as f64;
    let all: f64 = (0..KERNELS - 1).map(weight).sum();
    let mut left = (part - RARE) / (1.0 - RARE) * all;
    for build in 0..KERNELS - 1 {
        left -= weight(build);
        if left < 0.0 {
            return build as u8;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_polls_only_when_it_is_on_and_once_an_interval() {
        let fleet = Fleet::new(2_000, 7, 1, (0.1, 3 * DAY));
        for host in 0..2_000 {
            let first = fleet.next_poll(host, 0);
            assert!(fleet.online(host, first));
            let second = fleet.next_poll(host, first + 1);
            assert_eq!((second - first) % POLL, 0, "{host}");
            assert!(fleet.hosts[host as usize].absent_until <= first);
        }
    }

    #[test]
    fn the_rare_kernel_has_half_a_percent() {
        let fleet = Fleet::new(100_000, 1, 1, (0.0, 0));
        let rare = fleet.hosts.iter().filter(|host| usize::from(host.kernel) == KERNELS - 1).count();
        assert!((420..580).contains(&rare), "{rare}");
    }

    #[test]
    fn owners_win_over_offers() {
        assert_eq!(PUBLISHED.to_string(), "2024-07-19T04:09:00Z");
        assert_eq!(Owner::Hold.permits(true, 0, 0, 0), Permission::Never);
        assert_eq!(Owner::Delay.permits(true, 100, 100, 0), Permission::From(100 + HOUR));
        assert_eq!(Owner::Delay.permits(false, 100, 100 + DAY, 0), Permission::Now);
        for zone in 0..24 {
            assert_eq!(Owner::Night.permits(true, 0, 0, zone), Permission::Now);
            match Owner::Night.permits(false, 0, 0, zone) {
                Permission::From(night) => assert_eq!(local(night, zone) % DAY, 2 * HOUR, "{zone}"),
                Permission::Now => assert!((2 * HOUR..5 * HOUR).contains(&(local(0, zone) % DAY)), "{zone}"),
                Permission::Never => panic!("{zone}"),
            }
        }
    }
}

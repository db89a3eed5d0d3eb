//! What happens when: one slot for each second.

use super::fleet::Time;

/// What happens to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// It polls.
    Poll,
    /// Its first report after it took the release is due.
    Report,
    /// The time of grace is over.
    Grace,
    /// It is up again, by itself or by hand.
    Restart,
    /// What is wrong with the release, and shows later, shows.
    Fail,
    /// It counts its alerts.
    Flood,
    /// It polls after a revocation.
    Return,
    /// It was offered the release, and the content keys allow it from now on.
    Opens,
    /// The same as poll, report, grace and flood for the control group, which only goes through the motions.
    Motion,
    MotionReport,
    MotionGrace,
    MotionFlood,
}

impl Event {
    const ALL: [Self; 12] = [
        Self::Poll,
        Self::Report,
        Self::Grace,
        Self::Restart,
        Self::Fail,
        Self::Flood,
        Self::Return,
        Self::Opens,
        Self::Motion,
        Self::MotionReport,
        Self::MotionGrace,
        Self::MotionFlood,
    ];
}

/// Hosts are numbered by 24 bits, so that an event has 32.
pub const HOSTS_MAX: u32 = 1 << 24;

/// All that is still to happen before the end.
pub struct Wheel {
    slots: Vec<Vec<u32>>,
    pending: usize,
}

impl Wheel {
    pub fn new(end: Time) -> Self {
        Self { slots: vec![Vec::new(); end as usize], pending: 0 }
    }

    /// After the end nothing happens.
    pub fn push(&mut self, time: Time, event: Event, host: u32) {
        if let Some(slot) = self.slots.get_mut(time as usize) {
            slot.push((event as u32) << 24 | host);
            self.pending += 1;
        }
    }

    /// What happens in this second, in the order in which it was planned.
    pub fn take(&mut self, time: Time) -> impl Iterator<Item = (Event, u32)> + use<> {
        let slot = self.slots.get_mut(time as usize).map(std::mem::take).unwrap_or_default();
        self.pending -= slot.len();
        slot.into_iter().map(|event| (Event::ALL[(event >> 24) as usize], event & (HOSTS_MAX - 1)))
    }

    pub const fn is_empty(&self) -> bool {
        self.pending == 0
    }
}

//! Small state: how often something happened, and what happened before.
//!
//! Rules keep none. What a program of rules says of an event is a pure function of its record, also where it
//! says that the event *counts*: it writes a [`Note`] into the verdict. The sensor's own code then looks the
//! note's window up, by state and key, and decides whether the rule matches. The interpreter's [model] does
//! the same.
//!
//! [model]: ../../sensor_rules/struct.Memory.html

/// Most rules of a generation that need state.
pub const STATES_MAX: u32 = 1024;
/// Most notes about one event: a power of two.
pub const NOTES_MAX: usize = 16;
/// How many windows are kept; of more, those that were not used for the longest time are forgotten.
pub const WINDOWS_MAX: u32 = 16_384;

/// What an event means for a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    /// One more of what is counted. The rule matches if there were more than so many within so long.
    Count = 0,
    /// The first of two.
    First = 1,
    /// The second of two. The rule matches if the first was within so long before.
    Second = 2,
}

/// Written by rules: this event is a step for a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Note {
    /// Number of the state in its generation.
    pub state: u32,
    /// [`Step`] as its discriminant.
    pub step: u32,
    /// Of which of the processes, users, objects … that are told apart.
    pub key: u64,
}

impl Note {
    /// No note.
    pub const NONE: Self = Self { state: 0, step: 0, key: 0 };
}

/// What the sensor knows of the rule behind a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Tracked {
    /// Number of the rule in its generation.
    pub rule: u32,
    /// Its [`Action`](crate::verdict::Action), as its discriminant.
    pub action: u32,
    /// How long a window is, nanoseconds.
    pub within: u64,
    /// How many steps within it are still no match.
    pub more_than: u64,
}

/// Which window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct WindowKey {
    /// Id of the generation: a new one begins with no state.
    pub generation: u64,
    /// Number of the state in it.
    pub state: u64,
    /// The note's key.
    pub key: u64,
}

/// In how many parts a window is counted. The last is not over yet, so the others are as long as the window.
pub const PARTS: usize = 8;

/// What happened of late.
///
/// A window slides part by part: what is counted happened within the window, or at most one seventh of it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Window {
    /// When the part began that is not over: `CLOCK_BOOTTIME`, nanoseconds.
    pub since: u64,
    /// How often in each part, the present one first.
    pub counts: [u64; PARTS],
}

impl Window {
    /// The window of what happens now for the first time.
    pub const fn new(now: u64) -> Self {
        let mut counts = [0; PARTS];
        counts[0] = 1;
        Self { since: now, counts }
    }

    /// Whether what happens at `now` comes more than `within` after the beginning.
    pub const fn is_over(self, now: u64, within: u64) -> bool {
        now.saturating_sub(self.since) > within
    }

    /// How many parts have passed at `now`, of a window that is so long.
    #[inline]
    pub const fn passed(&self, now: u64, within: u64) -> u64 {
        now.saturating_sub(self.since) / part(within)
    }

    /// The window when so many parts have passed.
    #[inline]
    #[must_use]
    pub const fn turned(mut self, passed: u64, within: u64) -> Self {
        let mut turns = 0;
        while turns < PARTS as u64 {
            if turns < passed {
                let [p0, p1, p2, p3, p4, p5, p6, _] = self.counts;
                self.counts = [0, p0, p1, p2, p3, p4, p5, p6];
            }
            turns += 1;
        }
        self.since = self.since.wrapping_add(passed.wrapping_mul(part(within)));
        self
    }

    /// How often in all parts.
    #[inline]
    pub const fn total(&self) -> u64 {
        let [p0, p1, p2, p3, p4, p5, p6, p7] = self.counts;
        p0 + p1 + p2 + p3 + p4 + p5 + p6 + p7
    }
}

/// Length of a part, nanoseconds: never 0, for a division by 0 is a panic, which no program of the kernel may hold.
const fn part(within: u64) -> u64 {
    within / (PARTS as u64 - 1) + 1
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    /// The window after one more, as the sensor and the model keep it.
    fn one_more(window: Option<Window>, now: u64, within: u64) -> Window {
        window.map_or(Window::new(now), |window| {
            let mut window = window.turned(window.passed(now, within), within);
            window.counts[0] += 1;
            window
        })
    }

    #[test]
    fn no_window_holds_less_than_happened_in_it_nor_what_is_older_than_a_part_more() {
        for (seed, within) in (1..200_u64).zip([7, 10, 700, 1_000, 10_000_000_019].into_iter().cycle()) {
            let (mut now, mut random, mut times, mut window) = (seed, seed, Vec::new(), None);
            for _ in 0..300 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                now += (random >> 33) % (within / 4 + 2) * u64::from(random % 3 != 0);
                times.push(now);
                let next = one_more(window, now, within);
                let since = |span: u64| times.iter().filter(|time| now - **time <= span).count() as u64;
                assert!(next.total() >= since(within), "{within}: {next:?} at {now}");
                assert!(next.total() <= since(PARTS as u64 * part(within)), "{within}: {next:?} at {now}");
                window = Some(next);
            }
        }
    }

    #[test]
    fn a_clock_of_another_processor_that_is_behind_takes_nothing_away() {
        let window = one_more(Some(Window::new(1_000)), 990, 70);
        assert_eq!((window.since, window.total()), (1_000, 2));
    }
}

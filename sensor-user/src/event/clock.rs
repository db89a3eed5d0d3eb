//! From the kernel's clock to the calendar.

use jiff::{SignedDuration, Timestamp};

/// What to add to `CLOCK_BOOTTIME`, which stamps records, to get the time of day.
///
/// Read it anew for each batch of events: the time of day can be set.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    boot: Timestamp,
}

impl Clock {
    /// The clocks as they stand now.
    pub fn now() -> Self {
        Self { boot: Timestamp::now().saturating_sub(since_boot()).unwrap_or(Timestamp::UNIX_EPOCH) }
    }

    /// A clock of a host that was booted at `boot`.
    pub const fn booted_at(boot: Timestamp) -> Self {
        Self { boot }
    }

    /// The time of day of a record's `head.time`, nanoseconds since boot.
    pub fn at(self, boottime: u64) -> Timestamp {
        let since = SignedDuration::from_nanos(i64::try_from(boottime).unwrap_or(i64::MAX));
        self.boot.saturating_add(since).unwrap_or(Timestamp::MAX)
    }
}

/// `CLOCK_BOOTTIME`.
fn since_boot() -> SignedDuration {
    read(libc::CLOCK_BOOTTIME)
}

/// A clock that counts from some moment: 0 where the kernel has none of this name.
pub fn read(clock: libc::clockid_t) -> SignedDuration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid `timespec` to write to; where the call fails, it stays 0.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    SignedDuration::new(now.tv_sec, i32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_now_is_stamped_now() {
        let stamp = u64::try_from(since_boot().as_nanos()).unwrap();
        let distance = Clock::now().at(stamp).duration_since(Timestamp::now()).abs();
        assert!(distance < SignedDuration::from_secs(5), "{distance}");
    }

    #[test]
    fn nonsense_does_not_panic() {
        Clock::booted_at(Timestamp::MAX).at(u64::MAX);
    }
}

//! How often a rule is carried out before it only alerts.

/// So many times in each window of so many seconds. Windows are counted from boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockBudget {
    /// How many times, from 1.
    pub count: u32,
    /// Length of a window, seconds, from 1.
    pub seconds: u32,
}

impl BlockBudget {
    /// What a rule has that says nothing of it.
    pub const DEFAULT: Self = Self { count: 100, seconds: 10 };
    /// The largest count.
    pub const COUNT_MAX: u32 = 1_000_000;
    /// The longest window: a day.
    pub const SECONDS_MAX: u32 = 86_400;

    /// A budget, where both numbers are in their bounds.
    pub fn new(count: i64, seconds: i64) -> Option<Self> {
        let within = |number: i64, max: u32| u32::try_from(number).ok().filter(|number| (1..=max).contains(number));
        Some(Self { count: within(count, Self::COUNT_MAX)?, seconds: within(seconds, Self::SECONDS_MAX)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_have_bounds() {
        assert_eq!(BlockBudget::new(100, 10), Some(BlockBudget::DEFAULT));
        for (count, seconds) in [(0, 10), (10, 0), (-1, 10), (1_000_001, 10), (1, 86_401), (i64::MAX, i64::MIN)] {
            assert_eq!(BlockBudget::new(count, seconds), None, "{count} in {seconds} s");
        }
        assert!(BlockBudget::new(1_000_000, 86_400).is_some());
    }
}

//! Times of the week at which routine releases may be taken, on the clock of a time zone.

use std::fmt;

use jiff::{
    Timestamp, ToSpan, Zoned,
    civil::{Date, Time, Weekday},
    tz::{AmbiguousOffset, TimeZone},
};
use serde::Deserialize;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    /// From Monday.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    const fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

/// From a time of day to another, on some days of the week; beyond midnight where the second is the earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    days: Vec<Day>,
    from: Time,
    to: Time,
    zone: TimeZone,
}

impl Window {
    pub(super) const fn new(days: Vec<Day>, from: Time, to: Time, zone: TimeZone) -> Self {
        Self { days, from, to, zone }
    }

    /// The first moment from `now` on at which it is open: `now`, where it is open.
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_zoned(self.zone.clone()).date();
        // One that began yesterday may still be open; within a week each day comes round, and one may be over today.
        let days = (-1..=8).filter_map(|days: i64| today.checked_add(days.days()).ok());
        days.filter(|day| self.days.iter().any(|one| one.weekday() == day.weekday()))
            .filter_map(|day| self.on(day))
            .find(|(_, end)| *end > now)
            .map(|(begin, _)| begin.max(now))
    }

    /// When it is open, of the day on which it begins. A time that the clock skips is the moment of the skip; one that
    /// comes twice is the first. A window that is skipped whole opens right after, for its length.
    fn on(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        let last = if self.to <= self.from { day.tomorrow().ok()? } else { day };
        let (begin, end) = (self.at(day, self.from)?, self.at(last, self.to)?);
        if end > begin {
            return Some((begin, end));
        }
        let length = last.to_datetime(self.to).duration_since(day.to_datetime(self.from));
        Some((begin, begin.checked_add(length).ok()?))
    }

    fn at(&self, day: Date, time: Time) -> Option<Timestamp> {
        let local = day.to_datetime(time);
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        match ambiguous.offset() {
            AmbiguousOffset::Gap { after, .. } => {
                // With the offset that holds after it, a time in the gap lies before the skip, by less than the gap.
                let before = after.to_timestamp(local).ok()?;
                self.zone.following(before).next().map(|skip| skip.timestamp())
            }
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
        }
    }

    /// `time` on this window's clock.
    pub fn local(&self, time: Timestamp) -> Zoned {
        time.to_zoned(self.zone.clone())
    }
}

impl fmt::Display for Window {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days.len() < Day::ALL.len() {
            let days: Vec<_> = self.days.iter().map(|day| format!("{day:?}")).collect();
            write!(out, "{} ", days.join(", "))?;
        }
        let clock = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        let zone = self.zone.iana_name().unwrap_or("UTC");
        write!(out, "{} to {} ({zone})", clock(self.from), clock(self.to))
    }
}

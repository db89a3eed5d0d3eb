//! Lengths of time as people write them in policies, releases and plans: `90 days`, `36h`, `1h 30m`.

use std::fmt;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// A length of time. A day is 24 hours, a week is 7 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting(pub SignedDuration);

impl Lasting {
    /// Reads a length of time.
    ///
    /// # Errors
    /// Why `text` is none, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(exact) = text.parse() {
            return Ok(Self(exact));
        }
        let like = "write it like \"90 days\", \"36h\", \"10m\" or \"30s\"";
        let span: Span = text.parse().map_err(|_| format!("`{text}` is no length of time: {like}"))?;
        let exact = span.to_duration(SpanRelativeTo::days_are_24_hours());
        exact.map(Self).map_err(|_| format!("`{text}` is not always as long: count in days or less, {like}"))
    }
}

impl<'de> Deserialize<'de> for Lasting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Lasting;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a length of time in quotes, such as \"90 days\" or \"36h\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Lasting, E> {
        Lasting::parse(text).map_err(E::custom)
    }
}

/// For fields that keep the time alone.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SignedDuration, D::Error> {
    Lasting::deserialize(deserializer).map(|Lasting(time)| time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_weeks_are_lengths_of_time() {
        for (text, hours) in [
            ("90 days", 90 * 24),
            ("90d", 90 * 24),
            ("1 day", 24),
            ("2 weeks", 14 * 24),
            ("1d 12h", 36),
            ("36h", 36),
            ("120 minutes", 2),
            ("PT24H", 24),
            ("-1 day", -24),
        ] {
            assert_eq!(Lasting::parse(text), Ok(Lasting(SignedDuration::from_hours(hours))), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_says_what_to_write() {
        for text in ["90 dayz", "soon", "", "90", "1 month", "2y"] {
            let refusal = Lasting::parse(text).unwrap_err();
            assert!(refusal.starts_with(&format!("`{text}` is no")) && refusal.contains("\"90 days\""), "{refusal}");
        }
    }

    #[test]
    fn what_jiff_writes_is_read_back() {
        let time = SignedDuration::from_secs(100_000_000) + SignedDuration::from_millis(7);
        assert_eq!(Lasting::parse(&time.to_string()), Ok(Lasting(time)));
        assert_eq!(Lasting::parse(&format!("{time:#}")), Ok(Lasting(time)));
    }
}

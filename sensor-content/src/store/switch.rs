//! The switches that say with what a sensor starts. Pure.

use std::{fmt, str::FromStr};

/// An order of the host's owner that holds when nothing else works: the file `safe-mode`, or `creance.content=` on the
/// kernel's command line. The first is the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Switch {
    /// Observe nothing.
    Off,
    /// The rules in the program itself only.
    Baseline,
    /// Nothing on probation.
    LastGood,
}

/// A word that is no switch.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no switch: it is off, baseline or last-good")]
pub struct SwitchError(String);

impl FromStr for Switch {
    type Err = SwitchError;

    fn from_str(text: &str) -> Result<Self, SwitchError> {
        match text {
            "off" => Ok(Self::Off),
            "baseline" => Ok(Self::Baseline),
            "last-good" => Ok(Self::LastGood),
            _ => Err(SwitchError(crate::printable::ascii(text))),
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Off => "off",
            Self::Baseline => "baseline",
            Self::LastGood => "last-good",
        })
    }
}

impl Switch {
    /// The switches on the kernel's command line, and the words there that are none.
    pub fn on_command_line(line: &str) -> impl Iterator<Item = Result<Self, SwitchError>> {
        let values = line.split_ascii_whitespace().filter_map(|word| word.strip_prefix("creance.content="));
        values.map(str::parse)
    }

    /// What the file `safe-mode` says by being there with this content: the baseline, unless it names another switch.
    ///
    /// # Errors
    /// It says something that is no switch.
    pub fn in_file(content: &str) -> Result<Self, SwitchError> {
        let word = content.trim();
        if word.is_empty() { Ok(Self::Baseline) } else { word.parse() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_read_and_what_is_none_is_said() {
        let on = |line| Switch::on_command_line(line).collect::<Vec<_>>();
        let none = |word: &str| Err(SwitchError(word.to_owned()));
        assert_eq!(on("root=/dev/vda quiet xcreance.content=off"), []);
        assert_eq!(on("creance.content=last-good quiet"), [Ok(Switch::LastGood)]);
        assert_eq!(on("creance.content=last-good creance.content=of"), [Ok(Switch::LastGood), none("of")]);
        assert_eq!(Switch::in_file("\n"), Ok(Switch::Baseline));
        assert_eq!(Switch::in_file("off\n"), Ok(Switch::Off));
        assert_eq!(Switch::in_file("last_good\n"), none("last_good"));
    }
}

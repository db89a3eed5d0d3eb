//! With what a sensor starts: last good, the good one before, baseline, nothing; and the switches that say otherwise. Pure.

use std::{fmt, str::FromStr};

use super::memory::{Memory, Rung};
use crate::life::Trial;

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
    /// The switch on the kernel's command line. A word that is none means the baseline: somebody wanted less.
    pub fn on_command_line(line: &str) -> Option<Self> {
        let values = line.split_ascii_whitespace().filter_map(|word| word.strip_prefix("creance.content="));
        values.map(|value| value.parse().unwrap_or(Self::Baseline)).min()
    }

    /// What the file `safe-mode` says by being there with this content: the baseline, unless it names another switch.
    pub fn in_file(content: &str) -> Self {
        content.trim().parse().unwrap_or(Self::Baseline)
    }
}

/// What to start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// In this order, until one comes into force. Never empty; the last is [`Rung::Nothing`].
    pub rungs: Vec<Rung>,
    /// The generation on probation: to be tried again once the host is up.
    pub retry: Option<Trial>,
}

impl Start {
    /// The ladder of a host that remembers this.
    pub fn new(memory: &Memory, switch: Option<Switch>) -> Self {
        let mut rungs = Vec::new();
        if matches!(switch, None | Some(Switch::LastGood)) {
            rungs.extend(memory.good.iter().map(|id| Rung::Generation(*id)));
        }
        if switch != Some(Switch::Off) && !memory.is_baseline_given_up() {
            rungs.push(Rung::Baseline);
        }
        rungs.push(Rung::Nothing);
        let retry = if switch.is_none() { memory.trial.clone() } else { None };
        Self { rungs, retry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stronger_switch_wins_and_an_unknown_one_is_the_baseline() {
        let on = Switch::on_command_line;
        assert_eq!(on("root=/dev/vda quiet"), None);
        assert_eq!(on("creance.content=last-good quiet"), Some(Switch::LastGood));
        assert_eq!(on("creance.content=last-good creance.content=off"), Some(Switch::Off));
        assert_eq!(on("creance.content=of"), Some(Switch::Baseline));
        assert_eq!(on("xcreance.content=off"), None);
        assert_eq!(Switch::in_file(""), Switch::Baseline);
        assert_eq!(Switch::in_file("off\n"), Switch::Off);
    }
}

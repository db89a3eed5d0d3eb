//! The attacker's suite: an ordinary user tries, in every way that is known here, what a blocking rule
//! forbids. What succeeds without a word of the sensor fails the test, unless it is a [known remain](known).
//! `docs/evasion.md` is made of it.
//!
//! | Module | Holds |
//! |---|---|
//! | `rounds` | has all of them tried again and again, and compares |
//! | `attempt`, `families` | what an attempt is, and the list of all |
//! | `judge` | runs an attempt, and says what came of it |
//! | `known` | what still gets through, and why |
//! | `rules.yaml` | the rules that are attacked |
//! | the others | one family of attempts each |

mod actors;
mod attempt;
mod compat;
mod families;
mod identity;
mod judge;
mod known;
mod message;
mod paths;
mod payload;
mod resources;
mod rounds;
mod setting;
mod unix;
mod uring;

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::{
    preemption,
    protocol::Table,
    suite::{Boot, Test},
};
use families::attempts;
use rounds::Round;

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "attack::one_minute", boot: Boot::Plain, run: one_minute },
    Test { name: "attack::half_a_minute_preempted", boot: Boot::Preempt, run: preempted },
    Test { name: "attack::once_by_modify_return", boot: Boot::WithoutBpf, run: by_modify_return },
    Test { name: "attack::ten_minutes", boot: Boot::Long, run: ten_minutes },
    Test { name: "attack::ten_minutes_by_modify_return", boot: Boot::Long, run: ten_minutes_by_modify_return },
];

/// With the start of a daemon and its end it is one.
const MINUTE: Duration = Duration::from_secs(50);

/// The role: tries one, or what follows it.
///
/// # Errors
/// Where there is none of this name.
pub fn play(part: &str, name: &str) -> Result<()> {
    let attempt = attempts().find(|attempt| attempt.name == name).context("no such attempt")?;
    let run = if part == judge::THEN { attempt.then.context("nothing follows")? } else { attempt.run };
    judge::tell(run())
}

/// The role: opens a FIFO, as another program would.
///
/// # Errors
/// Never: it does not return.
pub fn open(path: &str) -> Result<()> {
    judge::tell(paths::open(path))
}

fn one_minute() -> Result<()> {
    let worst = Round::EACH.again_for(MINUTE)?;
    rounds::tell(Table::Evasion, &worst)?;
    rounds::agree_with_known(&worst)
}

fn preempted() -> Result<()> {
    preemption::can_preempt()?;
    let worst = Round::RACES.again_for(MINUTE / 2)?;
    rounds::tell(Table::EvasionPreempted, &worst)?;
    rounds::agree_with_known(&worst)
}

fn by_modify_return() -> Result<()> {
    let worst = Round::MODIFY_RETURN.again_for(Duration::ZERO)?;
    rounds::tell(Table::EvasionByModifyReturn, &worst)?;
    rounds::agree_with_known(&worst)
}

fn ten_minutes() -> Result<()> {
    rounds::agree_with_known(&Round::EACH.again_for(Duration::from_mins(10))?)
}

fn ten_minutes_by_modify_return() -> Result<()> {
    rounds::agree_with_known(&Round::MODIFY_RETURN.again_for(Duration::from_mins(10))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands above the tables of the document.
    const HEAD: &str = include_str!("../../../xtask/src/testing/evasion-head.md");

    #[test]
    fn names_are_unique_and_remains_are_attempts() {
        let mut names: Vec<_> = attempts().map(|attempt| attempt.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        for remain in known::REMAINS {
            assert!(names.contains(&remain.attempt), "{}", remain.attempt);
            assert!(HEAD.contains(&format!("\n| {} | ", remain.why)), "not explained: {}", remain.why);
        }
    }
}

//! Ways to make the sensor's own brakes help.

use anyhow::Result;

use super::{
    attempt::Attempt,
    paths,
    setting::{BUDGETED, FIFO, NOISE},
};

pub const ATTEMPTS: &[Attempt] = &[
    Attempt {
        then: Some(|| paths::open(FIFO)),
        ..Attempt::new("another user's event after 3000 of one user", "below", flood)
    },
    Attempt {
        then: Some(|| paths::open(BUDGETED)),
        ..Attempt::new("another user's open after 110 of one user", "budgeted", spend)
    },
];

/// Spends the budget of a rule.
fn spend() -> Result<bool> {
    for _ in 0..110 {
        paths::open(BUDGETED)?;
    }
    Ok(true)
}

/// Fills what events come through.
fn flood() -> Result<bool> {
    for _ in 0..3000 {
        paths::open(NOISE)?;
    }
    Ok(true)
}

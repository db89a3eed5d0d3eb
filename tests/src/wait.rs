//! Waiting for something to become true, never for luck.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long anything may take on a slow machine.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// Asks until there is an answer.
///
/// # Errors
/// That of the question, or after [`PATIENCE`] that `what` has not come.
pub fn until<T>(what: &str, ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    within(PATIENCE, what, ask)
}

/// Asks until there is an answer, for a time of one's own.
///
/// # Errors
/// That of the question, or after that time that `what` has not come.
pub fn within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited {} s in vain: {what}", patience.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

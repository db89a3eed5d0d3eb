//! Waiting for something to become true, never for luck.

use std::{
    fs, thread,
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

/// Waits until the process, or the thread, sleeps in this system call.
///
/// # Errors
/// Where it has ended, or does not do so.
pub fn asleep_in(task: u32, call: i64) -> Result<()> {
    let path = format!("/proc/{task}/syscall");
    until("the process to sleep in its call", || {
        // `running` while it does not sleep.
        let line = fs::read_to_string(&path)?;
        Ok((line.split(' ').next() == Some(call.to_string().as_str())).then_some(()))
    })
}

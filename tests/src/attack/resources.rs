//! Ways to keep the sensor from having what it needs to judge.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{attempt::Attempt, judge, paths, setting};
use crate::{preemption, work};

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::race("open while 32 idle threads do so too", "below", idle_threads),
    Attempt::race("open in each of 40 processes at once", "below", fork_storm),
];

const THREADS: usize = 32;
/// How long they go on where 300 opens take longer: each of theirs is an event.
const LONGEST: Duration = Duration::from_secs(2);

fn idle_threads() -> Result<bool> {
    let path = paths::deep("/tmp/attack/40", 40)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                // One that stays in the usual class holds a record all the same, and not for so long.
                preemption::become_idle().ok();
                while !over.load(Ordering::Relaxed) {
                    // Whether it opens is asked of the others only.
                    paths::open(&path).ok();
                }
            });
        }
        let mut got = Ok(false);
        let until = Instant::now() + LONGEST;
        for _ in (0..300).take_while(|_| Instant::now() < until) {
            thread::sleep(Duration::from_micros(300));
            got = paths::open(setting::FIFO);
            if !matches!(got, Ok(false)) {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        got
    })
}

fn fork_storm() -> Result<bool> {
    let mut children = Vec::new();
    for _ in 0..40 {
        children.push(Command::new(work::PROGRAM).args(["work", "attack-open", setting::FIFO]).spawn()?);
    }
    ensure!(!children.is_empty(), "no process");
    let mut got = false;
    for mut child in children {
        got |= judge::told(child.wait()?)?;
    }
    Ok(got)
}

//! Channel File 291, replayed: the same content given to an interpreter in the kernel, and to Creance.
//!
//! `cargo xtask demo 291` boots a VM for each; `cargo xtask test` runs the same as tests.

mod channel;
mod disk;
mod host;
pub mod module;
mod raw;
mod row;
mod rows;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use anyhow::{Result, anyhow};

use self::row::{Row, Told};
use crate::{
    protocol::{Message, is_chosen},
    report, shared,
};

const CRASHES: Row = Row {
    test: "replay::row_7_the_daemon_crashes_on_it",
    mistake: "the daemon crashes on this content",
    stopped_by: "attempt record, rollback, denied here",
    run: host::daemon_crashes,
};
/// Ends with the kernel.
const GOES_DOWN: Row = Row {
    test: "replay::row_8_the_host_goes_down_on_it",
    mistake: "the host goes down on this content (a kernel bug, simulated)",
    stopped_by: "the recovery ladder, with nobody there",
    run: host::host_goes_down,
};

/// Lives through one start of the host, with the rows that `only` chooses; whether all went as expected.
///
/// # Errors
/// Where there is no disk.
pub fn live(only: Option<&str>) -> Result<bool> {
    disk::mount()?;
    if host::is_back() {
        return Ok(tell(&Row { run: host::host_comes_back, ..GOES_DOWN }));
    }
    let chosen = |row: &&Row| only.is_none_or(|only| is_chosen(row.test, only));
    let mut all = true;
    for row in rows::ROWS.iter().chain([&CRASHES]).filter(chosen) {
        all &= tell(row);
    }
    shared::stop()?;
    Ok(if chosen(&&GOES_DOWN) { tell(&GOES_DOWN) } else { all })
}

/// Runs a row and reports it; whether it went as expected.
fn tell(row: &Row) -> bool {
    let started = Instant::now();
    report::send(&Message::Started { test: row.test.to_owned() });
    let told = catch_unwind(AssertUnwindSafe(row.run)).unwrap_or_else(|_| Err(anyhow!("it panicked")));
    let ok = told.is_ok();
    let Told { seen, words } = told.unwrap_or_else(|error| Told::new("NOT AS EXPECTED", format!("{error:#}")));
    report::send(&Message::Row {
        test: row.test.to_owned(),
        mistake: row.mistake.to_owned(),
        stopped_by: row.stopped_by.to_owned(),
        seen,
        words,
        ok,
        millis: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    ok
}

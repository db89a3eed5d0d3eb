//! `cargo xtask demo 291`: Channel File 291, replayed. The same content meets an interpreter in the kernel, and
//! Creance, of which one gate after the other is left open.
//!
//! | Module | Holds |
//! |---|---|
//! | [`contrast`] | the VM whose kernel goes down |
//! | [`sensor`] | the VM with Creance: rows 0 to 8 |
//! | [`publisher`] | the rows that need no kernel |
//! | [`measured`] | all that a run measures |
//! | [`row`] | what was seen of one row |
//! | [`report`] | the page `target/demo-291/report.html` |
//! | [`timeline`] | 19 July 2024 beside this run |

mod contrast;
mod disk;
mod measured;
mod publisher;
mod report;
mod row;
mod sensor;
mod timeline;

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Error, Result, ensure};

use self::{
    contrast::Contrast,
    measured::{HOSTS, Measured},
    row::Row,
};
use crate::{
    build, initramfs,
    project::{self, KernelSeries},
    protocol::{Message, is_chosen},
    run::columns,
    setup, simulate,
    vm::Failure,
};

/// What the names of these tests begin with.
const TESTS: &[&str] = &["replay::", "module::"];
/// How many rows each VM has to report: with Creance, and with the kernel that goes down.
const SENSOR_ROWS: usize = 10;
const CONTRAST_ROWS: usize = 4;

/// Plays it, and says whether each row went as expected. `quick` leaves the VM out whose kernel goes down.
///
/// # Errors
/// Where it could not be played.
pub fn run(kernel: KernelSeries, quick: bool) -> Result<ExitCode> {
    let archive = initramfs::ready(kernel)?;
    build::with_faults()?;
    let started = Instant::now();
    let stamp = move |words: &str| {
        let seconds = started.elapsed().as_secs();
        for line in words.lines() {
            println!("[{:>2}:{:02}] {line}", seconds / 60, seconds % 60);
        }
        io::stdout().flush().ok();
    };
    let mut rows = Vec::new();
    let contrast = if quick {
        None
    } else {
        stamp("== July 2024: a content interpreter in the kernel. A VM boots");
        Some(module(kernel, &archive, &mut rows, &stamp)?)
    };
    stamp("== Creance: the same files, and one gate after the other left open. A VM boots");
    rows.extend(creance(kernel, &archive, None, &stamp)?);
    stamp("== The publisher's side");
    for row in publisher::rows() {
        shown(&row, &stamp);
        rows.push(row);
    }
    stamp(&format!("== The release of 19 July on {HOSTS} virtual hosts"));
    let (july, stolen) = (simulate::brief("july-19", HOSTS)?, simulate::brief("stolen", HOSTS)?);
    for (name, harmed, by_hand) in &july.outcomes {
        stamp(&format!("   {name}: {harmed} hosts harmed, {by_hand} need a person"));
    }
    let kernel = fs::read_to_string(kernel.directory().join("release"))?.trim().to_owned();
    conclude(&Measured { kernel, rows, contrast, july, stolen, took: started.elapsed() }, quick)
}

/// The last words: time line, table, page.
fn conclude(measured: &Measured, quick: bool) -> Result<ExitCode> {
    println!("\n{}", columns(["19 July 2024, UTC", "here"], &timeline::rows(measured)));
    let cells = |row: &Row| {
        let verdict = if row.ok { "ok" } else { "NOT AS EXPECTED" };
        [row.number(), &row.mistake, &row.stopped_by, &row.seen, verdict].map(str::to_owned)
    };
    let table: Vec<_> = measured.rows.iter().map(cells).collect();
    println!("{}", columns(["", "mistake let in", "must be stopped by", "seen in this run", ""], &table));
    if let Some((name, harmed, by_hand)) = measured.stolen.outcomes.first() {
        println!(
            "Who steals the online key offers that release to everybody at once, and each host holds to the ramp that \
             the offline keys signed; {name}: {harmed} of {HOSTS} virtual hosts harmed until people notice, {by_hand} of \
             which need a person (docs/root-cause.md)."
        );
    }
    let page = project::target("demo-291/report.html");
    fs::create_dir_all(project::target("demo-291"))?;
    fs::write(&page, report::html(measured))?;
    let expected = SENSOR_ROWS + publisher::ROWS + if quick { 0 } else { CONTRAST_ROWS };
    let good = measured.rows.iter().filter(|row| row.ok).count();
    println!("{good} of {expected} rows as expected, {} s; {}", measured.took.as_secs(), page.display());
    Ok(if good == expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One row, as it happens.
fn shown(row: &Row, say: &impl Fn(&str)) {
    say(&format!("{} {}", row.number(), row.mistake));
    for line in row.words.lines().filter(|line| line.len() < 160).take(8) {
        say(&format!("   | {}", line.trim_end()));
    }
    let verdict = if row.ok { "as expected" } else { "NOT AS EXPECTED" };
    let (expected, seconds) = (&row.stopped_by, row.took.as_secs_f64());
    say(&format!("   must be stopped by: {expected}; seen: {} ({seconds:.1} s): {verdict}", row.seen));
}

/// A row about the VM itself, where it did not do what it was booted for.
fn failed(test: &str, Failure { why, tail }: Failure) -> Row {
    let [mistake, stopped_by, seen] = ["none: the VM itself", "nothing", "NOT AS EXPECTED"].map(str::to_owned);
    let words = format!("{why}\n{tail}");
    Row { test: test.to_owned(), mistake, stopped_by, seen, words, ok: false, took: Duration::ZERO }
}

/// The VM with Creance.
fn creance(kernel: KernelSeries, archive: &Path, only: Option<&str>, say: &impl Fn(&str)) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let ending = sensor::run(kernel, archive, only, |message| match message {
        Message::Say { text } => say(&format!("   {text}")),
        other => {
            if let Some(row) = Row::of(other) {
                shown(&row, say);
                rows.push(row);
            }
        }
    })?;
    rows.extend(ending.err().map(|failure| failed("replay::machine", failure)));
    Ok(rows)
}

/// The VM whose kernel goes down. What the console must say makes two rows more.
fn module(kernel: KernelSeries, archive: &Path, rows: &mut Vec<Row>, say: &impl Fn(&str)) -> Result<Contrast> {
    let mut contrast = contrast::run(kernel, archive, |message| match message {
        Message::Say { text } => say(&text),
        Message::Seen { what, expected, seen, ok } => {
            say(&format!("   {seen}"));
            let (mistake, words) = (contrast::mistake(&what).to_owned(), String::new());
            rows.push(Row { test: what, mistake, stopped_by: expected, seen, words, ok, took: Duration::ZERO });
        }
        _ => {}
    })?;
    for row in contrast.rows() {
        for line in row.words.lines().filter(|line| contrast::is_telling(line)) {
            say(&format!("   | {line}"));
        }
        rows.push(row);
    }
    rows.extend(contrast.failure.take().map(|failure| failed("module::machine", failure)));
    Ok(contrast)
}

/// Whether a word of a filter names tests of this module.
pub fn is_replayed(word: &str) -> bool {
    TESTS.iter().any(|test| word.starts_with(test))
}

/// The same as tests of `cargo xtask test`: those whose name `filter` chooses, on this kernel; and why the VM
/// was left out whose kernel goes down, where its headers cannot be had.
///
/// # Errors
/// Where they could not be run.
pub fn tests(kernel: KernelSeries, archive: &Path, filter: Option<&str>) -> Result<(Vec<Row>, Option<Error>)> {
    let silent = |_: &str| ();
    let is_asked = |test: &str| filter.is_none_or(|filter| filter.split(',').any(|word| word.starts_with(test)));
    let (mut rows, mut not_run) = (Vec::new(), None);
    if is_asked(TESTS[1]) {
        match setup::headers(kernel) {
            Ok(_) => drop(module(kernel, archive, &mut rows, &silent)?),
            Err(error) => not_run = Some(error),
        }
    }
    if is_asked(TESTS[0]) {
        build::with_faults()?;
        rows.extend(creance(kernel, archive, filter, &silent)?);
        rows.extend(publisher::rows());
    }
    rows.retain(|row| !row.ok || filter.is_none_or(|filter| is_chosen(&row.test, filter)));
    ensure!(
        not_run.is_some() || !rows.is_empty(),
        "no test of the replay has {:?} in its name",
        filter.unwrap_or_default()
    );
    Ok((rows, not_run))
}

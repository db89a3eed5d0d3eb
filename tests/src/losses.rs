//! What is lost is counted.

use anyhow::{Result, ensure};

use crate::{
    fifo,
    rules::{self, Draft},
    sensor::Launch,
    shared,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "losses::long_paths_and_payloads_say_that_they_are_cut", boot: Boot::Plain, run: cut },
    Test { name: "losses::a_full_ring_buffer_counts_each_report", boot: Boot::Plain, run: full_ring },
];

/// How many events happen while nobody reads.
const EVENTS: u64 = 50;

fn full_ring() -> Result<()> {
    let rules = rules::file("all.yaml", &[Draft::alert("every", &["fifo.create"], "path.startsWith('/tmp/many-')")]);
    let sensor = Launch::rules(&[rules])?.with(&["--ring-size", "4096"]).start()?;
    sensor.signal(libc::SIGSTOP)?;
    for number in 0..EVENTS {
        fifo::make(&format!("/tmp/many-{number}"))?;
    }
    sensor.signal(libc::SIGCONT)?;
    // `lines` waits until every report has either come out or is counted as lost: it is the claim.
    let lines = sensor.lines()?.len() as u64;
    let status = sensor.status()?;
    let full = status.losses["ring_full"];
    ensure!(status.events["fifo.create"].matched == EVENTS, "{:?}", status.events);
    ensure!(full > 0, "{EVENTS} reports fit into 4096 bytes");
    ensure!(lines + full == EVENTS, "{lines} reports and {full} lost make not {EVENTS}");
    for number in 0..EVENTS {
        std::fs::remove_file(format!("/tmp/many-{number}"))?;
    }
    sensor.stop()
}

fn cut() -> Result<()> {
    let rules = rules::file(
        "long.yaml",
        &[Draft::alert("long", &["fifo.payload"], "path.startsWith('/tmp/long') && size == 1000")],
    );
    let sensor = shared::sensor(vec![rules])?;
    let path = format!("/tmp/long/{}/{}/f", "d".repeat(120), "e".repeat(150));
    fifo::remake(&path)?;
    std::io::Write::write_all(&mut fifo::open(&path)?, &[b'x'; 1000])?;
    let reports = sensor.reports()?;
    ensure!(reports.len() == 1, "{reports:#?}");
    ensure!(reports[0]["truncated"] == serde_json::json!(["path", "payload"]), "{:#}", reports[0]);
    ensure!(reports[0]["payload"] == "x".repeat(256), "the payload's first 256 bytes are not kept: {:#}", reports[0]);
    shared::park(sensor);
    Ok(())
}

//! The rows that need a kernel and no reboot: one gate after the other is left open.

use anyhow::{Result, ensure};
use sensor_content::{bundle, digest::Digest};
use sensor_user::{api::protocol::Refuser, control::client::Error};

use super::{
    channel::{self, translated},
    raw,
    row::{Row, Told},
};
use crate::{
    content::{Host, bundle_of, key},
    fifo, lifeline, refusal, rules,
    sensor::names_rule,
    shadow, shared,
};

/// In the order of the demonstration.
pub const ROWS: &[Row] = &[
    Row {
        test: "replay::row_0_the_four_files_of_spring_work",
        mistake: "none: the four files of March and April",
        stopped_by: "nothing",
        run: four,
    },
    Row {
        test: "replay::row_1_a_field_that_events_do_not_carry",
        mistake: "the fifth file asks for field 21",
        stopped_by: "check, with line and column",
        run: unknown_field,
    },
    Row {
        test: "replay::row_2_a_bundle_for_another_field_table",
        mistake: "a signed bundle made for 21 fields meets a sensor with 20",
        stopped_by: "the manifest's hash of the field table",
        run: other_table,
    },
    Row {
        test: "replay::row_3_field_21_past_our_checks",
        mistake: "checks off: the compiled program reads field 21",
        stopped_by: "the kernel's verifier, at load",
        run: past_checks,
    },
    Row {
        test: "replay::row_4_raw_programs",
        mistake: "no compiler of ours: raw programs that do harm",
        stopped_by: "the kernel's verifier, each with its own words",
        run: raw_programs,
    },
    Row {
        test: "replay::row_5_blocks_every_fifo_in_the_shadow",
        mistake: "safe but wrong: a rule blocks every FIFO",
        stopped_by: "the shadow run",
        run: blocks_in_shadow,
    },
    Row {
        test: "replay::row_5_blocks_every_fifo_without_shadow",
        mistake: "the same, shadow off: it blocks for real",
        stopped_by: "the brake in the kernel; lifeline intact",
        run: blocks_for_real,
    },
    Row {
        test: "replay::row_6_fifty_times_too_slow",
        mistake: "safe but slow: 50 times the budget",
        stopped_by: "the cost gate of the shadow run",
        run: too_slow,
    },
];

fn four() -> Result<Told> {
    const AGENT: &str = "/tmp/july/agent_1";
    let sensor = shared::sensor(vec![translated(&[1, 2, 3, 4], &[])?])?;
    fifo::remake(AGENT)?;
    drop(fifo::open(AGENT)?);
    let reports = sensor.reports()?;
    ensure!(reports.len() == 1 && names_rule(&reports[0], "channel-291-1"), "{reports:#?}");
    shared::park(sensor);
    Ok(Told::new("4 rules in force, the right one matches", ""))
}

/// A daemon with good rules is asked for the fifth file, and must go on as before.
fn fifth(skip_checks: bool, by: Refuser, words: &[&str]) -> Result<Told> {
    let sensor = shared::sensor(vec![rules::file("good.yaml", &[refusal::GOOD])])?;
    let unchecked: &[&str] = if skip_checks { &[channel::FIELD_21] } else { &[] };
    let refused = refusal::unchanged(&sensor, vec![translated(&[5], unchecked)?], skip_checks)?;
    ensure!(refused.by == by, "refused by {:?}: {}", refused.by, refused.message);
    for words in words {
        ensure!(refused.message.contains(words), "it does not say {words:?}: {}", refused.message);
    }
    shared::park(sensor);
    Ok(Told::new("refused; what ran goes on", refused.message))
}

fn unknown_field() -> Result<Told> {
    fifth(false, Refuser::Checks, &["channel-291.yaml:", channel::FIELD_21])
}

fn past_checks() -> Result<Told> {
    let words = ["channel-291-5", "channel-291.yaml:", "invalid access to map value", "value_size="];
    fifth(true, Refuser::Verifier, &words)
}

fn other_table() -> Result<Told> {
    let host = Host::new("another-table")?;
    let sensor = host.starts()?;
    let before = sensor.status()?.generation;
    let parts = bundle::decode(&bundle_of(291, translated(&[1, 2, 3, 4], &[])?, (2000, 60))?)?;
    let manifest = bundle::Manifest { contract: Digest::of(b"21 fields"), ..parts.manifest };
    let texts: Vec<_> = parts.sources.iter().map(|source| source.text.as_slice()).collect();
    let refused = match sensor.client()?.push_bundle(&bundle::encode(&manifest, &texts, &key())?, false) {
        Err(Error::Refused(refused)) => refused,
        other => anyhow::bail!("not refused: {other:?}"),
    };
    ensure!(refused.by == Refuser::Bundle && refused.message.contains("field table"), "{refused:?}");
    ensure!(sensor.status()?.generation == before, "what runs has changed");
    sensor.stop()?;
    Ok(Told::new("refused; what ran goes on", refused.message))
}

fn raw_programs() -> Result<Told> {
    let said = raw::refused()?;
    Ok(Told::new(format!("{} of {} refused, a sound one taken", said.len(), said.len()), said.join("\n")))
}

fn blocks_in_shadow() -> Result<Told> {
    Ok(Told::new("rejected; nothing was blocked", shadow::rejects_what_blocks()?))
}

fn blocks_for_real() -> Result<Told> {
    let words = lifeline::survives_what_blocks()?;
    Ok(Told::new("logins went on; the rule only alerts now", words))
}

fn too_slow() -> Result<Told> {
    let words = shadow::rejects_what_is_slow()?;
    Ok(Told::new("rejected; it never decided an event", words))
}

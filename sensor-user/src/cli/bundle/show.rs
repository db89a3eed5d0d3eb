//! `creance bundle show`: what a bundle says of itself, and whether anybody vouches for it.

use std::{
    fmt::Display,
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use sensor_content::{
    bundle::{Engine, Manifest},
    printable,
};

use super::source::{Trusted, read};
use crate::cli::done::Done;

/// Show what a bundle holds, even if it is for another version of the sensor
#[derive(Args, Debug)]
pub struct Show {
    /// The bundle
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
}

impl Show {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let bundle = read(&self.file)?;
        let (manifest, digest, key) = (bundle.claims().clone(), bundle.digest(), bundle.claimed_key());
        let misfit = bundle.fits(&Engine::here()).err();
        let keys = self.trusted.read()?;
        let (verdict, vouched) = if keys.is_empty() {
            let claim = "NOT CHECKED: all below is only claimed; name the publisher's public key with --key";
            (claim.to_owned(), false)
        } else {
            match bundle.signed_by(&keys) {
                Ok(bundle) => (format!("good, by the key {}", bundle.key()), true),
                Err(distrust) => (format!("UNSIGNED for you: {distrust}"), false),
            }
        };
        row(out, "signature", &verdict)?;
        row(out, "digest", digest)?;
        if !vouched {
            row(out, "claims key", key)?;
        }
        row(
            out,
            "made for",
            misfit.map_or_else(|| "this version of the sensor".into(), |misfit| format!("ANOTHER SENSOR: {misfit}")),
        )?;
        // What nobody vouches for is shown as ASCII only.
        let text = if vouched { printable::escaped } else { printable::ascii };
        body(out, &manifest, text)?;
        Ok(if vouched || keys.is_empty() { Done::Well } else { Done::Badly })
    }
}

fn row(out: &mut impl Write, name: &str, value: impl Display) -> io::Result<()> {
    writeln!(out, "{name:<13} {value}")
}

fn body(out: &mut impl Write, manifest: &Manifest, text: fn(&str) -> String) -> io::Result<()> {
    let Manifest { generation, category, contract, interfaces, architecture, soak, budget, .. } = manifest;
    row(out, "generation", format_args!("{generation}, {category}"))?;
    row(out, "field table", contract)?;
    row(out, "engine", format_args!("interfaces {} to {}, {}", interfaces.from, interfaces.to, text(architecture)))?;
    row(out, "minimum soak", format_args!("{soak} s"))?;
    row(
        out,
        "budget",
        format_args!("{} ns per event, {} alerts per hour", budget.nanoseconds_per_event, budget.alerts_per_hour),
    )?;
    for on in &manifest.verified {
        let programs: Vec<_> =
            on.instructions.iter().map(|(event, count)| format!("{} {count}", text(event))).collect();
        row(out, "verified on", format_args!("{}: {} instructions", text(&on.kernel), programs.join(", ")))?;
    }
    for (index, line) in manifest.changelog.lines().enumerate() {
        row(out, if index == 0 { "changelog" } else { "" }, text(line))?;
    }
    for rule in &manifest.rules {
        row(
            out,
            "rule",
            format_args!("{}: {} on {}", text(&rule.id), text(&rule.action), text(&rule.events.join(", "))),
        )?;
    }
    for file in &manifest.files {
        row(out, "file", format_args!("{}, {} bytes", text(&file.name), file.size))?;
    }
    Ok(())
}

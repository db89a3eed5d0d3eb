//! `creance push`: put rules in force.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use sensor_content::bundle::{BUNDLE_MAX, Unverified};

use super::{Connection, Done, check, check::plural};
use crate::{
    content,
    control::{
        client,
        protocol::{Pushed, Refused, Refuser},
    },
    files,
    log::say,
    sources,
};

/// Put rules in force in the running daemon; a refused push changes nothing
#[derive(Args, Debug)]
pub struct Push {
    /// A bundle, or directories with rule files (*.yaml), or rule files: together they replace all that is in force
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// For tests: leave the judgement of fields to the kernel's verifier (the daemon must have been started with --allow-skip-checks)
    #[arg(long)]
    skip_checks: bool,
    /// With a bundle: verify it here first, with this public key (PEM); the daemon verifies it with the keys that it trusts
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// With a bundle: set the owner's policy aside, this once
    #[arg(long)]
    policy_aside: bool,
    #[command(flatten)]
    daemon: Connection,
}

impl Push {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let pushed = if let Some(bundle) = self.bundle()? {
            self.daemon.open()?.push_bundle(&bundle, self.policy_aside)
        } else {
            let sources = sources::read(&self.paths)?;
            self.daemon.open()?.push(sources, self.skip_checks)
        };
        match pushed {
            Ok(pushed) => {
                report(out, &pushed)?;
                Ok(Done::Well)
            }
            Err(client::Error::Refused(refused)) => {
                explain(&refused);
                Ok(Done::Badly)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The bundle, where it is one.
    fn bundle(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let [path] = self.paths.as_slice() else { return self.no_bundle() };
        if path.is_dir() || path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
            return self.no_bundle();
        }
        let bytes = files::read(path, BUNDLE_MAX, "bundle")?;
        if let Some(key) = &self.key {
            let bundle = Unverified::read(bytes.clone()).with_context(|| path.display().to_string())?;
            bundle.signed_by(&[content::public_key(key)?])?;
        }
        Ok(Some(bytes))
    }

    fn no_bundle(&self) -> anyhow::Result<Option<Vec<u8>>> {
        ensure!(
            self.key.is_none() && !self.policy_aside,
            "--key and --policy-aside belong to a bundle, and this is none"
        );
        Ok(None)
    }
}

fn report(out: &mut impl Write, pushed: &Pushed) -> std::io::Result<()> {
    write!(out, "generation {} is in force: {} rule{}", pushed.generation, pushed.rules, plural(pushed.rules))?;
    match pushed.previous {
        Some(previous) => writeln!(out, "; `creance rollback` returns to generation {previous}")?,
        None => writeln!(out)?,
    }
    for program in &pushed.programs {
        writeln!(
            out,
            "  {:<14} {:>6} instructions, accepted by the kernel's verifier",
            program.event, program.instructions
        )?;
    }
    for unseen in &pushed.unseen {
        writeln!(out, "  NOT SEEN HERE  {unseen}")?;
    }
    let millis = |us: u64| format!("{}.{:01} ms", us / 1000, us % 1000 / 100);
    writeln!(
        out,
        "  compiled in {}, verified in {}, switched in {} \u{b5}s",
        millis(pushed.compile_us),
        millis(pushed.verify_us),
        pushed.switch_us
    )
}

/// Says who refused and why, and that nothing changed.
pub(super) fn explain(refused: &Refused) {
    let by = match refused.by {
        Refuser::Bundle => "the checks of the bundle",
        Refuser::Policy => "the policy of this host's owner",
        Refuser::Checks => "the checks of the rules",
        Refuser::Verifier => "the kernel's verifier",
        Refuser::Kernel => "the kernel",
        Refuser::Daemon => "the daemon",
    };
    say(format_args!("refused by {by}"));
    match &refused.diagnostics {
        Some(diagnostics) => check::show(diagnostics),
        None => say(&refused.message),
    }
    say(match refused.active {
        Some(active) => format!("nothing was changed: generation {active} stays in force"),
        None => "nothing was changed: no generation is in force".into(),
    });
}

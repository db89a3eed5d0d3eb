//! `creance push`: put rules in force.

use std::{io::Write, path::PathBuf, thread, time::Duration};

use anyhow::{Context, ensure};
use clap::Args;
use sensor_content::bundle::{BUNDLE_MAX, Unverified};

use super::{
    check::{self, plural},
    connection::Connection,
    done::Done,
};
use crate::{
    api::{
        protocol::{Pushed, Refused, Refuser, Request},
        status::goal,
    },
    control::client,
    daemon::generations::keeper,
    host::{files, places},
    log::say,
    rule_files,
};

/// How often the daemon is asked what became of a candidate.
const LOOK: Duration = Duration::from_millis(500);

/// Put rules in force in the running daemon; a refused push changes nothing
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Push {
    /// A bundle, or directories with rule files (*.yaml), or rule files; together they replace everything in force
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// For tests: leave checking of fields to the kernel's verifier (the daemon must run
    /// with --allow-skip-checks)
    #[arg(long)]
    skip_checks: bool,
    /// With a bundle: verify it here first, with this public key (PEM); the daemon verifies it with the keys
    /// that it trusts
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// With a bundle: set the policy's hold, window, delay, pin and approval aside for it, and the ramp that the
    /// content keys signed, until the policy file changes
    #[arg(long)]
    policy_aside: bool,
    /// Put the rules in force at once, even if the host policy asks for a shadow run first
    #[arg(long)]
    no_shadow: bool,
    /// If the rules judge in the shadow first, wait for the decision
    #[arg(long, conflicts_with = "no_shadow")]
    wait: bool,
    #[command(flatten)]
    daemon: Connection,
}

impl Push {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let (policy_aside, skip_checks, no_shadow) = (self.policy_aside, self.skip_checks, self.no_shadow);
        let request = if let Some(bundle) = self.bundle()? {
            Request::push_bundle(&bundle, policy_aside, no_shadow)
        } else {
            let sources = rule_files::read(&self.paths)?.into_iter().map(Into::into).collect();
            Request::Push { sources, skip_checks, no_shadow }
        };
        match self.daemon.open()?.pushed(&request) {
            Ok(pushed) => {
                report(out, &pushed)?;
                if self.wait && pushed.shadow.is_some() { self.decided(out, pushed.generation) } else { Ok(Done::Well) }
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
            bundle.signed_by(&[places::public_key(key)?])?;
        }
        Ok(Some(bytes))
    }

    /// Waits until it is decided what becomes of a generation in the shadow, and says it.
    fn decided(&self, out: &mut impl Write, generation: u64) -> anyhow::Result<Done> {
        let (mut daemon, mut said) = (self.daemon.open()?, None);
        loop {
            let status = daemon.status()?;
            if let Some(end) = status.last_shadow.filter(|end| end.shadow.generation == generation)
                && status.shadow.as_ref().is_none_or(|shadow| shadow.generation != generation)
            {
                write!(out, "{end}")?;
                return Ok(if end.promoted { Done::Well } else { Done::Badly });
            }
            let waits = status.shadow.and_then(|shadow| shadow.waits);
            if let Some(words) = waits.as_ref().filter(|_| waits != said) {
                say(format_args!("it has kept its limits, and stays in the shadow: {words}"));
            }
            said = waits;
            thread::sleep(LOOK);
        }
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
    let place = if pushed.shadow.is_some() { "judges in the shadow" } else { "is in force" };
    write!(out, "generation {} {place}: {} rule{}", pushed.generation, pushed.rules, plural(pushed.rules))?;
    match (pushed.previous, pushed.shadow) {
        (active, Some((seconds, events))) => writeln!(
            out,
            "; generation {} stays in force for {seconds} s and {events} events at least (`creance status`)",
            active.unwrap_or_default()
        )?,
        (Some(previous), None) => writeln!(out, "; `creance rollback` returns to {}", goal(previous))?,
        (None, None) => writeln!(out)?,
    }
    for program in &pushed.programs {
        writeln!(
            out,
            "  {:<14} {:>6} instructions, accepted by the kernel's verifier",
            program.event, program.instructions
        )?;
    }
    if pushed.transient {
        writeln!(out, "  NOT KEPT  {}", keeper::TRANSIENT)?;
    }
    for unseen in &pushed.unseen {
        writeln!(out, "  NOT SEEN HERE  {unseen}")?;
    }
    for warning in &pushed.warnings {
        writeln!(out, "  WARNING  {warning}")?;
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
        Refuser::Tests => "the bundle's own tests",
        Refuser::Host => "this host, which cannot judge it now",
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

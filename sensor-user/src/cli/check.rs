//! `creance check`: are these rules sound?

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use clap::Args;
use sensor_rules::{Diagnostics, Options, RuleSet, Source};

use super::done::Done;
use crate::rule_files;

/// Check rules without a daemon: syntax, fields, types; warn about rules that are easy to evade
#[derive(Args, Debug)]
pub struct Check {
    /// Rule files, or directories with rule files (*.yaml)
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

impl Check {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let sources = rule_files::read(&self.paths)?;
        let Some(rules) = checked(&sources, Options::default())? else { return Ok(Done::Badly) };
        let advice = sensor_rules::advice(&rules, &sources);
        for note in &advice {
            let _ = writeln!(io::stderr(), "{}\n", note.render_warning(has_colour()));
        }
        let (count, files, notes) = (rules.rules().len(), sources.len(), advice.len());
        let found = match notes {
            0 => "no problem found".to_owned(),
            _ => format!("sound, with {notes} warning{}", plural(notes)),
        };
        writeln!(out, "{count} rule{} in {files} file{}: {found}", plural(count), plural(files))?;
        Ok(Done::Well)
    }
}

/// The rules, or `None` after their problems have been shown.
///
/// # Errors
/// When the sources hold no rule at all.
pub(super) fn checked(sources: &[Source], options: Options) -> anyhow::Result<Option<RuleSet>> {
    match sensor_rules::check(sources, options) {
        Ok(rules) => {
            anyhow::ensure!(!rules.rules().is_empty(), "there is no rule in these files");
            Ok(Some(rules))
        }
        Err(diagnostics) => {
            show(&diagnostics);
            Ok(None)
        }
    }
}

/// Shows problems on standard error, in colour where that is a terminal.
pub(super) fn show(diagnostics: &Diagnostics) {
    let _ = writeln!(io::stderr(), "{}", diagnostics.render(has_colour()));
}

/// Whether standard error is a terminal whose user does not mind colours.
fn has_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// The ending of a noun of which there are `count`.
pub(super) const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

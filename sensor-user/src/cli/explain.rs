//! `creance explain`: what the compiler makes of rules.

use std::{io::Write, path::PathBuf};

use clap::Args;
use sensor_rules::{Options, explain};

use super::{
    check::{checked, show},
    done::Done,
};
use crate::rule_files;

/// Explain what the compiler makes of rules: the plan in words, the instructions, or the cost
#[derive(Args, Debug)]
pub struct Explain {
    /// Rule files, or directories with rule files (*.yaml): name all that are in force together, they share look-ups
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Show only the rule with this id; repeatable
    #[arg(long, value_name = "ID")]
    rule: Vec<String>,
    /// Print the eBPF instructions, as the verifier's log spells them
    #[arg(long)]
    asm: bool,
    /// Print what each rule costs per event, and why
    #[arg(long, conflicts_with = "asm")]
    cost: bool,
}

impl Explain {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        let sources = rule_files::read(&self.paths)?;
        let Some(rules) = checked(&sources, Options::default())? else { return Ok(Done::Badly) };
        for id in &self.rule {
            anyhow::ensure!(rules.rules().iter().any(|rule| rule.id == *id), "there is no rule `{id}` in these files");
        }
        let shown = |id: &str| self.rule.is_empty() || self.rule.iter().any(|rule| rule == id);
        let explained = if self.asm {
            explain::assembly(&rules, &shown)
        } else if self.cost {
            explain::costs(&rules).map(|costs| explain::table(&costs, &shown))
        } else {
            explain::plan(&rules, &shown)
        };
        match explained {
            Ok(text) => {
                write!(out, "{text}")?;
                Ok(Done::Well)
            }
            Err(diagnostics) => {
                show(&diagnostics);
                Ok(Done::Badly)
            }
        }
    }
}

//! `creance fields`: what conditions can name.

use std::io::Write;

use clap::Args;
use sensor_common::field::FIELDS;

use super::done::Done;
use crate::event::schema;

/// Show the fields that rules can name
#[derive(Args, Debug)]
pub struct Fields {
    /// Print docs/fields.md instead
    #[arg(long)]
    markdown: bool,
}

impl Fields {
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<Done> {
        if self.markdown {
            write!(out, "{}", schema::fields_markdown())?;
            return Ok(Done::Well);
        }
        for field in FIELDS {
            writeln!(out, "{:<20} {:<28} {}", field.name, schema::kind(field), field.doc)?;
            writeln!(out, "{:<20} on {}", "", schema::carriers(field).replace('`', ""))?;
        }
        Ok(Done::Well)
    }
}

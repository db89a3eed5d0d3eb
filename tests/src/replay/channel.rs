//! The channel files of `tests/contrast/content`: read, and translated into rules. The module of
//! `tests/contrast/channel.c` is given the same bytes.

use anyhow::{Context, Result, bail};
use sensor_common::field::{FIELDS, Kind};
use sensor_rules::Source;

use crate::rules::{self, Draft};

/// The files, oldest first. The last one is that of 19 July.
pub const FILES: [&str; 5] = [
    include_str!("../../contrast/content/1.channel"),
    include_str!("../../contrast/content/2.channel"),
    include_str!("../../contrast/content/3.channel"),
    include_str!("../../contrast/content/4.channel"),
    include_str!("../../contrast/content/5.channel"),
];

/// The template type, as the module has it.
const TEMPLATE: &str = include_str!("../../contrast/template.h");
/// Any value.
const WILDCARD: &str = "*";
/// The field that is defined and that nobody supplies.
pub const FIELD_21: &str = "field21";

/// The name of a field of the template, counted from 1.
fn field(number: u32) -> Result<&'static str> {
    let after = TEMPLATE.split(&format!("FIELD({number}, \"")).nth(1);
    after.and_then(|rest| rest.split('"').next()).with_context(|| format!("the template has no field {number}"))
}

/// A channel file as a condition: what is no wildcard, in the order of the file.
fn condition(text: &str) -> Result<String> {
    let mut criteria = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (number, criterion) = line.split_once(' ').with_context(|| format!("`{line}` is no criterion"))?;
        if criterion != WILDCARD {
            criteria.push(criterion_of(field(number.parse()?)?, criterion)?);
        }
    }
    Ok(criteria.join(" && "))
}

fn criterion_of(name: &str, criterion: &str) -> Result<String> {
    let kind = FIELDS.iter().find(|field| field.name == name).map(|field| field.kind);
    Ok(match (kind, criterion, criterion.strip_suffix('*')) {
        (Some(Kind::Text(_)), _, Some(start)) => format!("{name}.startsWith('{start}')"),
        (Some(Kind::Text(_)), text, None) => format!("{name} == '{text}'"),
        (Some(Kind::Bool), "1", _) => name.to_owned(),
        (Some(Kind::Bool), "0", _) => format!("!{name}"),
        (Some(Kind::U32 | Kind::U64) | None, number, None) => format!("{name} == {number}"),
        _ => bail!("{name} cannot be compared with {criterion}"),
    })
}

/// Rules of the files, one for each; `unchecked` are fields that our own checks are not to judge.
///
/// # Errors
/// Where a file cannot be translated.
pub fn translated(numbers: &[usize], unchecked: &[&str]) -> Result<Source> {
    let ids: Vec<_> = numbers.iter().map(|number| format!("channel-291-{number}")).collect();
    let conditions: Vec<_> = numbers.iter().map(|number| condition(FILES[number - 1])).collect::<Result<_>>()?;
    let drafts: Vec<_> = ids
        .iter()
        .zip(&conditions)
        .map(|(id, condition)| Draft { unchecked, ..Draft::alert(id, &["fifo.open"], condition) })
        .collect();
    Ok(rules::file("channel-291.yaml", &drafts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_files_leave_field_21_alone_and_the_fifth_asks_for_it() {
        let conditions: Vec<_> = FILES.iter().map(|text| condition(text).unwrap()).collect();
        assert_eq!(
            conditions,
            [
                "path.startsWith('/tmp/july/agent_')",
                "path.startsWith('/tmp/july/lure_') && writes",
                "path.startsWith('/tmp/july/shared_') && process.uid == 0 && owner == 1000",
                "path.startsWith('/tmp/july/drop_') && process.comm == 'helper'",
                "path.startsWith('/') && field21 == 21",
            ]
        );
    }

    #[test]
    fn the_template_names_twenty_fields_of_the_sensor_and_one_more() {
        let is_known = |number| FIELDS.iter().any(|known| known.name == field(number).unwrap());
        assert!((1..=20).all(is_known));
        assert_eq!(field(21).unwrap(), FIELD_21);
        assert!(!is_known(21) && field(22).is_err());
    }
}

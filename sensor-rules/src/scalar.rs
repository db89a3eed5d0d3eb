//! Conditions as values of YAML keys.

use crate::{
    align::Alignment,
    diagnostic::Diagnostic,
    text::Text,
    yaml::{Entry, Value},
};

/// The text of the condition that `entry` holds, and how it lies in the file; `what` names it in messages.
pub fn condition(text: &Text<'_>, entry: &Entry, what: &str) -> Result<(String, Alignment), Box<Diagnostic>> {
    no_tag(text, entry)?;
    let node = &entry.node;
    let condition = match &node.value {
        Value::Text(condition) => condition.clone(),
        Value::Bool(constant) => constant.to_string(),
        Value::Null => return Err(Box::new(text.problem(&entry.key_range, format!("{what} is empty")))),
        other => {
            let message = format!("{what} must be text, and this is {}", other.kind());
            return Err(Box::new(text.problem(&node.range, message)));
        }
    };
    let alignment = Alignment::new(text.as_str(), &node.range, &condition);
    Ok((condition, alignment))
}

/// In YAML a plain value that begins with `!` or `&` is a tag or an anchor, and would silently lose its first word.
fn no_tag(text: &Text<'_>, entry: &Entry) -> Result<(), Box<Diagnostic>> {
    let behind = text.as_str().get(entry.key_range.end..).unwrap_or_default();
    let Some((_, value)) = behind.split_once(':') else { return Ok(()) };
    let value = value.trim_start_matches([' ', '\t']);
    let what = match value.chars().next() {
        Some('!') => "tag",
        Some('&') => "anchor",
        _ => return Ok(()),
    };
    let start = entry.key_range.end + behind.len() - value.len();
    let length = value.find(char::is_whitespace).unwrap_or(value.len());
    let message = format!("YAML takes this for a {what}, not for a part of the condition");
    let help = Some("put the whole condition in quotes".to_owned());
    Err(Box::new(Diagnostic { help, ..text.problem(&(start..start + length), message) }))
}

//! Conditions as values of YAML keys.

use crate::{
    align::Alignment,
    condition::comments,
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
    no_swallowed_line(text, &condition, &alignment)?;
    Ok((condition, alignment))
}

/// A comment ends with its line, and in YAML's plain, quoted and folded styles lines are joined: it would
/// silently take with it all that follows.
fn no_swallowed_line(text: &Text<'_>, condition: &str, alignment: &Alignment) -> Result<(), Box<Diagnostic>> {
    for comment in comments(condition) {
        // A last line that is blank is joined, too, and nothing is lost.
        let words = condition.get(comment.clone()).unwrap_or_default().trim_end();
        let comment = comment.start..comment.start + words.len();
        let place = alignment.range(&comment);
        let source = text.as_str().get(place.clone()).unwrap_or_default();
        let Some((line, _)) = source.split_once('\n') else { continue };
        let message = "YAML joins these lines, so this comment swallows the lines below it";
        let help = Some("put the condition in a block that keeps its lines: `|` instead of `>` or quotes".to_owned());
        let first = place.start..place.start + line.len();
        return Err(Box::new(Diagnostic { help, ..text.problem(&first, message) }));
    }
    Ok(())
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

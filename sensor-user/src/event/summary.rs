//! An event on one line for people.

use sensor_content::printable;
use serde_json::Value;

/// The event that `line` (see `docs/events.md`) describes, for a terminal: time, outcome, what, who, on what,
/// why. `None` where `line` is no event.
///
/// ```text
/// 12:03:04.123 BLOCK denied  fifo.open  sh[812] uid 0 (parent bash[790])  /tmp/f  · Shell reads its commands from a FIFO (shell-from-fifo, high)
/// ```
pub fn summary(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
    let number = |pointer: &str| event.pointer(pointer).and_then(Value::as_u64).map_or("-".into(), |n| n.to_string());
    let time = text("/time").split_once('T')?.1.trim_end_matches('Z').get(..12).unwrap_or("-").to_owned();
    let mut parts = vec![
        time,
        format!("{:<5} {:<13}", text("/action").to_uppercase(), text("/outcome")),
        format!("{:<12}", text("/event")),
        format!("{}[{}] uid {}", text("/process/comm"), number("/process/pid"), number("/process/uid")),
        format!("(parent {}[{}])", text("/parent/comm"), number("/parent/pid")),
    ];
    if let Some(path) = event.get("path").and_then(Value::as_str) {
        parts.push(path.to_owned());
    }
    if let Some(payload) = event.get("payload").and_then(Value::as_str) {
        parts.push(format!("{:?}", shorten(payload)));
    }
    for rule in event.get("rules")?.as_array()? {
        parts.push(match (rule["title"].as_str(), rule["id"].as_str(), rule["severity"].as_str()) {
            (Some(title), Some(id), Some(severity)) => format!("\u{b7} {title} ({id}, {severity})"),
            _ => format!("\u{b7} rule number {} of a forgotten generation", rule["number"]),
        });
    }
    // What a process wrote must not steer the reader's terminal, nor deceive the reader.
    Some(printable::escaped(&parts.join(" ")))
}

/// The beginning of a payload.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 48;
    let mut beginning: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        beginning.push('\u{2026}');
    }
    beginning
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_who_did_what_and_why() {
        let line = r#"{"time":"2026-11-22T12:03:04.123456789Z","event":"fifo.open","action":"block","outcome":"denied",
            "process":{"comm":"sh","pid":812,"uid":0},"parent":{"comm":"bash","pid":790},"path":"/tmp/f\u001b[2J\u202egpj",
            "rules":[{"number":0,"id":"shell-from-fifo","title":"Shell on a FIFO","severity":"high"},{"number":3}]}"#;
        let text = summary(line).unwrap();
        for part in [
            "12:03:04.123 ",
            "BLOCK denied",
            "sh[812] uid 0",
            "(parent bash[790])",
            "Shell on a FIFO (shell-from-fifo, high)",
            "rule number 3",
            r"/tmp/f\u{1b}[2J\u{202e}gpj",
        ] {
            assert!(text.contains(part), "{part:?} is missing in {text:?}");
        }
        assert!(text.chars().all(printable::is_plain), "a process can steer the terminal: {text:?}");
    }

    #[test]
    fn what_is_no_event_is_none() {
        assert_eq!(summary("{}"), None);
        assert_eq!(summary("not json"), None);
    }
}

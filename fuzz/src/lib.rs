//! What libFuzzer feeds to the parsers and the compiler. Each target takes any bytes, and must neither crash,
//! hang nor take more memory than `cargo xtask fuzz parsers` allows.

use sensor_common::event::Mode;
use sensor_rules::{Options, RuleSet, Source, Target, check, compile, explain};

/// Most conditions that are compiled together.
const LINES_MAX: usize = 16;

/// A rule file, as bytes from anywhere.
pub fn rule_file(bytes: &[u8]) {
    let source = Source { name: "fuzzed.yaml".to_owned(), text: bytes.to_vec() };
    match check(&[source], Options::default()) {
        // Its words are made from the file, with carets below it: as much work as reading it.
        Err(problems) => assert!(!problems.render(false).is_empty()),
        Ok(rules) => assert!(!rules.rules().is_empty()),
    }
}

/// One condition in a sound rule file.
pub fn condition(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        rule_file(file([text]).as_bytes());
    }
}

/// Conditions, one a line: those that pass the checks go through the whole compiler, together. What comes of
/// them is explained for some inputs only, for that compiles them three times more.
pub fn compiler(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines: Vec<_> = text.lines().take(LINES_MAX).collect();
    let together = checked(&file(lines.iter().copied()));
    let Some(rules) = together.or_else(|| {
        lines.retain(|line| checked(&file([*line])).is_some());
        (!lines.is_empty()).then(|| checked(&file(lines)).expect("each of the rules is sound"))
    }) else {
        return;
    };
    for target in [Target::Hook(Mode::Lsm), Target::SocketFilter] {
        match compile(&rules, target) {
            Ok(objects) => assert!(objects.iter().all(|object| !object.programs.is_empty())),
            Err(problems) => assert!(!problems.0.is_empty()),
        }
    }
    if bytes.len() % 4 == 0
        && let Ok(listing) = explain::assembly(&rules, &|_| true)
    {
        assert!(listing.contains("rules_fifo_open"));
        assert!(explain::plan(&rules, &|_| true).is_ok() && explain::costs(&rules).is_ok());
    }
}

/// A line on the control socket, from either end, and a record from the ring buffer.
pub fn protocol(bytes: &[u8]) {
    use sensor_user::{
        api::protocol::{Reply, Request},
        event::{Clock, Report},
    };
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        let line = serde_json::to_vec(&request).expect("what was read can be written");
        serde_json::from_slice::<Request>(&line).expect("what was written can be read");
    }
    if let Ok(reply) = serde_json::from_slice::<Reply>(bytes) {
        serde_json::to_vec(&reply).expect("what was read can be written");
    }
    // A short input is a record that is zero behind it.
    let mut padded = vec![0; size_of::<sensor_common::record::Record>().max(bytes.len())];
    padded[..bytes.len()].copy_from_slice(bytes);
    let record = sensor_common::record::Record::from_bytes(&padded).expect("there are enough bytes");
    if let Ok(report) = Report::new(&record, None, 1, Clock::now()) {
        let line = report.to_line();
        assert!(!line.contains('\n') && serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
    }
}

fn checked(text: &str) -> Option<RuleSet> {
    let source = Source { name: "fuzzed.yaml".to_owned(), text: text.as_bytes().to_vec() };
    check(&[source], Options::default()).ok()
}

/// A rule file with a rule for each condition, each in a block of its own.
fn file<'a>(conditions: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = "rules:\n".to_owned();
    for (number, condition) in conditions.into_iter().enumerate() {
        let block = condition.replace('\n', "\n    ");
        text +=
            &format!("- id: r{number}\n  title: x\n  severity: low\n  on: fifo.open\n  condition: |2\n    {block}\n");
    }
    text
}

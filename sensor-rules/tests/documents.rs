//! The rules that the documents show are rules: accepted, and right about their own tests.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use sensor_rules::{Options, Source, check, selftest};

/// The fenced blocks of a document that are rule files, with the line on which each starts.
fn rule_files(document: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line == "```yaml" {
            let block: String =
                lines.by_ref().map_while(|(_, line)| (line != "```").then(|| format!("{line}\n"))).collect();
            if block.starts_with("rules:") {
                found.push((number + 2, block));
            }
        }
    }
    found
}

#[test]
fn rules_in_the_documents_hold() {
    for name in ["README.md", "docs/language.md"] {
        let document = std::fs::read_to_string(format!("../{name}")).unwrap();
        let files = rule_files(&document);
        assert!(!files.is_empty(), "{name} shows no rule file");
        for (line, text) in files {
            let source = Source { name: format!("{name}, from line {line}"), text: text.into_bytes() };
            let rules = check(&[source], Options::default()).unwrap_or_else(|problems| panic!("{problems}"));
            assert!(rules.rules().iter().all(|rule| !rule.examples.is_empty()), "a rule in {name} has no test");
            selftest::run(&rules).all_right().unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")));
        }
    }
}

//! What other tools make of a rule file, and what YAML makes of one.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use sensor_rules::{Diagnostic, Options, Source, check};

fn source(text: &str) -> Source {
    Source { name: "x.yaml".into(), text: text.as_bytes().to_vec() }
}

fn problems(text: &str) -> Vec<Diagnostic> {
    check(&[source(text)], Options::default()).unwrap_err().0
}

const RULE: &str = "rules:\n- id: x\n  title: x\n  severity: low\n  on: fifo.open\n  condition: reads\n";

#[test]
fn on_that_a_tool_wrote_back_as_a_boolean_is_explained() {
    for key in ["true", "True"] {
        let found = problems(&RULE.replace("  on:", &format!("  {key}:")).replace("reads", "pth == 'x'"));
        // What is behind it is looked at all the same.
        let messages: Vec<_> = found.iter().map(|problem| problem.message.as_str()).collect();
        let expected = [
            format!("`{key}` stands where `on` should"),
            "no field `pth` on fifo.open; did you mean `path`?".to_owned(),
        ];
        assert_eq!(messages, expected);
        assert_eq!((found[0].place.line, found[0].place.column), (5, 3));
        assert!(found[0].help.as_deref().unwrap().contains("write `on:`"));
    }
    let after = format!("{RULE}  after: {{true: process.exec, condition: 'true', by: tree, within: 1s}}\n");
    let found = problems(&after);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].message, "`true` stands where `on` should");
    assert!(check(&[source(&RULE.replace("  on:", "  \"on\":"))], Options::default()).is_ok());
}

#[test]
fn several_documents_in_a_file_are_refused_in_plain_words() {
    for (text, line) in [(format!("{RULE}---\n{RULE}"), 7), (format!("---\n{RULE}...\n---\n{RULE}"), 9)] {
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].message, "this file holds several YAML documents, and a rule file is one");
        assert!((line..=line + 1).contains(&found[0].place.line), "{}", found[0]);
        assert!(found[0].help.as_deref().unwrap().contains("below one `rules:`"));
    }
    assert!(check(&[source(&format!("---\n{RULE}"))], Options::default()).is_ok());
}

#[test]
fn a_comment_at_the_very_end_swallows_nothing() {
    for style in
        [">-\n    reads // why\n", "\"reads // why\n    \"\n", "reads // why\n\n", ">\n    reads\n\n    // why\n"]
    {
        let text = RULE.replace("reads\n", style);
        assert!(check(&[source(&text)], Options::default()).is_ok(), "{text}");
    }
}

//! Pages whose commands are run: each says what is shown.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::process::Output;

/// A command and the lines that are shown to follow.
pub struct Step {
    pub command: String,
    pub shown: Vec<String>,
}

/// The fenced blocks of this kind.
pub fn blocks<'a>(page: &'a str, kind: &str) -> Vec<&'a str> {
    let fence = format!("```{kind}\n");
    let starts = page.match_indices(&fence).map(|(at, fence)| &page[at + fence.len()..]);
    starts.map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The commands of a page, in order.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks(page, "console").into_iter().flat_map(str::lines) {
        match line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) {
            Some(command) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
            None => steps.last_mut().unwrap().shown.push(line.to_owned()),
        }
    }
    steps
}

impl Step {
    /// Whether the command said what is shown, and ended well unless one of `refusals` is shown.
    pub fn check(&self, output: Output, refusals: &[&str]) {
        let said = String::from_utf8(output.stdout).unwrap();
        let refused = self.shown.iter().any(|line| refusals.iter().any(|words| line.contains(words)));
        assert_eq!(output.status.success(), !refused, "{}:\n{said}", self.command);
        let mut lines = said.lines();
        for shown in &self.shown {
            assert!(
                shown == "…" || lines.any(|line| is_shown(line, shown)),
                "{}: `{shown}` is missing in:\n{said}",
                self.command
            );
        }
    }
}

/// Whether `line` is what was shown, where `…` stands for anything.
fn is_shown(line: &str, shown: &str) -> bool {
    let mut rest = line;
    for (index, part) in shown.split('…').enumerate() {
        match rest.find(part) {
            Some(0) if index == 0 => rest = &rest[part.len()..],
            Some(at) if index > 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    shown.ends_with('…') || rest.is_empty()
}

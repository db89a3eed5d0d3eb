//! Bad rule files are refused with their place, at the command line and by the daemon, and what runs stays.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use sensor_rules::Source;

use crate::{
    refusal,
    rules::{self, Draft},
    sensor::{self, CREANCE},
    shared,
    suite::{Boot, Test},
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "input::bad_files_are_refused_with_their_place", boot: Boot::Plain, run: bad_files },
    Test { name: "input::a_directory_without_rules_is_refused", boot: Boot::Plain, run: nothing },
];

/// A file that is wrong, where, and what must be said.
struct Bad {
    name: &'static str,
    text: Vec<u8>,
    /// Beginning of `:line:column`, as far as it is ours to say; empty where the whole file is meant.
    place: &'static str,
    words: &'static str,
}

fn with_condition(condition: &str) -> Vec<u8> {
    rules::file("", &[Draft::alert("bad", &["fifo.open"], condition)]).text
}

/// Line 7 of a file of ours is the condition.
fn bad() -> Vec<Bad> {
    let same = rules::file(
        "",
        &[Draft::alert("same", &["fifo.open"], "reads"), Draft::alert("same", &["fifo.open"], "reads")],
    );
    let deep = format!("{}reads{}", "(".repeat(10_000), ")".repeat(10_000));
    let large = format!("# {}\n", "x".repeat(98)).repeat(100_000).into_bytes();
    vec![
        Bad { name: "field", text: with_condition("pth == '/tmp/f'"), place: ":8:5", words: "did you mean `path`?" },
        Bad { name: "type", text: with_condition("path == 5"), place: ":8:", words: "int" },
        Bad { name: "function", text: with_condition("path.startWith('/tmp')"), place: ":8:", words: "startsWith" },
        Bad { name: "unsupported", text: with_condition("[1, 2].all(x, x > 0)"), place: ":8:", words: "all" },
        Bad { name: "carried", text: with_condition("payload == 'x'"), place: ":8:5", words: "payload" },
        Bad { name: "duplicate", text: same.text, place: ":9:", words: "same" },
        Bad { name: "yaml", text: b"rules:\n- id: [unclosed\n".to_vec(), place: ":", words: "YAML" },
        Bad { name: "utf8", text: b"rules:\n- id: \xff\n".to_vec(), place: ":2:7", words: "UTF-8" },
        Bad { name: "nested", text: with_condition(&deep), place: ":8:", words: "" },
        Bad { name: "large", text: large, place: ":10382:", words: "at most" },
    ]
}

fn bad_files() -> Result<()> {
    let good = Draft::alert("watches", &["fifo.create"], "path.startsWith('/tmp/watched')");
    let sensor = shared::sensor(vec![rules::file("good.yaml", &[good])])?;
    for Bad { name, text, place, words } in bad() {
        let file = format!("{name}.yaml");
        let sources = vec![Source { name: file.clone(), text }];
        let directory = sensor::write(&sources)?;
        let path = directory.join(&file).to_string_lossy().into_owned();
        for arguments in [["check", path.as_str()], ["push", &directory.to_string_lossy()]] {
            let output = creance(&arguments)?;
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            let start: String = said.chars().take(2000).collect();
            ensure!(output.status.code() == Some(1), "{arguments:?} ended with {}: {start}", output.status);
            let at = format!("{file}{place}");
            ensure!(said.contains(&at), "{arguments:?} does not name {at}: {start}");
            ensure!(said.contains(words), "{arguments:?} does not say {words:?}: {start}");
            ensure!(said.len() < 20_000, "{arguments:?} says {} bytes", said.len());
        }
        refusal::unchanged(&sensor, sources, false).with_context(|| file)?;
    }
    shared::park(sensor);
    Ok(())
}

fn nothing() -> Result<()> {
    let directory = sensor::write(&[])?;
    for command in ["check", "push"] {
        let output = creance(&[command, &directory.to_string_lossy()])?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1) && !words.trim().is_empty(), "{command}: {}, {words:?}", output.status);
    }
    Ok(())
}

fn creance(arguments: &[&str]) -> Result<Output> {
    Command::new(CREANCE).args(arguments).output().context("cannot start creance")
}

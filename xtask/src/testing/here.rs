//! What is tested on this machine: style, and the crates' own unit and property tests.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result};

use super::tally::Tally;
use crate::{build, command, project};

/// How much of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything, as it ships.
    All,
    /// What takes seconds: unit tests and the rules of the source tree, built without optimisation.
    Quick,
}

impl Scope {
    /// Of cargo: which build.
    fn profile(self) -> &'static str {
        match self {
            Self::All => "--release",
            Self::Quick => "--profile=dev",
        }
    }

    /// Of `cargo test`: which programs.
    fn programs(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Quick => "--lib --bins --test tree",
        }
    }
}

/// Formatting, and clippy without a warning, of user space and of the kernel side: one test each.
pub fn style(tally: &mut Tally, scope: Scope) -> Result<()> {
    let format = "cargo fmt --all --check && cd sensor-ebpf && cargo fmt --check && cd ../fuzz && cargo fmt --check";
    check(tally, "here format", shell(format))?;
    let clippy = format!("cargo clippy --quiet {} --workspace --all-targets -- -D warnings", scope.profile());
    check(tally, "here clippy", shell(&clippy))?;
    check(tally, "here clippy of the kernel side", build::ebpf_clippy()?)
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(project::root());
    shell
}

fn check(tally: &mut Tally, name: &str, mut command: Command) -> Result<()> {
    let started = Instant::now();
    let output = command.output().with_context(|| format!("cannot start {}", command::shown(&command)))?;
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words);
    tally.add(name, started.elapsed(), (!output.status.success()).then_some(words.trim()));
    Ok(())
}

/// `cargo test`, with one line for each of its programs and the full words of those that fail.
pub fn units(tally: &mut Tally, scope: Scope) -> Result<()> {
    let started = Instant::now();
    let (profile, programs) = (scope.profile(), scope.programs());
    let script = format!("exec cargo test {profile} --workspace {programs} --no-fail-fast -- --show-output 2>&1");
    let mut child = shell(&script).stdout(Stdio::piped()).spawn()?;
    let mut report = Report::default();
    for line in BufReader::new(child.stdout.take().context("cargo test has no output")?).lines() {
        if let Some(line) = report.read(&line?) {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    tally.passed += report.passed;
    tally.failed += report.failed;
    tally.not_run += report.not_run;
    if !status.success() && report.failed == 0 {
        tally.add("here cargo test", started.elapsed(), Some(&report.block.join("\n")));
    }
    Ok(())
}

/// What `cargo test` has said so far.
#[derive(Default)]
struct Report {
    /// The test program whose results come next.
    program: String,
    /// What was said since it started.
    block: Vec<String>,
    passed: usize,
    failed: usize,
    not_run: usize,
}

impl Report {
    /// Takes in one line; returns what to print, if anything.
    fn read(&mut self, line: &str) -> Option<String> {
        let trimmed = line.trim();
        if let Some(program) = trimmed.strip_prefix("Running ").or_else(|| trimmed.strip_prefix("Doc-tests ")) {
            self.program = program_name(program);
            self.block.clear();
        }
        // Of tests that passed, for there is nothing that they could do here, `--show-output` shows what they said.
        if let Some(why) = trimmed.strip_prefix("not run: ") {
            self.not_run += 1;
            return Some(format!("here {} ... NOT RUN: {why}", self.program));
        }
        let Some(result) = trimmed.strip_prefix("test result: ") else {
            self.block.push(line.to_owned());
            return None;
        };
        let (passed, failed) = (count(result, "passed"), count(result, "failed"));
        self.passed += passed;
        self.failed += failed;
        let mut words = format!("here {} ... {passed} passed, {failed} failed", self.program);
        if failed > 0 {
            for line in &self.block {
                words.push_str("\n      ");
                words.push_str(line);
            }
        }
        (passed + failed > 0).then_some(words)
    }
}

/// `unittests src/lib.rs (target/release/deps/sensor_common-0123456789abcdef)` is `sensor_common`.
fn program_name(running: &str) -> String {
    let file = running.rsplit(['/', '(']).next().unwrap_or(running).trim_end_matches(')');
    file.rsplit_once('-').map_or(file, |(name, _)| name).to_owned()
}

/// The number before a word: 3 in `ok. 3 passed; 0 failed; …` for `passed`.
fn count(result: &str, word: &str) -> usize {
    let Some((before, _)) = result.split_once(&format!(" {word}")) else { return 0 };
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        let mut report = Report::default();
        assert_eq!(report.read("     Running unittests src/lib.rs (target/release/deps/sensor_common-0a1b)"), None);
        assert_eq!(report.read("test field::tests::names_are_unique ... ok"), None);
        let line = report.read("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; finished in 0.00s");
        assert_eq!(line.unwrap(), "here sensor_common ... 12 passed, 0 failed");
        let line = report.read("not run: the kernel forbids it").unwrap();
        assert_eq!(line, "here sensor_common ... NOT RUN: the kernel forbids it");
        report.read("     Running tests/golden.rs (target/release/deps/golden-77)");
        report.read("test golden ... FAILED");
        let line = report.read("test result: FAILED. 3 passed; 2 failed; 0 ignored").unwrap();
        assert!(line.contains("test golden ... FAILED"));
        assert_eq!((report.passed, report.failed, report.not_run), (15, 2, 1));
    }
}

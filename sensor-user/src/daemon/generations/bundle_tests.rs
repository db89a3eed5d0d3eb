//! A bundle's own tests, in a child process with limits: whatever its rules do to the checks, the daemon goes on.

use std::{
    io::{Read, Write},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, setrlimit};
use sensor_content::bundle::{BUNDLE_MAX, decode};
use sensor_rules::selftest;

/// The hidden command that the child runs.
pub const COMMAND: &str = "self-test";
/// Longest time, by the clock.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest output that is read, bytes.
const OUTPUT_MAX: u64 = 16 << 10;

/// The child's limits: memory and time of a processor, no byte in a file, no core.
const LIMITS: [(Resource, u64); 4] =
    [(Resource::As, 1 << 30), (Resource::Cpu, 20), (Resource::Fsize, 0), (Resource::Core, 0)];

/// Why the tests are not all right.
#[derive(Debug)]
pub enum Failure {
    /// The rules, or the tests, in the child's words.
    Wrong(String),
    /// They did not run to their end: this host is short of something, or too slow now.
    Host(anyhow::Error),
}

/// Runs the tests of the bundle with the program; how many there were.
///
/// # Errors
/// When one fails, or the child does not end well in time.
pub fn run(program: &Path, bundle: &[u8]) -> Result<usize, Failure> {
    let (status, text) = end_of_child(program, bundle).map_err(Failure::Host)?;
    // By its own limit of time, or the kernel's for want of memory.
    if status.signal() == Some(libc::SIGKILL) {
        return Err(Failure::Host(anyhow::anyhow!("the child was killed: this host is short of time or memory")));
    }
    if !status.success() {
        return Err(Failure::Wrong(if text.is_empty() { format!("the child ended with {status}") } else { text }));
    }
    text.trim().parse().context("the child did not say how many there were").map_err(Failure::Host)
}

/// How the child ended, and what it said.
fn end_of_child(program: &Path, bundle: &[u8]) -> anyhow::Result<(ExitStatus, String)> {
    let mut child = Command::new(program)
        .arg(COMMAND)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    let (mut input, output) = (child.stdin.take().context("no input")?, child.stdout.take().context("no output")?);
    let bundle = bundle.to_vec();
    // A child that does not read must not hold the daemon up.
    let writer = thread::spawn(move || input.write_all(&bundle));
    let reader = thread::spawn(move || {
        let mut text = String::new();
        output.take(OUTPUT_MAX).read_to_string(&mut text).map(|_| text)
    });
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            bail!("they did not end within {} s", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(5));
    };
    // With the child its ends of the pipes are gone.
    let _ = writer.join();
    let text = reader.join().ok().and_then(Result::ok).unwrap_or_default();
    Ok((status, text))
}

/// The child: limits itself, then reads a bundle from standard input and tries its rules; what it says, and
/// whether all is well.
pub fn child() -> (String, bool) {
    match limited() {
        Ok(count) => (count.to_string(), true),
        Err(error) => (format!("{error:#}"), false),
    }
}

fn limited() -> anyhow::Result<usize> {
    for (resource, limit) in LIMITS {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(BUNDLE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    let parts = decode(&bytes)?;
    let rules = sensor_rules::check(&parts.sources, sensor_rules::Options::default())?;
    selftest::run(&rules).all_right().map_err(|wrong| anyhow::anyhow!("{}", wrong.join("\n")))
}

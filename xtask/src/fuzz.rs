//! `cargo xtask fuzz`: random rules, records and texts, for as long as one likes.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use crate::{
    build, command, console, initramfs,
    project::{self, KernelSeries},
    proof,
    protocol::Message,
    setup,
    vm::{Clock, Failure, LSM, Machine, Root},
};

/// Longest time for all rule sets on one kernel.
const LIMIT: Duration = Duration::from_hours(6);

/// What is fuzzed.
#[derive(Subcommand)]
pub enum Fuzz {
    /// Random well-typed rules on random records: this machine's kernel (as root) against the CEL interpreter
    Rules {
        /// Pairs of rule set and record
        #[arg(long, default_value_t = 1_000_000)]
        pairs: u64,
        /// The same seed makes the same pairs
        #[arg(long, default_value_t = 4)]
        seed: u64,
        /// This kernel instead, 5.10 or 6.1, as a process of this machine (User Mode Linux)
        #[arg(long, value_name = "KERNEL")]
        uml: Option<KernelSeries>,
    },
    /// Bytes that libFuzzer finds by coverage: rule files, conditions, the whole compiler, what is said on
    /// the control socket
    Parsers {
        /// Minutes for each of them
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// Only this one of them
        #[arg(long)]
        target: Option<String>,
    },
    /// Random rule sets, and the largest: the verifier of a kernel must accept all that our checks let pass
    Accepted {
        /// The kernel of the VM, where the sensor's own hooks ask it
        #[arg(long, default_value = "6.12")]
        kernel: KernelSeries,
        /// This machine's kernel instead (as root): the same code as socket filters
        #[arg(long, conflicts_with = "kernel")]
        here: bool,
        /// This kernel as a process of this machine (User Mode Linux), which is not emulated: the same code
        /// as socket filters
        #[arg(long, value_name = "KERNEL", conflicts_with_all = ["kernel", "here"])]
        uml: Option<KernelSeries>,
        /// Leave the largest rule sets out, which take an emulated verifier long
        #[arg(long)]
        random_only: bool,
        /// Random rule sets
        #[arg(long, default_value_t = 10_000)]
        sets: u64,
        /// The same seed makes the same rule sets
        #[arg(long, default_value_t = 4)]
        seed: u64,
    },
}

/// Fuzzes.
///
/// # Errors
/// Where it cannot be started.
pub fn run(what: &Fuzz) -> Result<ExitCode> {
    match what {
        Fuzz::Rules { uml: Some(kernel), .. } if !runs_chains(*kernel) => {
            bail!(
                "Linux {kernel} as a process interprets programs, and gives one that is reached by a tail call the stack of the one \
                 before, which may be too small (do_misc_fixups forgets that it had reserved more): take 5.10 or 6.1"
            )
        }
        Fuzz::Rules { pairs, seed, uml } => {
            prove(*uml, "fuzz", &[format!("--pairs={pairs}"), format!("--seed={seed}")])
        }
        Fuzz::Parsers { minutes, target } => parsers(*minutes, target.as_deref()),
        Fuzz::Accepted { kernel, here: false, uml: None, random_only, sets, seed } => {
            accepted(*kernel, *random_only, *sets, *seed)
        }
        Fuzz::Accepted { uml, random_only, sets, seed, .. } => {
            let mut options = vec![format!("--sets={sets}"), format!("--seed={seed}")];
            options.extend(random_only.then(|| "--random-only".to_owned()));
            prove(*uml, "accepted", &options)
        }
    }
}

/// Whether its interpreter, which no VM needs and no host of today, gives each program of a chain the stack
/// that it asks for.
fn runs_chains(kernel: KernelSeries) -> bool {
    matches!(kernel, KernelSeries::V5_10 | KernelSeries::V6_1)
}

/// Under this machine's kernel, or under another one that runs as a process.
fn prove(kernel: Option<KernelSeries>, task: &str, options: &[String]) -> Result<ExitCode> {
    let Some(kernel) = kernel else { return proof::run(task, options) };
    match proof::run_under(kernel, task, options, |line| println!("{kernel} {line}"))? {
        Some(true) => Ok(ExitCode::SUCCESS),
        Some(false) => Ok(ExitCode::FAILURE),
        None => bail!("Debian has no linux-source-{kernel} (any more); take another kernel"),
    }
}

fn accepted(kernel: KernelSeries, random_only: bool, sets: u64, seed: u64) -> Result<ExitCode> {
    let initramfs = initramfs::ready(kernel)?;
    let random_only = u8::from(random_only);
    let arguments =
        format!("{LSM} creance.job=accepted creance.sets={sets} creance.seed={seed} creance.random_only={random_only}");
    let machine = Machine {
        kernel,
        name: "accepted",
        arguments,
        root: Root::Initramfs(&initramfs),
        clock: Clock::Real,
        limit: LIMIT,
    };
    let ending = machine.work(|message| {
        if let Message::Say { text } = message {
            println!("{kernel} {text}");
        }
    })?;
    if let Err(Failure { why, tail }) = ending {
        println!("{kernel} FAILED: {why}\n{}", console::tail(&tail, 20));
        return Ok(ExitCode::FAILURE);
    }
    println!("{kernel} everything was accepted");
    Ok(ExitCode::SUCCESS)
}

/// The targets, as the programs of `fuzz/`.
const TARGETS: [&str; 4] = ["rule_file", "condition", "compiler", "protocol"];
/// What tells libFuzzer where a run has been: compiler options that need no nightly.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// A run that takes longer hangs, one that takes more fails.
const LIMITS: [&str; 3] = ["-timeout=10", "-rss_limit_mb=512", "-malloc_limit_mb=256"];

/// Each target for some minutes: what was found before, and what is shipped, to begin with.
fn parsers(minutes: u64, only: Option<&str>) -> Result<ExitCode> {
    let targets: Vec<_> = TARGETS.into_iter().filter(|target| only.is_none_or(|only| only == *target)).collect();
    if targets.is_empty() {
        bail!("no such target; there are {}", TARGETS.join(", "));
    }
    setup::compiler()?;
    build::ebpf()?;
    let (directory, built) = (project::root().join("fuzz"), project::target("fuzz"));
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--release"]).current_dir(&directory);
    cargo.env("CARGO_TARGET_DIR", &built).env("RUSTFLAGS", COVERAGE);
    command::run(&mut cargo).context("the fuzzed programs do not build")?;
    let mut failed = Vec::new();
    for target in targets {
        let (corpus, crashes) = (built.join("corpus").join(target), built.join("crashes").join(target));
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&crashes)?;
        seed(target, &corpus)?;
        println!("==> {target}: {minutes} minutes");
        let mut run = Command::new(built.join(project::TARGET).join("release").join(target));
        run.arg(&corpus).args(LIMITS).arg(format!("-max_total_time={}", 60 * minutes)).arg("-print_final_stats=1");
        run.arg(format!("-artifact_prefix={}/", crashes.display()))
            .args(["-verbosity=0", "-print_funcs=0"])
            .arg("-max_len=16384");
        if !run.status()?.success() {
            failed.push(format!("{target}: see {}", crashes.display()));
        }
    }
    println!(
        "{}",
        if failed.is_empty() { "no crash, no hang, no run over 512 MiB".to_owned() } else { failed.join("\n") }
    );
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Puts what a target starts from into its corpus.
fn seed(target: &str, corpus: &Path) -> Result<()> {
    let rules = fs::read_dir(project::root().join("rules"))?.collect::<Result<Vec<_>, _>>()?;
    for file in rules.iter().map(fs::DirEntry::path).filter(|path| path.extension().is_some_and(|end| end == "yaml")) {
        let text = fs::read_to_string(&file)?;
        let conditions: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("condition: ")).collect();
        let name = file.file_stem().unwrap_or_default();
        match target {
            "rule_file" => fs::write(corpus.join(name), &text)?,
            "compiler" => fs::write(corpus.join(name), conditions.join("\n"))?,
            "condition" => {
                for (number, condition) in conditions.iter().enumerate() {
                    fs::write(corpus.join(format!("{}-{number}", name.to_string_lossy())), condition)?;
                }
            }
            _ => fs::write(corpus.join("status"), r#"{"command":"push","sources":[],"skip_checks":false}"#)?,
        }
    }
    Ok(())
}

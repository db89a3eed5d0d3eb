//! `cargo xtask fuzz rules`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};
use clap::Args;
use sensor_proof::compare::{compare, may_load};

/// Random well-typed rules on random records: the kernel's verdict against the CEL interpreter's
#[derive(Args)]
pub struct Fuzz {
    /// Pairs of rule set and record
    #[arg(long, default_value_t = 1_000_000)]
    pairs: u64,
    /// The same seed makes the same pairs
    #[arg(long, default_value_t = 4)]
    seed: u64,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Where differences are written, two files each
    #[arg(long, default_value = "sensor-user/tests/regressions")]
    regressions: PathBuf,
}

impl Fuzz {
    pub fn run(&self) -> Result<ExitCode> {
        ensure!(may_load()?, "this process has no right to load eBPF programs: run this as root");
        let compared = compare(self.seed, self.pairs, self.threads)?;
        println!(
            "seed {}: {} pairs of rule set and record, {} with a match; {} rule sets with {} rules; {:.1} s on {} threads",
            self.seed,
            compared.pairs,
            compared.matched,
            compared.sets,
            compared.rules,
            compared.time.as_secs_f64(),
            self.threads
        );
        for (name, case) in &compared.differences {
            println!("DIFFERENCE {name}");
            // Told before it is kept: under another kernel the files of this machine are read-only.
            match case.difference() {
                Ok(Some(difference)) => println!("{difference:#?}\n{}", case.rules),
                Ok(None) => println!("it does not differ a second time\n{}", case.rules),
                Err(error) => println!("{error:#}"),
            }
            match case.write(&self.regressions, name) {
                Ok(()) => println!("{name} is in {}", self.regressions.display()),
                Err(error) => println!("{name} is not kept: {error:#}; the same seed makes it again"),
            }
        }
        println!("{} differences", compared.differences.len());
        Ok(if compared.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

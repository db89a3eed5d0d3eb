//! The count of tests, and the line of each.

use std::{fmt, process::ExitCode, time::Duration};

/// What has been counted so far.
#[derive(Default)]
pub struct Tally {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that do not apply on a kernel.
    pub not_here: usize,
    /// Tests that this machine has no right or no program for: they say so, and pass.
    pub not_run: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed", self.passed, self.failed)?;
        for (count, what) in [(self.not_here, "not applicable"), (self.not_run, "NOT RUN")] {
            if count > 0 {
                write!(out, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

impl Tally {
    /// Counts one test and prints its line.
    pub fn add(&mut self, name: &str, time: Duration, failure: Option<&str>) {
        let seconds = time.as_secs_f64();
        if let Some(why) = failure {
            self.failed += 1;
            println!("{name} ... FAILED ({seconds:.1} s)");
            why.lines().for_each(|line| println!("      {line}"));
        } else {
            self.passed += 1;
            println!("{name} ... ok ({seconds:.1} s)");
        }
    }

    /// Counts one test that does not apply, and prints its line.
    pub fn not_here(&mut self, name: &str, why: &str) {
        self.not_here += 1;
        println!("{name} ... does not apply on this kernel: {why}");
    }

    /// The exit code that says so: a failure too where nothing ran.
    pub fn code(&self) -> ExitCode {
        if self.failed == 0 && self.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

//! `cargo xtask`: sets up, builds, tests in VMs, demonstrates and measures Creance.
//!
//! | Command | Module |
//! |---|---|
//! | `setup` | [`setup`]: what a fresh machine lacks |
//! | `build` | [`build`]: the eBPF object, then the static user-space binaries |
//! | `check` | [`testing::quick`]: format, clippy, unit tests |
//! | `test` | [`testing`]: everything, here and in VMs |
//! | `run` | [`run`]: the played session |
//! | `demo` | [`demo`]: Channel File 291, replayed |
//! | `dist` | [`dist`]: packages |
//! | `faults` | [`faults`]: bad generations on a Debian host in a VM ([`debian`]) |
//! | `bench` | [`bench`]: guest instructions per operation; by [`proof`] what rules cost |
//! | `fuzz` | [`fuzz`]: random rules, records and texts, also under other kernels ([`uml`]) |
//! | `simulate` | [`simulate`]: a release meets millions of virtual hosts |
//! | `fleet` | [`fleet`]: releases go out to hosts on loopback, and to VMs |
//! | `page` | [`page`]: the page of a roll-out in a browser |
//! | `doctor` | what this host's kernel offers |

mod accel;
mod bench;
mod build;
mod command;
mod console;
mod cpio;
mod debian;
mod demo;
mod dist;
mod faults;
mod fleet;
mod fuzz;
mod initramfs;
mod page;
mod project;
mod proof;
#[path = "../../tests/src/protocol.rs"]
#[allow(dead_code, reason = "the VM's end uses what this one does not")]
mod protocol;
mod run;
mod setup;
mod simulate;
mod testing;
mod uml;
mod vm;

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{project::KernelSeries, testing::Document};

/// Sets up, builds, tests in VMs, demonstrates and measures Creance.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what builds and VMs need, if it is missing
    Setup,
    /// Build the eBPF object and the static binaries
    Build,
    /// Check format, clippy and unit tests, without a VM: two minutes at most once everything is built
    Check,
    /// Run every test: here, and in VMs on Linux 6.1 and 6.12
    Test {
        /// Run only in VMs with this kernel: 5.10, 6.1, 6.12, 6.18 or 7.3
        #[arg(long)]
        kernel: Vec<KernelSeries>,
        /// Run in VMs with each of these kernels, including slow tests and the package; no unit tests
        #[arg(long, conflicts_with = "kernel")]
        all_kernels: bool,
        /// Run only the tests that examine a kernel, and write their results into docs/kernels.md and
        /// docs/evasion.md (if a filter leaves out tests of one page: only into the other)
        #[arg(long)]
        document: bool,
        /// Run only VM tests whose name contains this word, or one of several words separated by commas
        filter: Option<String>,
    },
    /// Play a session in a VM: benign work, a reverse shell, a hot push, a bad rule
    Run {
        /// The VM's kernel
        #[arg(long, default_value = "6.12")]
        kernel: KernelSeries,
        /// Open a shell in the VM instead, with the sensor running
        #[arg(long)]
        shell: bool,
    },
    /// Replay Channel File 291: an interpreter in the kernel, and Creance
    Demo {
        #[command(subcommand)]
        what: Demo,
    },
    /// Build the Debian package and the RPM package
    Dist,
    /// Let generations take down a Debian host in a VM, each in its own way, and print how it recovers
    Faults {
        /// The VM's kernel
        #[arg(long, default_value = "6.12")]
        kernel: KernelSeries,
        /// Only rows of the table that contain one of these, such as `hangs` or `kernel-at-boot`
        rows: Vec<String>,
    },
    /// Measure
    Bench {
        #[command(subcommand)]
        what: Measure,
    },
    /// Fuzz with random rules, records and texts
    Fuzz {
        #[command(subcommand)]
        what: fuzz::Fuzz,
    },
    /// Send a good release and a bad one to a fleet on loopback: the publisher's commands, nginx, Prometheus,
    /// and daemons without a kernel
    Fleet {
        /// How many hosts
        #[arg(long, default_value_t = 50)]
        hosts: usize,
        /// How many VMs with real daemons beside them
        #[arg(long, default_value_t = 0)]
        vms: usize,
    },
    /// Send a release, good or bad, to millions of virtual hosts, by our staged plans and by others
    Simulate(simulate::Arguments),
    /// Look at the page of `creance rollout status --html` in a real browser
    Page {
        /// Keep what the browser shows in this directory
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
    /// Show what this host's kernel offers to the sensor
    Doctor,
}

#[derive(Subcommand)]
enum Demo {
    /// 19 July 2024: the fifth file takes one kernel down, and is refused by the other
    #[command(name = "291")]
    July {
        /// The VMs' kernel
        #[arg(long, default_value = "6.12")]
        kernel: KernelSeries,
        /// Skip the VM in which the kernel goes down
        #[arg(long)]
        quick: bool,
    },
}

#[derive(Subcommand)]
enum Measure {
    /// Guest instructions per operation, without the sensor and with it
    Overhead(bench::Overhead),
    /// Nanoseconds per event for up to 10,000 rules, run by this machine's kernel (as root)
    Rules {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    match perform(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    match task {
        Task::Setup => setup::everything().map(|()| ExitCode::SUCCESS),
        Task::Build => {
            setup::compiler()?;
            build::everything().map(|()| ExitCode::SUCCESS)
        }
        Task::Check => testing::quick(),
        Task::Test { kernel, all_kernels, document, filter } => {
            let kernels = if all_kernels { KernelSeries::ALL } else { &kernel };
            let how = if document || all_kernels { Document::Write } else { Document::Compare };
            let filter = filter.or_else(|| document.then(testing::finders));
            testing::everything(kernels, filter.as_deref(), how)
        }
        Task::Run { kernel, shell: false } => run::session(kernel),
        Task::Run { kernel, shell: true } => run::shell(kernel),
        Task::Bench { what: Measure::Overhead(overhead) } => overhead.run(),
        Task::Bench { what: Measure::Rules { json } } => {
            proof::run("bench", json.then(|| "--json".to_owned()).as_slice())
        }
        Task::Demo { what: Demo::July { kernel, quick } } => demo::run(kernel, quick),
        Task::Dist => dist::run(),
        Task::Faults { kernel, rows } => faults::table(kernel, &rows),
        Task::Fuzz { what } => fuzz::run(&what),
        Task::Fleet { hosts, vms } => fleet::run(hosts, vms),
        Task::Simulate(arguments) => simulate::run(&arguments),
        Task::Page { keep } => page::look(keep.as_deref()),
        Task::Doctor => {
            setup::compiler()?;
            build::everything()?;
            command::ends(Command::new(project::binary("creance")).arg("doctor"))
        }
    }
}

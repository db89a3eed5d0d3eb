//! Process 1 of a VM; started by hand, it lists the tests.

use std::{env, process, process::ExitCode};

use creance_tests::{init, job, suite, work};

fn main() -> ExitCode {
    if process::id() == 1 {
        init::run();
    }
    // The program that tests start to do nothing, whatever it is called with.
    if env::current_exe().is_ok_and(|path| path.ends_with("idle")) {
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => {
            suite::list();
            ExitCode::SUCCESS
        }
        ["job"] => job::run(),
        ["work", role @ ..] => match work::play(role) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("vm-init work {role:?}: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("vm-init is process 1 of the VMs that `cargo xtask` boots; `vm-init list` lists the tests");
            ExitCode::FAILURE
        }
    }
}

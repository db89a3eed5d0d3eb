//! Process 1 of a VM; started by hand, it lists the tests.

use std::{env, process, process::ExitCode};

use creance_tests::{debian, init, job, report, roles, room, shared, suite};

fn main() -> ExitCode {
    if process::id() == 1 {
        init::run();
    }
    // The program that tests start to do nothing, whatever it is called with.
    let named = |name| env::current_exe().is_ok_and(|path| path.ends_with(name));
    if named("idle") {
        return ExitCode::SUCCESS;
    }
    // Where the tests run without a VM, this program is also the one that is tested.
    if named("creance") {
        return sensor_user::cli::main();
    }
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => {
            suite::list();
            ExitCode::SUCCESS
        }
        ["job"] => job::run(),
        ["debian"] => debian::run(),
        ["make-room", directory, only @ ..] => told("the room", room::make(directory.as_ref(), only)),
        ["room", only @ ..] => told("the room", room::live(only).and_then(ended_well)),
        ["suite", boot, only @ ..] => {
            report::to_stdout();
            suite::run(boot, only.first().copied());
            told("the last daemon", shared::stop())
        }
        ["work", role @ ..] => told(&format!("work {role:?}"), roles::play(role)),
        _ => {
            eprintln!("vm-init is process 1 of the VMs that `cargo xtask` boots; `vm-init list` lists the tests");
            ExitCode::FAILURE
        }
    }
}

/// A suite that did not get to its end has failed, whatever it had said until then.
fn ended_well(status: std::process::ExitStatus) -> anyhow::Result<()> {
    anyhow::ensure!(status.success(), "the suite ended with {status}");
    Ok(())
}

/// The exit code; an error is told.
fn told(what: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vm-init, {what}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

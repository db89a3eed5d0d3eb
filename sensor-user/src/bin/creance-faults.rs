//! `creance` with faults on purpose: see [`sensor_user::daemon::fault`].

use std::process::ExitCode;

fn main() -> ExitCode {
    sensor_user::cli::main()
}

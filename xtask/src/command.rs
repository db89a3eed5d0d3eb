//! Running other programs, with errors that say what was run and what it said.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};

/// Runs to the end, output to the terminal.
///
/// # Errors
/// Where the program cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs to the end, output to the terminal, where a failure needs no words of ours: the exit code to end with.
///
/// # Errors
/// Where the program cannot be started.
pub fn ends(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    Ok(code(status))
}

/// How we end where another program ended so.
pub fn code(status: ExitStatus) -> ExitCode {
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs to the end and returns what was printed; what it says on stderr comes with the error only.
///
/// # Errors
/// Where the program cannot be started or does not succeed.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", shown(command), output.status, words.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command line as one would type it.
pub fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy()));
    words.join(" ")
}

/// The program of this name on `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// A command without the variables by which cargo and rustup tell us which compiler started *us*: another
/// compiler is to be run.
pub fn fresh(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text.starts_with("CARGO") && text != "CARGO_HOME" && !text.starts_with("CARGO_HTTP");
        if ours || text.starts_with("RUSTUP_TOOLCHAIN") || text.starts_with("RUSTC") || text == "RUSTFLAGS" {
            command.env_remove(&name);
        }
    }
    command
}

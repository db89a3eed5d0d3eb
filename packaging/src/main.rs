//! Writes man pages and shell completions, for packages: `creance-pages DIRECTORY`.

use std::{env, fs, path::PathBuf};

use anyhow::Context;
use clap_complete::Shell;

fn main() -> anyhow::Result<()> {
    let directory = PathBuf::from(env::args_os().nth(1).context("say where: creance-pages DIRECTORY")?);
    let (pages, completions) = (directory.join("man"), directory.join("completions"));
    for directory in [&pages, &completions] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    clap_mangen::generate_to(sensor_user::cli::command(), &pages)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut sensor_user::cli::command(), "creance", &completions)?;
    }
    Ok(())
}

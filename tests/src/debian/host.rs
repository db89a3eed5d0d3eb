//! A Debian host, as its administrator uses it.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use sensor_content::bundle::Release;
use sensor_rules::Source;
use sensor_user::{
    api::status::Status,
    control::{self, Client},
};

use crate::{
    content,
    rules::{self, Draft},
    wait,
};

/// Where the second disk was unpacked: packages and programs.
pub const BROUGHT: &str = "/opt/tests";
/// The service.
pub const SERVICE: &str = "creance.service";
/// How long anything may take on a slow machine, a start of the host included.
pub const PATIENCE: Duration = Duration::from_mins(20);

/// A VM that shares its processors, and has none of its own, may take minutes for what takes a host a second.
const PATIENT: &str = "[Service]\nTimeoutStartSec=15min\nTimeoutStopSec=5min\nWatchdogSec=2min\n";

/// Installs the package as an administrator does, and lets systemd be as patient as the tests are.
///
/// # Errors
/// Where it cannot be installed.
pub fn install(package: &str) -> Result<()> {
    unit("creance.service.d/patience.conf", PATIENT)?;
    run("dpkg", &["--install", package]).map(drop)
}

/// A file of systemd's.
///
/// # Errors
/// Where it cannot be written.
pub fn unit(name: &str, text: &str) -> Result<()> {
    let path = Path::new("/etc/systemd/system").join(name);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    Ok(fs::write(path, text)?)
}

/// Runs a program; what it printed, both ways.
///
/// # Errors
/// Where it does not succeed, with that.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words).trim().to_owned();
    ensure!(output.status.success(), "{program} {} ended with {}: {words}", arguments.join(" "), output.status);
    Ok(words)
}

/// A property of the service.
///
/// # Errors
/// Where systemd does not tell.
pub fn property(unit: &str, name: &str) -> Result<String> {
    run("systemctl", &["show", "--value", "--property", name, unit])
}

/// Waits until all that was to be started has been.
///
/// # Errors
/// Where it does not come to an end.
pub fn is_up() -> Result<()> {
    wait::within(PATIENCE, "the host to be up", || {
        let jobs = run("systemctl", &["list-jobs", "--no-legend"])?;
        Ok((!jobs.lines().any(|job| job.contains(" start "))).then_some(()))
    })
}

/// Whether an administrator can log in and run something.
///
/// # Errors
/// Where not.
pub fn reachable() -> Result<()> {
    ensure!(run("ssh", &["localhost", "echo", "in"])?.contains("in"), "the login shell said nothing");
    Ok(())
}

/// A new conversation with the daemon.
///
/// # Errors
/// Where none answers.
pub fn client() -> Result<Client> {
    Ok(Client::connect(control::SOCKET)?)
}

/// What runs.
///
/// # Errors
/// Where no daemon answers.
pub fn status() -> Result<Status> {
    Ok(client()?.status()?)
}

/// Waits until a generation is in force.
///
/// # Errors
/// Where it does not come.
pub fn runs(generation: u64) -> Result<Status> {
    wait::within(PATIENCE, &format!("generation {generation} to be in force"), || {
        Ok(status().ok().filter(|status| status.generation == Some(generation)))
    })
}

/// Lets the host trust the tests' publisher, and the daemon have these options from its next start.
///
/// # Errors
/// Where the files cannot be written.
pub fn set_up(options: &str) -> Result<()> {
    fs::create_dir_all("/etc/creance/keys")?;
    fs::write("/etc/creance/keys/publisher.pub", content::key().public().to_pem()?)?;
    fs::write("/etc/default/creance", format!("CREANCE_OPTIONS=\"{options}\"\n"))?;
    Ok(())
}

/// Pushes a release with these rules, of which a probation of one second is asked, and so many nanoseconds
/// per event and alerts in an hour are said.
///
/// # Errors
/// Where it is refused.
pub fn push(number: u64, source: Source, (cost, alerts): (u32, u32)) -> Result<()> {
    let release = format!(
        "generation = {number}\ncategory = \"routine\"\nsoak = \"1s\"\nchangelog = \"{number}\"\n\
         budget = {{ nanoseconds_per_event = {cost}, alerts_per_hour = {alerts} }}"
    );
    let bundle = Release::parse(&release)?.build(vec![source], &content::key())?;
    let pushed = client()?.push_bundle(&bundle, true)?;
    ensure!(pushed.generation == number, "generation {} is in force", pushed.generation);
    Ok(())
}

/// A rule file with one rule.
pub fn file(draft: &Draft<'_>) -> Source {
    rules::file("rules.yaml", std::slice::from_ref(draft))
}

/// What systemd and the daemon said last, for whoever must find out what went wrong.
pub fn words() -> String {
    run("journalctl", &["--no-pager", "--lines", "40", "--unit", SERVICE]).unwrap_or_else(|error| format!("{error:#}"))
}

/// Waits until something cannot be connected to any more.
///
/// # Errors
/// Where it still answers.
pub fn is_gone() -> Result<()> {
    wait::within(PATIENCE, "the daemon to answer no more", || Ok(client().is_err().then_some(())))
}

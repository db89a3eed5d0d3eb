//! The rows that take the daemon or the whole host down, with the build that has faults. What is in force after
//! the next start is what the store on the disk leads to.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    channel::translated,
    disk::{self, DISK},
    row::Told,
};
use crate::{
    content::{Host, bundle_of},
    sensor::{CREANCE, Sensor},
};

/// What a build with faults reads.
const FAULTS: &str = "/etc/creance/faults";
/// What it makes where the kernel is to panic.
const PANIC: &str = "/run/creance/panic";
/// When the kernel was made to panic, on the disk: the row goes on after the next start.
const DOWN: &str = "/disk/down";
/// Content that does harm, by number.
const CRASHES: u64 = 290;
const PANICS: u64 = 291;

/// Whether this start of the host is the one after the panic.
pub fn is_back() -> bool {
    Path::new(DOWN).exists()
}

/// The program is the build with faults from now on.
fn with_faults() -> Result<()> {
    let new = format!("{CREANCE}.new");
    fs::copy(format!("{DISK}/creance-faults"), &new).context("the disk has no build with faults")?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    Ok(fs::rename(new, CREANCE)?)
}

fn fault(line: &str) -> Result<()> {
    fs::create_dir_all("/etc/creance")?;
    Ok(fs::write(FAULTS, line)?)
}

/// Pushes the fifth file's neighbours under this number; the answer dies with who would give it.
fn push(sensor: &Sensor, number: u64) -> Result<()> {
    let bundle = bundle_of(number, translated(&[1, 2, 3, 4], &[])?, (2000, 60))?;
    let pushed = sensor.client()?.push_bundle(&bundle, true);
    ensure!(pushed.is_err(), "generation {number} does no harm: {pushed:?}");
    Ok(())
}

/// The generation was given up here: why.
fn denied(sensor: &Sensor, number: u64) -> Result<String> {
    let status = sensor.status()?;
    ensure!(status.generation == Some(0) && status.rules > 0, "in force is {:?}", status.generation);
    let denied = status.content.context("no content in the status")?.denied;
    let reason = denied.into_iter().find(|(denied, _)| *denied == number).context("it is not denied here")?;
    Ok(reason.1)
}

/// The daemon crashes on this content.
pub fn daemon_crashes() -> Result<Told> {
    with_faults()?;
    fault(&format!("{CRASHES} push abort\n"))?;
    let host = Host::new("crashes")?;
    let mut sensor = host.starts()?;
    push(&sensor, CRASHES)?;
    let ended = sensor.ended()?;
    ensure!(!ended.success(), "the daemon ended with {ended}");
    let started = Instant::now();
    let sensor = host.starts()?;
    let why = denied(&sensor, CRASHES)?;
    sensor.stop()?;
    Ok(Told::new(format!("1 crash, back in {:.0} s, denied here", started.elapsed().as_secs_f64()), why))
}

/// The kernel goes down on this content: the first half of the row. Does not return where all is as expected.
pub fn host_goes_down() -> Result<Told> {
    with_faults()?;
    fault(&format!("{PANICS} push panic\n"))?;
    let sensor = Host::on(format!("{DISK}/host"))?.starts()?;
    disk::keep(DOWN, &seconds()?.to_string())?;
    thread::spawn(|| {
        while !Path::new(PANIC).exists() {
            thread::sleep(Duration::from_millis(20));
        }
        fs::write("/proc/sysrq-trigger", "c").ok();
    });
    push(&sensor, PANICS)?;
    anyhow::bail!("the kernel is still up")
}

/// The second half, after the next start.
pub fn host_comes_back() -> Result<Told> {
    let down: u64 = fs::read_to_string(DOWN)?.trim().parse()?;
    let sensor = Host::on(format!("{DISK}/host"))?.starts()?;
    let why = denied(&sensor, PANICS)?;
    sensor.stop()?;
    let (boots, took) = (disk::boots()?, seconds()?.saturating_sub(down));
    ensure!(boots == 2, "it took {boots} starts");
    Ok(Told::new(format!("1 start lost, back in {took} s, nobody came"), why))
}

/// Seconds since 1970, by this machine's clock, which goes on while it is down.
fn seconds() -> Result<u64> {
    let output = Command::new("/bin/date").arg("+%s").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

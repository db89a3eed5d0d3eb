//! VMs with a real Debian root and systemd: the disk image, and what is tested there.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    command, console, dist,
    project::{self, KernelSeries},
    protocol::Message,
    setup,
    vm::{Clock, Failure, LSM, Machine, Root},
};

/// The release, and what it has beside the essential packages: systemd, and a way in.
const SUITE: &str = "bookworm";
const PACKAGES: &str = "systemd-sysv,udev,dbus,libpam-systemd,openssh-server,openssh-client,procps";
/// Documentation and translations are not tested.
const LEFT_OUT: &[&str] = &["/usr/share/doc/*", "/usr/share/locale/*"];
/// What makes it a host of the tests.
const LAST_STEP: &str = "tests/debian-image.sh";

/// What is done in such a VM.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// The package: installed, started, upgraded, removed, purged.
    Package,
    /// The fault table.
    Faults,
}

impl Job {
    const fn name(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Faults => "faults",
        }
    }

    const fn limit(self) -> Duration {
        match self {
            Self::Package => Duration::from_mins(30),
            Self::Faults => Duration::from_mins(90),
        }
    }
}

/// Boots a Debian host, with these kernel arguments too, and lets it do the job.
///
/// # Errors
/// Where there is no image or no package, or QEMU cannot be started. That the job failed is in the inner result.
pub fn work(kernel: KernelSeries, job: Job, arguments: &str, hear: impl FnMut(Message)) -> Result<Result<(), Failure>> {
    let disk = disk(job)?;
    let machine = Machine {
        kernel,
        name: &format!("debian-{}", job.name()),
        arguments: format!("{LSM} creance.job={}{arguments}", job.name()),
        root: Root::Disk { image: &disk, trouble: if job == Job::Faults { &[console::PANIC] } else { &[] } },
        clock: Clock::Real,
        limit: job.limit(),
    };
    let ending = machine.work(hear);
    fs::remove_file(&disk).ok();
    ending
}

/// The image, made where it is not there, or was made in another way.
fn image() -> Result<PathBuf> {
    setup::debian()?;
    let image = project::target("vm/debian.ext4");
    let last_step = project::root().join(LAST_STEP);
    let recipe = format!("{SUITE} {PACKAGES} {LEFT_OUT:?}\n{}", fs::read_to_string(&last_step)?);
    let made_by = image.with_extension("recipe");
    if image.exists() && fs::read_to_string(&made_by).is_ok_and(|text| text == recipe) {
        return Ok(image);
    }
    println!("setup: mmdebstrap {SUITE} into {} (a minute or two)", image.display());
    fs::create_dir_all(project::target("vm"))?;
    let new = image.with_extension("new");
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--quiet", "--variant=minbase", "--format=null", &format!("--include={PACKAGES}")]);
    mmdebstrap.args(LEFT_OUT.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    mmdebstrap.arg(format!("--customize-hook='{}' \"$1\" '{}'", last_step.display(), new.display()));
    command::run(mmdebstrap.args([SUITE, "/dev/null"]))
        .context("the Debian root cannot be made; is there a network?")?;
    fs::rename(&new, &image)?;
    fs::write(&made_by, recipe)?;
    Ok(image)
}

/// A copy of the image for one machine, with an archive of what is tested behind it, as the last step expects it.
fn disk(job: Job) -> Result<PathBuf> {
    let (image, payload) = (image()?, payload(job)?);
    let disk = payload.with_extension("disk");
    command::run(Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(&image).arg(&disk))?;
    let mut end = OpenOptions::new().append(true).open(&disk)?;
    io::copy(&mut File::open(&payload)?, &mut end).with_context(|| format!("cannot write {}", disk.display()))?;
    fs::remove_file(payload)?;
    Ok(disk)
}

/// An archive of what is tested.
fn payload(job: Job) -> Result<PathBuf> {
    let stage = project::target("vm/payload");
    fs::remove_dir_all(&stage).ok();
    fs::create_dir_all(&stage)?;
    let bring = |file: &Path, name: &str| {
        fs::copy(file, stage.join(name)).map(drop).with_context(|| format!("cannot copy {}", file.display()))
    };
    bring(&project::binary("vm-init"), "vm-init")?;
    for revision in 1..=if job == Job::Package { 2 } else { 1 } {
        bring(&dist::debian_package(revision)?, &format!("creance-{revision}.deb"))?;
    }
    if job == Job::Faults {
        bring(&project::binary("creance-faults"), "creance-faults")?;
    }
    let archive = project::target("vm").join(format!("debian-{}.tar", job.name()));
    command::run(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&stage).arg("."))?;
    fs::remove_dir_all(&stage).ok();
    Ok(archive)
}

//! Kernels that run as a process of this machine (User Mode Linux), built from Debian's sources: their
//! verifiers are those of the VMs' kernels, and are not emulated.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result, bail};

use super::{apt, lists::Lists};
use crate::{
    command,
    project::{self, KernelSeries},
};

/// What builds a kernel, and ends it.
const PROGRAMS: &[(&str, &str)] = &[
    ("make", "make"),
    ("gcc", "gcc"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("xz", "xz-utils"),
    ("busybox", "busybox-static"),
];
/// What the kernel is made of.
const CONFIG: &str = include_str!("uml.config");
/// As processors go it is an x86, but does not say that it may read words from any address: the verifier
/// would insist on multiples of their size.
const MACHINE: &str = "arch/x86/um/Kconfig";
const SAYS: &str = "config UML_X86\n\tdef_bool y\n";
const ALSO: &str = "\tselect HAVE_EFFICIENT_UNALIGNED_ACCESS\n";

/// The program that is the kernel of this series, built where it is not here; `None` where Debian has no
/// sources of it (any more). Prints only what it fetches and builds.
///
/// # Errors
/// Where the sources do not build, or a right or the network is missing.
pub fn kernel(series: KernelSeries) -> Result<Option<PathBuf>> {
    let directory = project::target("uml");
    let (kernel, recipe) = (directory.join(series.name()), directory.join(format!("{series}.config")));
    if kernel.exists() && fs::read_to_string(&recipe).is_ok_and(|text| text == CONFIG) {
        return Ok(Some(kernel));
    }
    apt::install_programs(PROGRAMS)?;
    let sources = directory.join(format!("{series}.sources"));
    let Some(tree) = unpack(series, &sources)? else { return Ok(None) };
    println!("setup: building Linux {series} as a process (some minutes)");
    build(&tree)?;
    fs::rename(tree.join("linux"), &kernel)?;
    fs::write(recipe, CONFIG)?;
    fs::remove_dir_all(sources)?;
    Ok(Some(kernel))
}

/// Fetches the sources, if there are any, into `directory`, and returns their root.
fn unpack(series: KernelSeries, directory: &Path) -> Result<Option<PathBuf>> {
    let (lists, package) = (Lists::of(series)?, format!("linux-source-{series}"));
    let known = |lists: &Lists| Ok(lists.search(&format!("^{package}$"))?.into_iter().find(|name| *name == package));
    if lists.find(known)?.is_none() {
        return Ok(None);
    }
    let archive = lists.fetch(&package, directory)?;
    command::run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(directory))?;
    let sources = format!("usr/src/{package}.tar.xz");
    command::run(Command::new("tar").args(["--extract", "--file", &sources]).current_dir(directory))?;
    Ok(Some(directory.join(package)))
}

fn build(tree: &Path) -> Result<()> {
    let machine = tree.join(MACHINE);
    let text = fs::read_to_string(&machine).with_context(|| format!("cannot read {}", machine.display()))?;
    if !text.contains(SAYS) {
        bail!("{} is not as it was in Linux 5.10 to 7.3: it lacks {SAYS:?}", machine.display());
    }
    fs::write(&machine, text.replace(SAYS, &format!("{SAYS}{ALSO}")))?;
    let config = tree.join("allno.config");
    fs::write(&config, CONFIG)?;
    let log = tree.with_extension("log");
    let make = |arguments: &[&str]| {
        let mut make = command::fresh("make");
        make.args(["--silent", "ARCH=um"]).args(arguments).current_dir(tree).env("KCONFIG_ALLCONFIG", &config);
        let said = fs::File::create(&log)?;
        make.stdout(said.try_clone()?).stderr(said);
        command::run(&mut make).with_context(|| format!("the kernel does not build; its words: {}", log.display()))
    };
    make(&["allnoconfig"])?;
    make(&[&format!("-j{}", thread::available_parallelism()?), "linux"])
}

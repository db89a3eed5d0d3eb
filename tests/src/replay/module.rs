//! The VM in which the content interpreter is a module of the kernel. Its disk outlives the reboots.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{
    channel::FILES,
    disk::{self, DISK, boots},
};
use crate::{
    fifo,
    protocol::Message,
    report::{self, say},
};

/// Through which content reaches the interpreter.
const DEVICE: &str = "/dev/channel";
/// Where a host keeps its channel files.
const KEPT: &str = "/disk/channel-files";
/// A FIFO that the first instance names.
const AGENT: &str = "/tmp/july/agent_1";

/// Lives through one start of the host; whether all was as expected. The fifth file ends this start, and the
/// next one.
///
/// # Errors
/// Where the kernel is still up when it must not be, or the module cannot be had.
pub fn live() -> Result<bool> {
    disk::mount()?;
    match boots()? {
        1 => first(),
        2 => again(),
        _ => by_hand(),
    }
}

fn first() -> Result<bool> {
    say("28 Feb  the template type ships: 21 fields are defined, 20 are supplied; nothing compares the numbers");
    insert()?;
    fs::create_dir_all(KEPT)?;
    for (number, file) in (1..).zip(&FILES[..4]) {
        deliver(number, file)?;
    }
    say("5 Mar – 24 Apr  four instances, each with a wildcard in field 21, are pushed to everybody; they work");
    fifo::remake(AGENT)?;
    drop(fifo::open(AGENT)?);
    let counted = counted()?;
    let works = counted.lines().count() == 4
        && counted.lines().all(|line| line.contains("evaluated 1"))
        && counted.starts_with("1 evaluated 1 matched 1\n");
    report::send(&Message::Seen {
        what: "module::four_files_with_a_wildcard_in_field_21_work".to_owned(),
        expected: "4 instances judge, the right one matches".to_owned(),
        seen: counted.trim().replace('\n', "; "),
        ok: works,
    });
    say("19 Jul 04:09  the fifth instance is pushed to everybody at once; the validator finds it valid");
    deliver(5, FILES[4])?;
    // SAFETY: takes nothing. What a host has received is on its disk before it is used.
    unsafe { libc::sync() };
    say("              the next FIFO is opened …");
    falls()
}

fn again() -> Result<bool> {
    say("              the host starts again, and loads what is on its disk …");
    insert()?;
    let mut files: Vec<_> = fs::read_dir(KEPT)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files {
        fs::write(DEVICE, fs::read(file)?)?;
    }
    falls()
}

/// Opens a FIFO, which must be the last thing that this kernel does.
fn falls() -> Result<bool> {
    fifo::remake(AGENT)?;
    drop(fifo::open(AGENT)?);
    anyhow::bail!("the fifth file is evaluated and the kernel is still up: {}", counted()?)
}

/// What a person had to do, 8.5 million times: start the host without the driver, delete the file.
fn by_hand() -> Result<bool> {
    say("              third start: a person came, started the host without the driver, and deletes the file");
    fs::remove_file(format!("{KEPT}/5.channel")).context("the host has no fifth file")?;
    insert()?;
    for number in 1..=4 {
        fs::write(DEVICE, fs::read(format!("{KEPT}/{number}.channel"))?)?;
    }
    fifo::remake(AGENT)?;
    drop(fifo::open(AGENT)?);
    let counted = counted()?;
    let up = counted.starts_with("1 evaluated 1 matched 1\n");
    report::send(&Message::Seen {
        what: "module::the_host_comes_back_by_hand_only".to_owned(),
        expected: "2 starts lost, then a person".to_owned(),
        seen: format!("{} starts lost, then by hand: {}", boots()? - 2, counted.trim().replace('\n', "; ")),
        ok: up,
    });
    Ok(up)
}

fn insert() -> Result<()> {
    let module = format!("{DISK}/channel.ko");
    let status = Command::new("/bin/insmod").arg(&module).status()?;
    ensure!(status.success(), "insmod {module} ended with {status}");
    Ok(())
}

/// A pushed file is kept, and in force.
fn deliver(number: u32, text: &str) -> Result<()> {
    let mut kept = File::create(format!("{KEPT}/{number}.channel"))?;
    kept.write_all(text.as_bytes())?;
    kept.sync_all()?;
    let mut device = OpenOptions::new().write(true).open(DEVICE)?;
    device.write_all(text.as_bytes()).with_context(|| format!("the validator refuses file {number}"))
}

fn counted() -> Result<String> {
    let mut text = String::new();
    File::open(DEVICE)?.read_to_string(&mut text)?;
    Ok(text)
}

//! A host of a fleet: the daemon follows a publisher's repository by itself, work goes on, and whoever watches may ask.
//!
//! Its disk, [`DISK`], outlives a reboot. There are `modules`, the drivers of its network card; `etc`, what
//! elsewhere is `/etc/creance`; and `state`, the daemon's.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    fifo, init,
    protocol::{FIGURES, HAND},
    sensor::{CREANCE, Launch, Sensor},
};

/// Where the disk is mounted.
const DISK: &str = "/disk";
/// Where the daemon serves its figures: on loopback, as it insists.
const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9781);
/// Its address, as QEMU's network expects it.
const ADDRESS: &str = "10.0.2.15/24";
/// What the host does all day, some times a second: makes FIFOs here, as root and as the system users of some services.
const DAILY: &str = "/tmp/daily";
/// Root's; the others' end in a user id too.
const WORK: &str = "/tmp/daily/work";
/// The system users.
const SERVICES: [u32; 3] = [101, 102, 103];

/// Lives as the host with this name until it is told to end.
///
/// # Errors
/// Where it has no disk or network, or the daemon does not start.
pub fn live(name: &str) -> Result<()> {
    fs::create_dir_all(DISK)?;
    run("/bin/mount", &["-t", "ext4", "/dev/nvme0n1", DISK])?;
    fs::write("/etc/machine-id", name)?;
    network()?;
    let (state, etc) = (format!("{DISK}/state"), format!("{DISK}/etc"));
    let listen = METRICS.to_string();
    let daemon = ["--state", &state, "--config", &etc, "--settle", "1", "--up", "1", "--metrics-listen", &listen];
    let sensor = Launch::default().with(&daemon).enforcing().start()?;
    forward(FIGURES, METRICS)?;
    thread::spawn(work);
    obey(sensor)
}

/// Runs a program that must succeed.
fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program).args(arguments).status().with_context(|| format!("cannot start {program}"))?;
    ensure!(status.success(), "{program} {} ended with {status}", arguments.join(" "));
    Ok(())
}

/// Brings the network card up.
fn network() -> Result<()> {
    let mut waiting: Vec<PathBuf> =
        Path::new(DISK).join("modules").read_dir()?.flatten().map(|entry| entry.path()).collect();
    // A module goes in when those that it builds on are in.
    loop {
        let before = waiting.len();
        waiting.retain(|module| insert(module).is_err());
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    run("/bin/ip", &["link", "set", "eth0", "up"]).context("no network card")?;
    run("/bin/ip", &["address", "add", ADDRESS, "dev", "eth0"])
}

fn insert(module: &Path) -> Result<()> {
    let path = module.to_string_lossy();
    let command = match path.strip_suffix(".xz") {
        Some(_) => format!("xz -dc {path} > /tmp/module.ko && insmod /tmp/module.ko"),
        None => format!("insmod {path}"),
    };
    run("/bin/sh", &["-c", &format!("({command}) 2> /dev/null")])
}

/// Lets others reach what listens on loopback only.
fn forward(port: u16, to: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || pass_on(&client, to));
        }
    });
    Ok(())
}

fn pass_on(client: &TcpStream, to: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    let (mut asks, mut asked) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut asks, &mut asked));
    io::copy(&mut &server, &mut &*client)?;
    client.shutdown(Shutdown::Both)
}

/// What this host is for. That it may be blocked is no trouble of this program's.
fn work() {
    loop {
        let _ = fifo::remake(WORK);
        let _ = fs::set_permissions(DAILY, fs::Permissions::from_mode(0o777));
        for service in SERVICES {
            let make = format!("rm -f {WORK}.{service}; mkfifo {WORK}.{service}");
            let mut shell = Command::new("/bin/sh");
            let _ = shell.args(["-c", &make]).stderr(Stdio::null()).uid(service).gid(service).status();
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Answers what the program `creance` says, and starts the host anew, or ends, when it is told to.
fn obey(sensor: Sensor) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, HAND))?;
    for client in listener.incoming() {
        let mut client = client?;
        let mut line = String::new();
        // Who connects and goes away is no matter.
        if BufReader::new(&client).read_line(&mut line).is_err() {
            continue;
        }
        match line.trim() {
            "off" => return sensor.stop(),
            "reboot" => {
                drop(client);
                sensor.stop()?;
                init::reboot();
            }
            arguments => {
                let output = Command::new(CREANCE).args(arguments.split_whitespace()).output()?;
                let _ = client.write_all(&[output.stdout, output.stderr].concat());
            }
        }
    }
    Ok(())
}

//! `cargo xtask fleet`: a fleet on loopback, with nginx and Prometheus; and VMs in it, if asked for.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    build, command, initramfs,
    project::{self, KernelSeries},
    protocol::{FIGURES, HAND, Message},
    setup,
    vm::{Clock, Failure, LSM, Machine, Root},
};

/// The test that is run.
const TEST: &str = "a_good_release_reaches_all_and_a_bad_one_is_stopped_at_the_canary";
/// Kernels of the VMs, in turn.
const KERNELS: [KernelSeries; 3] = [KernelSeries::V6_1, KernelSeries::V6_12, KernelSeries::V6_18];
/// How long a VM may say nothing: it has nothing to say, and is told to end when the test is over.
const LIMIT: Duration = Duration::from_mins(30);

/// A VM that is a host.
struct Host {
    kernel: KernelSeries,
    name: String,
    /// Ports here that lead to its figures, and to whoever obeys there.
    figures: u16,
    hand: u16,
}

/// Runs it with so many hosts, showing what happens.
///
/// # Errors
/// Where it cannot be run.
pub fn run(hosts: usize, vms: usize) -> Result<ExitCode> {
    setup::compiler()?;
    setup::servers()?;
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet", "--release", "-p", "sensor-user", "--test", "fleet", TEST, "--", "--nocapture"]);
    cargo.current_dir(project::root()).env("CREANCE_FLEET", hosts.to_string());
    if vms > 0 {
        return with_machines(cargo, vms);
    }
    build::ebpf()?;
    command::ends(&mut cargo)
}

/// Runs the test with VMs beside it. It makes what the owner of each says, `etc`; then they boot.
fn with_machines(mut test: Command, count: usize) -> Result<ExitCode> {
    setup::hosts(&KERNELS)?;
    build::everything()?;
    let archive = initramfs::build()?;
    let place = project::target("vm/fleet");
    fs::remove_dir_all(&place).ok();
    fs::create_dir_all(&place)?;
    let ports = free_ports(1 + 2 * count)?;
    let hosts: Vec<_> = ports[1..]
        .chunks_exact(2)
        .zip(KERNELS.iter().cycle())
        .enumerate()
        .map(|(index, (ports, kernel))| Host {
            kernel: *kernel,
            name: format!("vm{index}"),
            figures: ports[0],
            hand: ports[1],
        })
        .collect();
    let mut told = String::new();
    for host in &hosts {
        writeln!(told, "{} {} {}", host.name, host.figures, host.hand)?;
    }
    test.env("CREANCE_FLEET_WEB", ports[0].to_string()).env("CREANCE_FLEET_VMS", told);
    test.env("CREANCE_FLEET_PLACE", &place);
    let mut test = test.spawn().context("cargo cannot be started")?;
    let etc = place.join("etc");
    while !etc.exists() {
        if let Some(status) = test.try_wait()? {
            return Ok(command::code(status));
        }
        thread::sleep(Duration::from_millis(100));
    }
    thread::scope(|scope| {
        let machines: Vec<_> = hosts.iter().map(|host| scope.spawn(|| host.lives(&place, &archive))).collect();
        let status = test.wait();
        let mut all_well = true;
        for (host, machine) in hosts.iter().zip(machines) {
            // One that boots does not hear it at once.
            while !machine.is_finished() {
                host.ends();
                thread::sleep(Duration::from_secs(1));
            }
            all_well &= machine.join().unwrap_or_else(|_| bail!("a thread panicked"))?;
        }
        fs::remove_dir_all(&place).ok();
        Ok(if all_well { command::code(status?) } else { ExitCode::FAILURE })
    })
}

/// Ports of loopback that nobody uses now.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let sockets: Vec<_> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<std::io::Result<_>>()?;
    Ok(sockets
        .iter()
        .map(|socket| socket.local_addr().map(|address| address.port()))
        .collect::<std::io::Result<_>>()?)
}

impl Host {
    /// Boots it, and returns when it has ended: whether all was well.
    fn lives(&self, place: &Path, archive: &Path) -> Result<bool> {
        let disk = self.disk(place)?;
        let machine = Machine {
            kernel: self.kernel,
            name: &self.name,
            arguments: format!("{LSM} creance.job=fleet creance.host={}", self.name),
            root: Root::Host {
                archive,
                disk: &disk,
                ports: &[(self.figures, FIGURES), (self.hand, HAND)],
                trouble: &[],
            },
            clock: Clock::Real,
            limit: LIMIT,
        };
        let ending = machine.work(|message| {
            if let Message::Say { text } = message {
                println!("{} (Linux {}): {text}", self.name, self.kernel);
            }
        })?;
        if let Err(Failure { why, tail }) = ending {
            println!("{} (Linux {}): {why}\n{tail}", self.name, self.kernel);
            return Ok(false);
        }
        Ok(true)
    }

    /// Its disk, with what its owner says and what drives its network card.
    fn disk(&self, place: &Path) -> Result<PathBuf> {
        let (files, disk) = (place.join(&self.name), place.join(format!("{}.ext4", self.name)));
        fs::create_dir(&files)?;
        for (from, to) in [(place.join("etc"), "etc"), (self.kernel.modules(), "modules")] {
            command::run(Command::new("cp").arg("-r").arg(from).arg(files.join(to)))?;
        }
        let mut mke2fs = Command::new(setup::MKE2FS);
        command::run(mke2fs.args(["-q", "-t", "ext4", "-d"]).arg(&files).arg(&disk).arg("64M"))?;
        Ok(disk)
    }

    /// Tells it to end.
    fn ends(&self) {
        if let Ok(mut hand) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.hand)) {
            hand.write_all(b"off\n").ok();
        }
    }
}

//! One virtual machine: boots a kernel with our initramfs, listens to what the guest reports, watches the
//! console, and ends it in time.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{accel, console, project, project::KernelSeries, protocol::Message};

/// The security modules of a guest, BPF among them.
pub const LSM: &str = "lsm=landlock,lockdown,yama,bpf";

/// What the guest's time counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Seconds.
    Real,
    /// Instructions, one a nanosecond: slow, on one processor, and the same in every run.
    Instructions,
}

/// What a guest runs from.
#[derive(Clone, Copy)]
pub enum Root<'a> {
    /// The archive from [`initramfs`](crate::initramfs), in memory.
    Initramfs(&'a Path),
    /// The same archive, with a disk that outlives its reboots, and a network: from there this machine is 10.0.2.2.
    Host {
        /// The archive.
        archive: &'a Path,
        /// The disk's image.
        disk: &'a Path,
        /// Ports of this machine's loopback that lead to ports there.
        ports: &'a [(u16, u16)],
        /// Kinds of trouble that its kernel gets into on purpose, and starts again after.
        trouble: &'a [&'a str],
    },
    /// A disk with a system of its own, from [`debian`](crate::debian), which may start again and again.
    Disk {
        /// Its image.
        image: &'a Path,
        /// Kinds of trouble that its kernel gets into on purpose, and starts again after.
        trouble: &'a [&'a str],
    },
}

impl Root<'_> {
    /// What the console shows of trouble, where that is not wanted.
    fn trouble(self, log: &str) -> Option<String> {
        let expected = match self {
            Self::Host { trouble, .. } | Self::Disk { trouble, .. } => trouble,
            Self::Initramfs(_) => &[],
        };
        console::trouble(log, expected)
    }
}

/// A machine to boot.
pub struct Machine<'a> {
    /// Its kernel.
    pub kernel: KernelSeries,
    /// Names its console log.
    pub name: &'a str,
    /// Kernel arguments, the job for our init (`creance.job=…`) included.
    pub arguments: String,
    /// Its file system.
    pub root: Root<'a>,
    /// What its time counts.
    pub clock: Clock,
    /// When it has said nothing for so long, it is ended, as a failure.
    pub limit: Duration,
}

/// Why a machine did not do its job; says where the console log is.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub why: String,
    /// The end of the console log.
    pub tail: String,
}

impl Machine<'_> {
    /// Boots, hands each message to `hear`, and returns when the guest has said that it is done.
    ///
    /// # Errors
    /// Where QEMU cannot be started. That the guest failed is in the inner result.
    pub fn work(&self, hear: impl FnMut(Message)) -> Result<Result<(), Failure>> {
        Ok(self.watched(hear)?.0)
    }

    /// The same, and all that the console showed.
    ///
    /// # Errors
    /// As [`work`](Self::work).
    pub fn watched(&self, mut hear: impl FnMut(Message)) -> Result<(Result<(), Failure>, String)> {
        // What an earlier machine of this name said is none of this one's trouble.
        fs::remove_file(self.log()).ok();
        let mut qemu = self.command();
        qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = qemu.spawn().context("cannot start qemu-system-x86_64: run `cargo xtask setup`")?;
        let messages = messages(child.stdout.take().context("QEMU has no output")?);
        let why = self.listen(&mut child, &messages, &mut hear);
        let words = end(&mut child);
        let log = self.console();
        for warning in console::passed_over(&log) {
            eprintln!("      {}: the kernel warned at its start, which is not ours: {warning}", self.name);
        }
        match why.or_else(|| self.root.trouble(&log)) {
            None => {
                fs::remove_file(self.log()).ok();
                Ok((Ok(()), log))
            }
            Some(why) => {
                let why = format!("{why}{words}\n      console log: {}", self.log().display());
                Ok((Err(Failure { why, tail: console::tail(&log, 20) }), log))
            }
        }
    }

    /// Boots with the second serial port on the user's terminal, until the guest powers off.
    ///
    /// # Errors
    /// Where QEMU cannot be started or fails.
    pub fn interact(&self) -> Result<()> {
        let status = self.command().status().context("cannot start qemu-system-x86_64: run `cargo xtask setup`")?;
        if !status.success() {
            bail!("QEMU ended with {status}; console log: {}", self.log().display());
        }
        Ok(())
    }

    /// Until the guest is done (`None`) or something is wrong.
    fn listen(
        &self,
        child: &mut Child,
        messages: &Receiver<Message>,
        hear: &mut impl FnMut(Message),
    ) -> Option<String> {
        let mut deadline = Instant::now() + self.limit;
        loop {
            match messages.recv_timeout(Duration::from_millis(500)) {
                Ok(Message::Done { ok: true }) => return None,
                Ok(Message::Done { ok: false }) => return Some("the guest could not do its job".to_owned()),
                Ok(message) => {
                    hear(message);
                    deadline = Instant::now() + self.limit;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    // The console is written to its end only when QEMU has ended.
                    child.wait().ok();
                    let trouble = self.root.trouble(&self.console());
                    return Some(trouble.unwrap_or_else(|| "the VM ended before it was done".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(trouble) = self.root.trouble(&self.console()) {
                        return Some(trouble);
                    }
                }
            }
            if Instant::now() > deadline {
                return Some(format!("nothing heard for {} s", self.limit.as_secs()));
            }
        }
    }

    fn command(&self) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        let mut arguments = format!("console=ttyS0 panic=-1 printk.time=1 loglevel=5 {}", self.arguments);
        match self.clock {
            Clock::Real => {
                qemu.args(accel::arguments()).args(["-smp", "2"]);
                // On a busy host the timer of an emulated machine comes too late for the kernel's trial of
                // it, and it panics.
                arguments.push_str(" no_timer_check");
            }
            Clock::Instructions => {
                qemu.args(["-icount", "shift=0,sleep=off", "-accel", "tcg,thread=single", "-smp", "1"]);
                qemu.args(["-cpu", "max,-erms,-fsrm,-rdrand,-rdseed", "-seed", "42"]);
                qemu.args(["-rtc", "base=2026-01-01,clock=vm"]);
                arguments.push_str(" nokaslr norandmaps randomize_kstack_offset=off random.trust_cpu=off");
            }
        }
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-m", "1024"]);
        match self.root {
            Root::Initramfs(archive) => {
                qemu.arg("-no-reboot").arg("-initrd").arg(archive);
            }
            Root::Host { archive, disk, ports, trouble: _ } => {
                qemu.arg("-initrd").arg(archive);
                attach(&mut qemu, disk);
                let forward = |(from, to): &(u16, u16)| format!(",hostfwd=tcp:127.0.0.1:{from}-:{to}");
                qemu.arg("-netdev").arg(format!("user,id=net{}", ports.iter().map(forward).collect::<String>()));
                qemu.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
            }
            Root::Disk { image, trouble: _ } => {
                arguments.push_str(" root=/dev/nvme0n1 rw systemd.show_status=0");
                attach(&mut qemu, image);
            }
        }
        qemu.arg("-kernel").arg(self.kernel.image()).arg("-append").arg(arguments);
        qemu.arg("-serial").arg(format!("file:{}", self.log().display()));
        qemu.args(["-chardev", "stdio,id=reports,signal=off", "-serial", "chardev:reports"]);
        qemu
    }

    fn log(&self) -> PathBuf {
        project::target("vm").join(format!("{}-{}.console.log", self.kernel, self.name))
    }

    fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).unwrap_or_default()).into_owned()
    }
}

/// The guest's disk. What the guest has synced outlives the guest; it need not outlive this machine.
fn attach(qemu: &mut Command, image: &Path) {
    qemu.arg("-drive").arg(format!("id=disk,if=none,format=raw,cache=unsafe,file={}", image.display()));
    qemu.args(["-device", "nvme,drive=disk,serial=creance"]);
}

/// Reads messages on a thread of its own, so that their absence can be noticed.
fn messages(from: impl Read + Send + 'static) -> Receiver<Message> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            if let Some(message) = Message::parse(&String::from_utf8_lossy(&line))
                && sender.send(message).is_err()
            {
                break;
            }
        }
    });
    receiver
}

/// Waits a little for the machine to power off, then ends it. Returns QEMU's own complaints.
fn end(child: &mut Child) -> String {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().ok();
    child.wait().ok();
    let mut words = String::new();
    if let Some(mut stream) = child.stderr.take() {
        stream.read_to_string(&mut words).ok();
    }
    let words = words.lines().filter(|line| !line.contains("warning:")).collect::<Vec<_>>().join("; ");
    if words.is_empty() { words } else { format!(" (QEMU: {words})") }
}

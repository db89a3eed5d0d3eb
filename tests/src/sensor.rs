//! The sensor under test: the real daemon as a process of its own, spoken to by the real client.

use std::{
    fs,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result, bail, ensure};
use sensor_rules::Source;
use sensor_user::{
    api::{
        protocol::{Pushed, Refused},
        status::Status,
    },
    control::{self, Client, client},
};
use serde_json::Value;

use crate::{case, wait};

/// The program under test.
pub const CREANCE: &str = "/bin/creance";

/// Makes each daemon's files its own.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// The daemon that no test uses at this moment.
static PARKED: Mutex<Option<Sensor>> = Mutex::new(None);

/// How to start a daemon.
#[derive(Default)]
pub struct Launch {
    arguments: Vec<String>,
}

/// A daemon that runs. Dropped, it is killed; [`stop`](Self::stop) is the clean way.
pub struct Sensor {
    child: Child,
    events: PathBuf,
    log: PathBuf,
    /// How many reports are of an earlier test.
    earlier: usize,
}

impl Launch {
    /// With the rules in a directory.
    pub fn directory(directory: &str) -> Self {
        Self::default().with(&["--rules", directory])
    }

    /// With these rules.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn rules(sources: &[Source]) -> Result<Self> {
        Ok(Self::directory(&write(sources)?.to_string_lossy()))
    }

    /// With more arguments.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Carries out verdicts to block, quarantine and kill.
    #[must_use]
    pub fn enforcing(self) -> Self {
        self.with(&["--enforce"])
    }

    /// With a ring buffer so large that a test's events fit in however late the daemon reads them.
    #[must_use]
    pub fn roomy(self) -> Self {
        self.with(&["--ring-size", "67108864"])
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Errors
    /// Where it ends instead, with its words.
    pub fn start(self) -> Result<Sensor> {
        Sensor::stop_parked()?;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        // The disk is the memory of the VM: what nobody reads any more goes. Two daemons may be compared.
        if let Some(old) = number.checked_sub(2) {
            std::fs::remove_file(format!("/tmp/events-{old}")).ok();
        }
        let (events, log) =
            (PathBuf::from(format!("/tmp/events-{number}")), format!("/tmp/creance-{number}.log").into());
        let mut command = self.command(&events);
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut sensor = Sensor { child: command.spawn().context("cannot start creance")?, events, log, earlier: 0 };
        wait::until("the daemon to answer", || {
            if let Some(status) = sensor.child.try_wait()? {
                bail!("the daemon ended with {status}: {}", sensor.words());
            }
            Ok(Client::connect(control::SOCKET).is_ok().then_some(()))
        })
        .with_context(|| sensor.words())?;
        Ok(sensor)
    }

    /// The command that starts it. Where a test says nothing of a limit, every match is reported.
    pub fn command(&self, events: &Path) -> Command {
        let mut command = Command::new(CREANCE);
        command.arg("daemon").args(&self.arguments).arg("--events").arg(events);
        if let Some(mode) = case::told_mode() {
            command.args(["--mode", mode.name()]);
        }
        if !self.arguments.iter().any(|argument| argument == "--report-limit") {
            command.args(["--report-limit", "0"]);
        }
        command
    }
}

impl Sensor {
    /// A new conversation.
    ///
    /// # Errors
    /// Where it does not listen.
    pub fn client(&self) -> Result<Client> {
        Client::connect(control::SOCKET).with_context(|| self.words())
    }

    /// What runs.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn status(&self) -> Result<Status> {
        Ok(self.client()?.status()?)
    }

    /// Pushes rules that must be accepted.
    ///
    /// # Errors
    /// Where they are not.
    pub fn push(&self, sources: Vec<Source>) -> Result<Pushed> {
        Ok(self.client()?.push(sources, false)?)
    }

    /// Pushes rules that must be refused.
    ///
    /// # Errors
    /// Where they are not.
    pub fn refused(&self, sources: Vec<Source>, skip_checks: bool) -> Result<Refused> {
        match self.client()?.push(sources, skip_checks) {
            Err(client::Error::Refused(refused)) => Ok(*refused),
            Err(other) => Err(other.into()),
            Ok(pushed) => bail!("accepted, as generation {}", pushed.generation),
        }
    }

    /// The reports of every event until now, as lines of JSON: waits until all that matched has come out.
    ///
    /// # Errors
    /// Where they do not come, or the sensor says it lost some on the way from the kernel.
    pub fn lines(&self) -> Result<Vec<String>> {
        let received = wait::until("every report to come out of the ring buffer", || {
            let status = self.status()?;
            let matched: u64 = status.events.values().map(|counted| counted.matched).sum();
            let lost = |reason| status.losses.get(reason).copied().unwrap_or_default();
            Ok((status.reports.received + lost("ring_full") + lost("rate_limited") == matched)
                .then_some(status.reports.received))
        })?;
        wait::until("every report to be written", || {
            let text = fs::read_to_string(&self.events)?;
            let written = text.matches('\n').count() as u64;
            ensure!(written <= received + 1000, "{written} reports written of {received} received");
            Ok((written >= received).then(|| text.lines().skip(self.earlier).map(str::to_owned).collect()))
        })
    }

    /// Counts reports from here: what was before is not of this test.
    ///
    /// # Errors
    /// As [`lines`](Self::lines).
    pub fn forget(&mut self) -> Result<()> {
        self.earlier += self.lines()?.len();
        Ok(())
    }

    /// The same reports, parsed.
    ///
    /// # Errors
    /// As [`lines`](Self::lines), or where a line is not JSON.
    pub fn reports(&self) -> Result<Vec<Value>> {
        self.lines()?.iter().map(|line| serde_json::from_str(line).with_context(|| line.clone())).collect()
    }

    /// Sends the daemon a signal.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: takes two numbers.
        ensure!(unsafe { libc::kill(pid, signal) } == 0, "kill: {}", std::io::Error::last_os_error());
        Ok(())
    }

    /// Waits for the daemon's end.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        wait::until("the daemon to end", || Ok(self.child.try_wait()?))
    }

    /// Ends it by SIGTERM; it must end well.
    ///
    /// # Errors
    /// Where it does not.
    pub fn stop(mut self) -> Result<()> {
        self.signal(libc::SIGTERM)?;
        let status = self.ended()?;
        ensure!(status.success(), "after SIGTERM the daemon ended with {status}: {}", self.words());
        Ok(())
    }

    /// Leaves it to the next test.
    pub fn park(self) {
        *PARKED.lock().unwrap_or_else(PoisonError::into_inner) = Some(self);
    }

    /// Takes the parked one, where there is one.
    pub fn parked() -> Option<Self> {
        PARKED.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Stops the parked one, cleanly: only one can run.
    ///
    /// # Errors
    /// Where it does not stop well.
    pub fn stop_parked() -> Result<()> {
        Self::parked().map_or(Ok(()), Self::stop)
    }

    /// The file that its events are written to.
    pub fn events(&self) -> &Path {
        &self.events
    }

    /// The file with what it says.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What the daemon has said so far.
    pub fn words(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        // A test that failed must leave nothing to the next, and what a killed daemon had in force stays.
        if self.signal(libc::SIGTERM).is_err() || self.ended().is_err() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Writes rule files into a new directory.
///
/// # Errors
/// Where that cannot be.
pub fn write(sources: &[Source]) -> Result<PathBuf> {
    let directory = PathBuf::from(format!("/tmp/rules-{}", STARTED.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&directory)?;
    for source in sources {
        fs::write(directory.join(&source.name), &source.text)?;
    }
    Ok(directory)
}

/// A field of a report, by its name in the field table.
pub fn field<'a>(report: &'a Value, name: &str) -> &'a Value {
    match name.split_once('.') {
        Some((family, member)) => &report[family][member],
        None => &report[name],
    }
}

/// Whether a rule is among those that a report names.
pub fn names_rule(report: &Value, id: &str) -> bool {
    report["rules"].as_array().is_some_and(|rules| rules.iter().any(|rule| rule["id"] == id))
}

//! A signed bundle comes into force, is charged with what it does, and the host comes back.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sensor_content::{bundle::Release, key::PrivateKey};
use sensor_rules::Source;
use sensor_user::{
    api::protocol::{Refused, Refuser},
    control::client::Error,
};

use crate::{
    fifo, report,
    rules::{self, Draft},
    sensor::{CREANCE, Launch, Sensor},
    suite::{Boot, Test},
    user, wait,
};

/// The tests of this file.
pub const TESTS: &[Test] = &[
    Test { name: "content::a_bundle_comes_into_force_and_back_after_kill_9", boot: Boot::Plain, run: life },
    Test { name: "content::a_policy_changed_without_a_daemon_holds_for_the_next", boot: Boot::Plain, run: restrained },
    Test { name: "content::off_takes_what_was_left_out_of_force", boot: Boot::Plain, run: off },
    Test { name: "content::what_is_on_probation_goes_on_in_another_version", boot: Boot::Plain, run: upgraded },
    Test { name: "content::what_is_refused_changes_nothing", boot: Boot::Plain, run: refused },
    Test { name: "content::sigterm_leaves_nothing_while_a_server_does_not_answer", boot: Boot::Plain, run: waits },
    Test { name: "content::one_user_takes_nothing_back_and_more_do", boot: Boot::Plain, run: veto },
    Test { name: "content::a_third_kill_on_probation_ends_it", boot: Boot::Plain, run: killed },
];

/// A host's disk.
pub struct Host {
    root: String,
}

/// The publisher.
pub fn key() -> PrivateKey {
    PrivateKey::from_seed(&[1; 32])
}

/// A release with one rule.
///
/// # Errors
/// Where the rule is not sound.
pub fn bundle(number: u64, draft: &Draft<'_>) -> Result<Vec<u8>> {
    bundle_of(number, rules::file("guard.yaml", std::slice::from_ref(draft)), (2000, 60))
}

/// A bundle that says that it costs so many nanoseconds per event, and alerts so often in an hour.
///
/// # Errors
/// Where it makes no sense.
pub fn bundle_of(number: u64, source: Source, (cost, alerts): (u32, u32)) -> Result<Vec<u8>> {
    let release = format!(
        "generation = {number}\ncategory = \"routine\"\nsoak = \"1h\"\nchangelog = \"{number}\"\n\
         budget = {{ nanoseconds_per_event = {cost}, alerts_per_hour = {alerts} }}"
    );
    Ok(Release::parse(&release)?.build(vec![source], &key())?)
}

const PATH: &str = "/tmp/guarded-by-bundle";
/// Blocks that [`PATH`] is made.
pub const GUARD: Draft<'_> = Draft::block("guard", &["fifo.create"], "path == '/tmp/guarded-by-bundle'");

/// Whether the rule is carried out.
pub fn guarded() -> bool {
    fifo::is_refused(&fifo::remake(PATH))
}

impl Host {
    /// A host that trusts the publisher.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(name: &str) -> Result<Self> {
        Self::on(format!("/tmp/{name}"))
    }

    /// The same, with its files in this directory.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn on(root: String) -> Result<Self> {
        fs::create_dir_all(format!("{root}/etc/keys"))?;
        fs::write(format!("{root}/etc/keys/publisher.pub"), key().public().to_pem()?)?;
        Ok(Self { root })
    }

    /// The owner's policy is this from now on.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn policy(&self, text: &str) -> Result<()> {
        Ok(fs::write(format!("{}/etc/content.toml", self.root), text)?)
    }

    /// The file `safe-mode` holds this from now on, or is not there.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn switch(&self, word: Option<&str>) -> Result<()> {
        let path = format!("{}/etc/safe-mode", self.root);
        Ok(word.map_or_else(|| fs::remove_file(&path), |word| fs::write(&path, word))?)
    }

    /// The daemon starts.
    ///
    /// # Errors
    /// Where it does not.
    pub fn starts(&self) -> Result<Sensor> {
        self.launch("0").roomy().start()
    }

    /// A daemon that takes the host to be up after so many seconds.
    fn launch(&self, up: &str) -> Launch {
        let (state, etc) = (format!("{}/state", self.root), format!("{}/etc", self.root));
        let launch = Launch::default().with(&["--state", &state, "--config", &etc, "--settle", "3600", "--up", up]);
        launch.enforcing()
    }
}

fn is_refused(sensor: &Sensor, bundle: &[u8]) -> Result<Refused> {
    match sensor.client()?.push_bundle(bundle, false) {
        Err(Error::Refused(refused)) => Ok(*refused),
        other => anyhow::bail!("not refused: {other:?}"),
    }
}

/// Waits until a generation is in force.
///
/// # Errors
/// Where it does not come into force.
pub fn runs(sensor: &Sensor, number: u64) -> Result<()> {
    wait::until("the generation to be in force", || Ok((sensor.status()?.generation == Some(number)).then_some(())))
        .with_context(|| sensor.words())
}

fn life() -> Result<()> {
    let host = Host::new("life")?;
    let mut sensor = host.starts()?;
    let status = sensor.status()?;
    ensure!(status.generation == Some(0) && status.rules > 0, "no baseline: {status}");
    ensure!(!guarded(), "the baseline guards");
    let pushed = sensor.client()?.push_bundle(&bundle(124, &GUARD)?, false)?;
    ensure!(pushed.generation == 124 && guarded(), "the bundle does not guard");
    sensor.signal(libc::SIGKILL)?;
    sensor.ended()?;
    let sensor = host.starts()?;
    runs(&sensor, 124)?;
    ensure!(guarded(), "after the restart it does not guard");
    ensure!(sensor.client()?.rollback()? == 0 && !guarded(), "the rollback does not lead to the baseline");
    let again = is_refused(&sensor, &bundle(124, &GUARD)?)?;
    ensure!(again.message.contains("by order"), "{}", again.message);
    sensor.stop()?;
    ensure!(!Path::new(&host.root).join("state/attempt").exists(), "a clean stop leaves an attempt");
    Ok(())
}

fn restrained() -> Result<()> {
    let host = Host::new("restrained")?;
    let mut sensor = host.starts()?;
    sensor.client()?.push_bundle(&bundle(9, &GUARD)?, false)?;
    for (policy, blocks) in [("[actions]\nblock = []\n", false), ("", true)] {
        sensor.signal(libc::SIGKILL)?;
        sensor.ended()?;
        host.policy(policy)?;
        sensor = host.starts()?;
        runs(&sensor, 9)?;
        ensure!(guarded() == blocks, "with the policy {policy:?} it blocks, or does not: {}", sensor.status()?);
    }
    sensor.signal(libc::SIGUSR2)?;
    sensor.ended()?;
    host.policy("hold = 1\n")?;
    sensor = host.starts()?;
    ensure!(!guarded(), "with a policy that cannot be read it blocks: {}", sensor.status()?);
    host.policy("")?;
    wait::until("the policy to be read again", || Ok(guarded().then_some(())))?;
    sensor.stop()
}

fn off() -> Result<()> {
    let host = Host::new("off")?;
    let mut sensor = host.starts()?;
    sensor.client()?.push_bundle(&bundle(9, &GUARD)?, false)?;
    for signal in [libc::SIGUSR2, libc::SIGKILL] {
        ensure!(guarded(), "before the switch is set, nothing is blocked");
        sensor.signal(signal)?;
        sensor.ended()?;
        host.switch(Some("off"))?;
        sensor = host.starts()?;
        let status = sensor.status()?;
        ensure!(status.generation.is_none() && !guarded(), "after signal {signal} it goes on to block: {status}");
        ensure!(status.hooks.iter().all(|hook| !hook.attached), "a hook is left attached: {status}");
        sensor.signal(libc::SIGUSR2)?;
        sensor.ended()?;
        host.switch(None)?;
        sensor = host.starts()?;
        runs(&sensor, 9)?;
    }
    sensor.stop()
}

/// A ring buffer of another size makes another version of the kernel side.
fn upgraded() -> Result<()> {
    let host = Host::new("upgraded")?;
    let mut sensor = host.starts()?;
    sensor.client()?.push_bundle(&bundle(9, &GUARD)?, false)?;
    sensor.signal(libc::SIGUSR2)?;
    sensor.ended()?;
    let sensor = host.launch("3600").with(&["--ring-size", "33554432"]).start()?;
    let status = sensor.status()?;
    ensure!(status.generation == Some(9) && guarded(), "what was on probation does not go on: {status}");
    sensor.stop()
}

fn refused() -> Result<()> {
    let host = Host::new("refused")?;
    let sensor = host.starts()?;
    sensor.client()?.push_bundle(&bundle(1, &GUARD)?, false)?;
    let mut wrong = bundle(2, &GUARD)?;
    let end = wrong.len();
    wrong[end - 1] ^= 1;
    ensure!(is_refused(&sensor, &wrong)?.by == Refuser::Bundle, "a wrong signature is taken");
    ensure!(is_refused(&sensor, &bundle(1, &GUARD)?)?.by == Refuser::Policy, "what runs is taken again");
    ensure!(guarded() && sensor.status()?.generation == Some(1), "a refusal changed what runs");
    sensor.stop()
}

fn killed() -> Result<()> {
    let host = Host::new("killed")?;
    let mut sensor = host.starts()?;
    sensor.client()?.push_bundle(&bundle(7, &GUARD)?, false)?;
    for kill in 1..=3 {
        runs(&sensor, 7)?;
        sensor.signal(libc::SIGKILL)?;
        sensor.ended()?;
        sensor = host.starts()?;
        let denied = sensor.status()?.content.context("no content in the status")?.denied;
        ensure!(denied.is_empty() == (kill < 3), "after {kill} kills these are denied: {denied:?}");
    }
    ensure!(sensor.status()?.generation == Some(0) && !guarded(), "it is still in force");
    let last = sensor.client()?.history()?.pop().context("no history")?;
    ensure!(last.generation.number == 7 && last.reason.contains("rolled back"), "the history ends with {last}");
    sensor.stop()
}

/// Longer than from one look at the generation on probation to the next.
const LOOK: Duration = Duration::from_secs(12);

fn veto() -> Result<()> {
    const NOISY: &str = "/tmp/noisy";
    let host = Host::new("veto")?;
    let sensor = host.starts()?;
    let rule = Draft::alert("noisy", &["fifo.open"], "path == '/tmp/noisy'");
    user::fifo_for_all(NOISY)?;
    sensor.client()?.push_bundle(&bundle(8, &rule)?, false)?;
    user::opens(1000, NOISY, 70)?;
    let until = Instant::now() + LOOK;
    while Instant::now() < until {
        let status = sensor.status()?;
        ensure!(status.generation == Some(8), "one user had it taken back: {status}\n{}", sensor.words());
        thread::sleep(Duration::from_millis(200));
    }
    user::opens(1001, NOISY, 31)?;
    user::opens(0, NOISY, 30)?;
    runs(&sensor, 0)?;
    let content = sensor.status()?.content.context("no content in the status")?;
    ensure!(content.denied.is_empty() && content.trial == Some(8), "it is not to be tried again: {content:?}");
    let last = sensor.client()?.history()?.pop().context("no history")?;
    let why = "61 alerts within";
    ensure!(last.reason.contains("tried again") && last.reason.contains(why), "the history ends with {last}");
    report::say(last.to_string());
    sensor.stop()
}

/// Makes a repository on this host; its root.
fn root_of_a_repository(host: &Host) -> Result<String> {
    let creance = |arguments: &str| {
        let status = Command::new(CREANCE).args(arguments.split_whitespace()).current_dir(&host.root).status()?;
        ensure!(status.success(), "creance {arguments} ended with {status}");
        Ok(())
    };
    for key in ["root1", "root2", "content1", "content2", "online"] {
        creance(&format!("bundle keygen {key}"))?;
    }
    creance(
        "repo init repo --root-key root1.key --root-key root2.key --content-key content1.key --content-key content2.key \
         --online-key online.key",
    )?;
    Ok(format!("{}/repo/metadata/1.root.json", host.root))
}

fn waits() -> Result<()> {
    let host = Host::new("waits")?;
    let (silent, root) = (TcpListener::bind("127.0.0.1:0")?, root_of_a_repository(&host)?);
    let address = silent.local_addr()?;
    host.policy(&format!("[repository]\naddress = [\"http://{address}\"]\nroot = \"{root}\"\npoll = \"1s\"\n"))?;
    let sensor = host.starts()?;
    sensor.client()?.push_bundle(&bundle(5, &GUARD)?, false)?;
    let _asks = silent.accept()?;
    sensor.stop()?;
    ensure!(!guarded(), "after SIGTERM it guards still");
    ensure!(!Path::new("/sys/fs/bpf/creance").exists(), "after SIGTERM there are pins");
    ensure!(!Path::new(&host.root).join("state/attempt").exists(), "a clean stop leaves an attempt");
    let sensor = host.starts()?;
    runs(&sensor, 5)?;
    ensure!(guarded(), "it is in force, and does not guard");
    sensor.stop()
}

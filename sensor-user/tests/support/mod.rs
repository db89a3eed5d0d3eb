//! An engine without a kernel, rules, records, and a daemon made of them.
#![allow(dead_code, missing_docs, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod brakes;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use sensor_common::{
    event::{Event, Hook},
    maps::{Counters, Loss, Mark, ObjectKey},
    noise::NoiseKey,
    record::Record,
    shadow::ShadowCounts,
    verdict::{Action, Outcome},
};
use sensor_rules::{RuleSet, Source};
use sensor_user::{
    api::kernel::{HookState, LoadedProgram, VerifierRefusal},
    control::Client,
    daemon::{
        core::{Core, Permits},
        events::journal::Journal,
        generations::{keeper, rule_archive::RuleArchive},
        service::{admission::Admitted, server},
    },
    event::Clock,
    host::settings::Settings,
    kernel::{
        Activation, Refusal, Seen,
        engine::{Brakes, Engine},
        probe::Mode,
    },
};

pub use brakes::FakeBrakes;

/// An engine that accepts everything unless it is told what to say.
#[derive(Default)]
pub struct Fake {
    active: Option<u64>,
    previous: Option<u64>,
    candidate: Option<u64>,
    /// What the candidate does.
    pub seen: Arc<Mutex<Option<Seen>>>,
    /// By whom rules are made to match.
    pub noise: Arc<Mutex<Vec<(NoiseKey, u64)>>>,
    pub brakes: Arc<FakeBrakes>,
    /// What somebody else has changed.
    pub meddling: Arc<Mutex<Vec<String>>>,
    pub marks: Vec<(ObjectKey, Mark)>,
    pub refuse_next: Arc<Mutex<Option<Refusal>>>,
    /// Rules whose id contains this are refused.
    pub refuses: Option<String>,
    /// Another version of the sensor is in force.
    others: bool,
    /// The next activation ends in a panic, as if the daemon died.
    pub die_next: Arc<Mutex<bool>>,
}

impl Fake {
    /// What a daemon before left in force.
    pub fn left(generation: u64) -> Self {
        Self { active: Some(generation), ..Self::default() }
    }

    /// One that adopts nothing, and has another version of the sensor beside it or not.
    pub fn beside(others: bool) -> Self {
        Self { others, ..Self::default() }
    }

    /// One whose verifier refuses rules with such an id.
    pub fn refusing(word: String) -> Self {
        Self { refuses: Some(word), ..Self::default() }
    }
}

impl Engine for Fake {
    fn activate(&mut self, generation: u64, rules: &RuleSet) -> Result<Activation, Refusal> {
        assert!(!std::mem::take(&mut *self.die_next.lock().unwrap()), "dies, as it was told");
        if let Some(refusal) = self.refuse_next.lock().unwrap().take() {
            return Err(refusal);
        }
        let refuses = |rule: &sensor_rules::Rule| self.refuses.as_ref().is_some_and(|word| rule.id.ends_with(word));
        if rules.rules().iter().any(refuses) {
            return Err(verifier_refusal());
        }
        self.previous = self.active.replace(generation);
        self.candidate = None;
        Ok(activation(generation, self.previous, rules))
    }

    fn shadow(&mut self, generation: u64, rules: &RuleSet) -> Result<Activation, Refusal> {
        if let Some(refusal) = self.refuse_next.lock().unwrap().take() {
            return Err(refusal);
        }
        self.candidate = Some(generation);
        Ok(activation(generation, self.active, rules))
    }

    fn shadowed(&mut self) -> anyhow::Result<Option<Seen>> {
        let seen = self.seen.lock().unwrap().clone().unwrap_or_else(nothing_seen);
        Ok(self.candidate.map(|_| seen))
    }

    fn promote(&mut self, rules: &RuleSet) -> Result<Activation, Refusal> {
        let candidate = self.candidate.take().unwrap();
        self.previous = self.active.replace(candidate);
        Ok(activation(candidate, self.previous, rules))
    }

    fn give_up(&mut self) -> anyhow::Result<()> {
        self.candidate = None;
        Ok(())
    }

    fn rollback(&mut self) -> Result<u64, Refusal> {
        let previous = self
            .previous
            .ok_or_else(|| Refusal::Kernel(anyhow::anyhow!("there is no earlier generation to go back to")))?;
        self.previous = self.active.replace(previous);
        Ok(previous)
    }

    fn unload(&mut self) -> anyhow::Result<()> {
        (self.active, self.previous, self.candidate) = (None, None, None);
        Ok(())
    }

    fn active(&self) -> Option<u64> {
        self.active
    }

    fn has_others(&self) -> bool {
        self.others
    }

    fn previous(&self) -> Option<u64> {
        self.previous
    }

    fn stop(&self) {}

    fn brakes(&self) -> Arc<dyn Brakes> {
        Arc::<FakeBrakes>::clone(&self.brakes)
    }

    fn quarantine(&mut self) -> anyhow::Result<Vec<(ObjectKey, Mark)>> {
        Ok(self.marks.clone())
    }

    fn release(&mut self, inode: Option<u64>) -> anyhow::Result<usize> {
        let before = self.marks.len();
        self.marks.retain(|(_, mark)| inode.is_some_and(|inode| mark.inode != inode));
        Ok(before - self.marks.len())
    }

    fn counters(&self) -> anyhow::Result<Counters> {
        let mut counters = Counters::ZERO;
        counters.judged[Event::FifoOpen as usize] = 12;
        counters.matched[Event::FifoOpen as usize] = 3;
        counters.outcomes[Outcome::Denied as usize] = 3;
        counters.lost[Loss::RingFull as usize] = 2;
        Ok(counters)
    }

    fn noise(&self) -> anyhow::Result<Vec<(NoiseKey, u64)>> {
        Ok(self.noise.lock().unwrap().clone())
    }

    fn hooks(&self) -> anyhow::Result<Vec<HookState>> {
        Ok(Hook::ALL
            .iter()
            .map(|hook| HookState {
                hook: hook.name().into(),
                function: hook.name().into(),
                attached: *hook == Hook::FileOpen,
                missing: None,
                recursion_misses: 5,
                verified_instructions: Some(1000),
            })
            .collect())
    }

    fn meddling(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.meddling.lock().unwrap().clone())
    }
}

fn activation(generation: u64, previous: Option<u64>, rules: &RuleSet) -> Activation {
    let programs = Event::ALL
        .iter()
        .filter(|event| rules.rules().iter().any(|rule| rule.events.contains(event)))
        .map(|event| LoadedProgram { event: event.name().into(), instructions: 42, verified_instructions: Some(99) })
        .collect();
    let (time, missing) = (Duration::from_micros(1500), Vec::new());
    Activation { generation, previous, programs, compile_time: time, verify_time: time, switch_time: time, missing }
}

/// A candidate that has judged nothing.
pub fn nothing_seen() -> Seen {
    Seen {
        counts: ShadowCounts::ZERO,
        candidate: BTreeMap::new(),
        active: BTreeMap::new(),
        noise: Vec::new(),
        examples: Vec::new(),
    }
}

/// What the verifier says of the rule `past-the-end`.
pub fn verifier_refusal() -> Refusal {
    Refusal::Verifier(Box::new(VerifierRefusal {
        event: "fifo.open".into(),
        instruction: Some(17),
        origin: None,
        log: "17: (79) r1 = *(u64 *)(r8 +1328)\ninvalid access to map value, value_size=1328 off=1328 size=8".into(),
        gave_up: false,
    }))
}

/// A rule file with one sound rule.
pub fn rule_file(id: &str) -> Source {
    let text = format!(
        "rules:\n  - id: {id}\n    title: A FIFO in /tmp is opened\n    severity: high\n    attack: [T1559]\n    on: fifo.open\n    \
         condition: path.startsWith(\"/tmp/\")\n    action: block\n    tests:\n      match:\n        - path: /tmp/f\n      \
         no_match:\n        - path: /home/me/f\n"
    );
    Source { name: format!("rules/{id}.yaml"), text: text.into_bytes() }
}

/// A rule file that names a field that is not there.
pub fn bad_rule_file() -> Source {
    let good = rule_file("typo");
    let text = String::from_utf8(good.text).unwrap().replace("path.startsWith", "pth.startsWith");
    Source { name: "rules/typo.yaml".into(), text: text.into_bytes() }
}

/// A report as it comes out of the ring buffer: rule 0 of `generation` matched `path`.
pub fn record(generation: u64, path: &[u8]) -> Record {
    let mut record = Record::EMPTY;
    record.head.generation = generation;
    record.head.time = 5_000_000_000;
    record.head.event = Event::FifoOpen as u32;
    record.head.outcome = Outcome::Denied as u32;
    record.head.filled = Event::FifoOpen.groups().0;
    record.verdict.add(0, Action::Block);
    record.process.pid = 812;
    record.process.comm.set(b"sh");
    record.process.exe.set(b"/bin/dash");
    record.parent.pid = 790;
    record.object.path.set(path);
    record
}

/// The daemon's core and server, in a thread of this process. Dropping it ends it.
pub struct Daemon {
    pub core: Arc<Core<Fake>>,
    pub refuse_next: Arc<Mutex<Option<Refusal>>>,
    pub brakes: Arc<FakeBrakes>,
    pub die_next: Arc<Mutex<bool>>,
    pub seen: Arc<Mutex<Option<Seen>>>,
    pub socket: PathBuf,
    stop: Option<(tokio::sync::oneshot::Sender<()>, thread::JoinHandle<()>)>,
    _directory: tempfile::TempDir,
}

impl Daemon {
    pub fn start() -> Self {
        Self::with(Mode::Lsm, Permits::default(), Admitted::users([user()]))
    }

    pub fn with(mode: Mode, permits: Permits, admitted: Admitted) -> Self {
        Self::serving(Fake::default(), mode, permits, admitted, |core, _| core)
    }

    /// One that writes down the rules of each generation.
    pub fn remembering() -> Self {
        let remembering = |core: Core<Fake>, directory: &Path| {
            core.with_archive(RuleArchive::open(directory.join("memory")).unwrap())
        };
        Self::serving(Fake::default(), Mode::Lsm, Permits::default(), Admitted::users([user()]), remembering)
    }

    /// One that keeps generations.
    pub fn keeping(settings: &Settings) -> Self {
        Self::adopting(settings, Fake::default())
    }

    /// One that keeps generations, and finds in the kernel what a daemon before left there.
    pub fn adopting(settings: &Settings, engine: Fake) -> Self {
        let keeper = keeper::Keeper::open(settings.clone()).unwrap();
        let admitted = Admitted::users([user()]);
        let daemon = Self::serving(engine, Mode::Lsm, Permits::default(), admitted, |core, _| core.keeping(keeper));
        daemon.core.generations().start();
        daemon
    }

    fn serving(
        engine: Fake,
        mode: Mode,
        permits: Permits,
        admitted: Admitted,
        change: impl FnOnce(Core<Fake>, &Path) -> Core<Fake>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("control.sock");
        let (refuse_next, die_next) = (Arc::clone(&engine.refuse_next), Arc::clone(&engine.die_next));
        let (brakes, seen) = (Arc::clone(&engine.brakes), Arc::clone(&engine.seen));
        let core = Arc::new(change(Core::new(engine, Journal::default(), mode, permits), directory.path()));
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = Arc::clone(&core);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                tokio::spawn(server::serve(listener, served, admitted));
                let _ = stopped.await;
            });
        });
        Self { core, refuse_next, die_next, seen, brakes, socket, stop: Some((stop, thread)), _directory: directory }
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket).unwrap()
    }

    /// The kernel reports an event.
    pub fn happens(&self, record: &Record) {
        self.core.journal().accept(record.as_bytes(), Clock::now());
    }
}

impl Daemon {
    /// Ends it as SIGTERM does; dropping it is a crash.
    pub fn stop(self) {
        self.ends(true);
    }

    /// Ends it as SIGUSR2 does.
    pub fn hand_over(self) {
        self.ends(false);
    }

    fn ends(mut self, everything: bool) {
        self.end();
        let core = Arc::clone(&self.core);
        drop(self);
        core.stop(everything);
    }

    fn end(&mut self) {
        if let Some((stop, thread)) = self.stop.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// Who runs the tests.
pub fn user() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// Waits for a condition.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Writes rule files into a directory.
pub fn write(directory: &Path, sources: &[Source]) {
    for source in sources {
        let path = directory.join(&source.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &source.text).unwrap();
    }
}

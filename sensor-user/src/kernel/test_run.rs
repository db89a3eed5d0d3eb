//! Runs compiled rules on records, without any hook: the same code as a socket filter, by `BPF_PROG_TEST_RUN`.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf, EbpfLoader, Pod, VerifierLogLevel,
    maps::{Array, Map, MapData},
    programs::{ProgramError, SocketFilter, TestRun as _, TestRunOptions},
};
use sensor_common::{event::Event, field::is_in_doubt, maps::Stage, record::Record, verdict::Verdict};
use sensor_rules::{Budget, Object, Program, RECORD_MAP, RuleSet, Target, compile_within};

use super::{chain, verifier_log};
use crate::{api::kernel::LoadedProgram, kernel::bank::described};

/// The packet that a socket filter is run on; the kernel wants an Ethernet header, our programs do not look at it.
const PACKET: [u8; 64] = [0; 64];

/// How many lines of the verifier's log an error holds before the reason's end.
const LOG_LINES: usize = 40;

thread_local! {
    /// A loader reads the kernel's type information when it is made, which takes longer than all the rest,
    /// and rules need none.
    static LOADER: RefCell<EbpfLoader<'static>> = RefCell::new({
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        loader
    });
}

/// All rules of a rule set, loaded as socket filters.
pub struct TestRun {
    loaded: Vec<Loaded>,
    /// Where the program for an event is: index in `loaded`, and name.
    programs: BTreeMap<(Event, Stage), (usize, String)>,
}

/// The programs of one hook, and the map with the record that they judge.
struct Loaded {
    ebpf: Ebpf,
    record: Array<MapData, Cell>,
    /// What the verifier took.
    verify_time: Duration,
    /// What it accepted.
    accepted: Vec<LoadedProgram>,
    /// Held for its life: without it the chain breaks.
    _parts: Option<Map>,
}

/// A record as the value of a map.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Cell(Record);

// SAFETY: `Record` is `repr(C)`, made of integers only and without padding (asserted in `sensor_common::field`).
unsafe impl Pod for Cell {}

impl TestRun {
    /// Compiles `rules` and loads them into the kernel, attached to nothing. A verifier that gives up, for it
    /// may look at so many instructions only, is given smaller programs.
    ///
    /// # Errors
    /// Rules that are too large, a program that the verifier refuses (with its log and the rule), or a
    /// process that has no right to load programs: see [`not_permitted`].
    pub fn load(rules: &RuleSet) -> Result<Self> {
        let gave_up = |error: &anyhow::Error| error.downcast_ref::<Refused>().is_some_and(|refused| refused.gave_up);
        chain::with_less(
            |budget, level| Self::load_all(compile_within(rules, Target::SocketFilter, budget)?, level),
            gave_up,
        )
    }

    /// As [`load`](Self::load), with no more in one program than `budget` says.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn load_within(rules: &RuleSet, budget: Budget) -> Result<Self> {
        Self::load_objects(compile_within(rules, Target::SocketFilter, budget)?)
    }

    /// Loads what was compiled for [`Target::SocketFilter`].
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn load_objects(objects: Vec<Object>) -> Result<Self> {
        Self::load_all(objects, VerifierLogLevel::DEBUG | VerifierLogLevel::STATS)
    }

    /// The verifier says as much of them as `level` says.
    fn load_all(objects: Vec<Object>, level: VerifierLogLevel) -> Result<Self> {
        let mut run = Self { loaded: Vec::new(), programs: BTreeMap::new() };
        for object in objects {
            let index = run.loaded.len();
            run.loaded.push(Loaded::new(&object, level)?);
            let first = object.programs.into_iter().filter(|program| program.chained.is_none());
            run.programs.extend(first.map(|program| ((program.event, program.stage), (index, program.name))));
        }
        Ok(run)
    }

    /// Lets the compiled rules for `event` judge `record`. Nothing matches where no rule is for the event.
    ///
    /// # Errors
    /// The kernel could not run a program, or a program wrote to the record what only others may, or the
    /// early program sorts out an event that the rules match.
    pub fn judge(&mut self, event: Event, record: &Record) -> Result<Verdict> {
        if is_in_doubt(record)
            && let Some(verdict) = self.run(event, Stage::Unseen, record)?
        {
            return Ok(verdict);
        }
        let early = self.run(event, Stage::Early, record)?;
        let verdict = self.run(event, Stage::Rules, record)?.unwrap_or(Verdict::NONE);
        if (verdict.matched > 0 || verdict.noted > 0) && early.is_some_and(|early| early.action != Verdict::MORE) {
            bail!("the early program for {} sorts out what the rules match: {verdict:?}", event.name());
        }
        Ok(verdict)
    }

    /// What one program says; `None` where there is none.
    fn run(&mut self, event: Event, stage: Stage, record: &Record) -> Result<Option<Verdict>> {
        let Some((index, name)) = self.programs.get(&(event, stage)) else { return Ok(None) };
        let loaded = self.loaded.get_mut(*index).context("a program without an object")?;
        loaded.judge(name, record).map(Some)
    }

    /// Lets the compiled rules for `event` (not what sorts out early) judge `record` so many times; returns
    /// what the kernel says one judgement took. `None` where no rule is for the event.
    ///
    /// # Errors
    /// The kernel could not run the program.
    pub fn time(&mut self, event: Event, record: &Record, times: u32) -> Result<Option<Duration>> {
        let Some((index, name)) = self.programs.get(&(event, Stage::Rules)) else { return Ok(None) };
        let loaded = self.loaded.get_mut(*index).context("a program without an object")?;
        loaded.record.set(0, Cell(*record), 0).context("cannot hand the record to the kernel")?;
        let program: &SocketFilter = loaded.ebpf.program(name).context("the program is not loaded")?.try_into()?;
        let options = TestRunOptions { data_in: Some(&PACKET), repeat: times, ..TestRunOptions::default() };
        Ok(Some(program.test_run(options).context("the kernel cannot run the program")?.duration))
    }

    /// How long the kernel took to verify and translate all programs.
    pub fn verify_time(&self) -> Duration {
        self.loaded.iter().map(|loaded| loaded.verify_time).sum()
    }

    /// All programs, as the verifier accepted them.
    pub fn programs(&self) -> Vec<LoadedProgram> {
        self.loaded.iter().flat_map(|loaded| loaded.accepted.iter().cloned()).collect()
    }

    /// How many instructions the verifier looked at to accept the program for `event`, all paths taken
    /// together; `None` on kernels before 5.16, or where no rule is for the event.
    pub fn verified_instructions(&self, event: Event) -> Option<u32> {
        let (index, name) = self.programs.get(&(event, Stage::Rules))?;
        self.loaded.get(*index)?.ebpf.program(name)?.info().ok()?.verified_instruction_count()
    }
}

impl Loaded {
    fn new(object: &Object, level: VerifierLogLevel) -> Result<Self> {
        let loaded = LOADER.with_borrow_mut(|loader| loader.verifier_log_level(level).load(&object.elf));
        let mut ebpf = loaded.context("cannot load the object with the rules")?;
        let (mut verify_time, mut accepted) = (Duration::ZERO, Vec::new());
        for planned in &object.programs {
            let program: &mut SocketFilter =
                ebpf.program_mut(&planned.name).context("an object lacks a program that it should have")?.try_into()?;
            let started = Instant::now();
            program.load().map_err(|error| refused(planned, error))?;
            verify_time += started.elapsed();
            accepted.push(described(planned, program.info().ok().as_ref()));
        }
        let parts = chain::link(&mut ebpf, object)?;
        let record = ebpf.take_map(RECORD_MAP).context("an object lacks its record")?.try_into()?;
        Ok(Self { ebpf, record, verify_time, accepted, _parts: parts })
    }

    fn judge(&mut self, name: &str, record: &Record) -> Result<Verdict> {
        let mut before = *record;
        before.verdict = Verdict::NONE;
        self.record.set(0, Cell(before), 0).context("cannot hand the record to the kernel")?;
        let program: &SocketFilter = self.ebpf.program(name).context("the program is not loaded")?.try_into()?;
        let options = TestRunOptions { data_in: Some(&PACKET), ..TestRunOptions::default() };
        let result = program.test_run(options).context("the kernel cannot run the program")?;
        let Cell(after) = self.record.get(&0, 0).context("cannot read the record back")?;
        before.verdict = after.verdict;
        if before.as_bytes() != after.as_bytes() || result.return_value != 0 {
            bail!("{name} did more than write a verdict: it returned {}", result.return_value);
        }
        Ok(after.verdict)
    }
}

/// The verifier's refusal with the rule that it is about.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Refused {
    message: String,
    gave_up: bool,
    source: io::Error,
}

fn refused(program: &Program, error: ProgramError) -> anyhow::Error {
    let ProgramError::LoadError { io_error, verifier_log } = error else { return error.into() };
    let log = verifier_log.to_string();
    let origin = verifier_log::stopped_at(&log).and_then(|instruction| program.origin(instruction));
    let rule = origin
        .map_or_else(String::new, |origin| format!(" in rule `{}` ({}: {})", origin.rule, origin.place, origin.text));
    let end = verifier_log::reason(&log, LOG_LINES);
    Refused {
        message: format!("the verifier refused {}{rule}:\n{end}", program.name),
        gave_up: verifier_log::gave_up(&io_error, &log),
        source: io_error,
    }
    .into()
}

/// Whether an error of [`TestRun::load`] says no more than that this process may not load programs.
pub fn not_permitted(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
}

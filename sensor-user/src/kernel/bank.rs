//! The programs of one generation, accepted by this kernel's verifier.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use aya::{
    VerifierLogLevel,
    maps::Map,
    programs::{ProgramError, ProgramFd, ProgramInfo},
};
use sensor_common::{
    event::{Event, Groups, Hook},
    maps::{Container, Generation, Stage},
    state::Tracked,
};
use sensor_rules::{Budget, Object, Program, RuleSet, Target, compile_within};

use super::{
    chain,
    hooks::Hooks,
    refusal::{Refusal, refusal},
};
use crate::api::kernel::LoadedProgram;

/// Describes `program`; `info` is what the kernel says of it.
pub(super) fn described(program: &Program, info: Option<&ProgramInfo>) -> LoadedProgram {
    LoadedProgram {
        event: program.event.name().to_owned(),
        instructions: program.instructions,
        verified_instructions: info.and_then(ProgramInfo::verified_instruction_count),
    }
}

/// All programs of one generation: only the verifier's consent makes one of these.
pub struct Verified {
    /// Facts that hooks read.
    pub facts: Generation,
    /// What the sensor knows of rules with state.
    pub states: Vec<Tracked>,
    /// What its rules may put in quarantine, see [`RuleSet::quarantines`].
    pub quarantines: Option<Container>,
    /// Description of the programs.
    pub programs: Vec<LoadedProgram>,
    /// From rules to objects.
    pub compile_time: Duration,
    /// From objects to accepted programs.
    pub verify_time: Duration,
    /// The first program of each chain. Nothing but its descriptor: what the loader keeps of a program has
    /// all its instructions.
    entries: BTreeMap<(Event, Stage), ProgramFd>,
    /// The ids of the programs that events are to reach, by which it is known that they still do.
    pub ids: BTreeMap<(Event, Stage), u32>,
    /// While these live, the chains of programs hold.
    parts: Vec<(Hook, Map)>,
}

impl Verified {
    /// A generation that an earlier daemon put in force: its programs are where they were.
    pub fn adopted(facts: &Generation, quarantines: Option<Container>) -> Self {
        let mut facts = *facts;
        for needs in &mut facts.needs {
            *needs = Groups(*needs).without(Groups::SHADOWED).0;
        }
        Self {
            // In the kernel's maps already.
            states: Vec::new(),
            facts,
            quarantines,
            programs: Vec::new(),
            compile_time: Duration::ZERO,
            verify_time: Duration::ZERO,
            entries: BTreeMap::new(),
            ids: BTreeMap::new(),
            parts: Vec::new(),
        }
    }

    /// Compiles rules and loads them into the kernel, attached to nothing and reachable from nowhere.
    ///
    /// A verifier that gives up, for it may look at so many instructions only, is given smaller programs.
    pub fn load(id: u64, rules: &RuleSet, hooks: &mut Hooks) -> Result<Self, Refusal> {
        let gave_up = |refusal: &Refusal| matches!(refusal, Refusal::Verifier(refusal) if refusal.gave_up);
        chain::with_less(|budget, level| Self::load_within(id, rules, hooks, budget, level), gave_up)
    }

    fn load_within(
        id: u64,
        rules: &RuleSet,
        hooks: &mut Hooks,
        budget: Budget,
        level: VerifierLogLevel,
    ) -> Result<Self, Refusal> {
        let started = Instant::now();
        let objects = compile_within(rules, Target::Hook(hooks.mode()), budget).map_err(Refusal::Content)?;
        let compile_time = started.elapsed();
        let mut verified = Self {
            facts: Generation { id, ..Generation::NONE },
            states: rules.tracked(),
            quarantines: rules.quarantines(),
            programs: Vec::new(),
            compile_time,
            verify_time: Duration::ZERO,
            entries: BTreeMap::new(),
            ids: BTreeMap::new(),
            parts: Vec::new(),
        };
        // Rules for what this mode cannot see are accepted, and said to be of no use here: see `Unseen`.
        let mode = hooks.mode();
        let is_seen = |hook: Hook| hook.is_seen_in(mode);
        for object in objects.iter().filter(|object| is_seen(object.hook)) {
            verified.load_object(object, hooks, level)?;
        }
        for event in Event::ALL.iter().filter(|event| is_seen(event.hook())) {
            let acts = if rules.acts_on(*event) { Groups::ENFORCED } else { Groups::NONE };
            verified.facts.needs[*event as usize] = rules.needs(*event).with(acts).0;
            verified.facts.early[*event as usize] = rules.early(*event).map_or(Groups::NONE, |early| early.reads).0;
            verified.facts.least[*event as usize] = rules.least_payload(*event);
        }
        verified.facts.signals = rules.signals();
        verified.verify_time = started.elapsed().saturating_sub(compile_time);
        Ok(verified)
    }

    fn load_object(&mut self, object: &Object, hooks: &mut Hooks, level: VerifierLogLevel) -> Result<(), Refusal> {
        let event = object.programs.first().map_or("", |program| program.event.name());
        hooks.load(object.hook).with_context(|| format!("{event} cannot be seen here"))?;
        let mut ebpf = hooks
            .load_rules(&object.elf, level)
            .with_context(|| format!("cannot load the object of the rules for {}", object.hook.name()))?;
        let mut unseen = [0; Event::COUNT];
        for planned in &object.programs {
            // Itself, and finish behind the last of a chain.
            let calls = 1 + u32::from(planned.chained.is_none());
            if planned.stage == Stage::Unseen {
                unseen[planned.event as usize] += calls;
            } else {
                self.facts.calls[planned.event as usize] += calls;
            }
            let program = ebpf.program_mut(&planned.name).context("an object lacks a program that it should have")?;
            hooks.verify(object.hook, program).map_err(|error| refusal(planned.event, planned, error))?;
            self.programs.push(described(planned, program.info().ok().as_ref()));
            if planned.chained.is_none() {
                let fd = program.fd().and_then(|fd| fd.try_clone().map_err(ProgramError::from));
                self.entries.insert((planned.event, planned.stage), fd.context("a program is not loaded")?);
            }
        }
        for (calls, unseen) in self.facts.calls.iter_mut().zip(unseen) {
            // Finish comes before them as well, where there is an early program.
            *calls = (*calls).max(if unseen == 0 { 0 } else { unseen + 1 });
        }
        let parts = chain::link(&mut ebpf, object)?;
        self.parts.extend(parts.map(|parts| (object.hook, parts)));
        Ok(())
    }

    /// The program for `event`, where this generation has one.
    pub fn program(&self, event: Event, stage: Stage) -> Option<&ProgramFd> {
        let entry = |stage| self.entries.get(&(event, stage));
        // Where no rule reads a text that may not be seen whole, such an event is judged as any other.
        entry(stage).or_else(|| entry(Stage::Rules).filter(|_| stage == Stage::Unseen))
    }

    /// The arrays that hold the chains of its programs together, by the hook.
    pub fn parts(&self) -> impl Iterator<Item = (Hook, &Map)> {
        self.parts.iter().map(|(hook, parts)| (*hook, parts))
    }

    /// Whether these are its facts, apart from what is noted there of a candidate.
    pub fn is_as(&self, facts: &Generation) -> bool {
        let own = |needs: [u32; Event::COUNT]| needs.map(|needs| Groups(needs).without(Groups::SHADOWED).0);
        let rest = |facts: &Generation| (facts.id, facts.early, facts.calls, facts.least, facts.signals);
        rest(facts) == rest(&self.facts) && own(facts.needs) == own(self.facts.needs)
    }

    /// Whether this generation has rules for any event of `hook`.
    pub fn needs(&self, hook: Hook) -> bool {
        Event::of(hook).any(|event| !Groups(self.facts.needs[event as usize]).is_empty())
    }
}

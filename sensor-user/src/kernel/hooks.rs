//! Our own programs: hooks and finish. Loaded when the first generation needs them; attached while one does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf, EbpfError, EbpfLoader, Endianness, VerifierLogLevel,
    maps::{MapData, ProgramArray},
    programs::{Program, ProgramFd},
};
use sensor_common::{
    event::{Attach, Hook, Mode},
    maps::{self, Container},
};

use super::{
    attach::{self, Link, LoadError, program},
    beside::Beside,
    btf::Btf,
    crowd::Crowd,
    hook_state::recursion_misses,
    maps::take,
    offsets, own,
    pins::Pins,
    place::{self, Place},
    quarantine::Quarantine,
    stages::Stages,
};
use crate::{api::kernel::HookState, log::say};

/// The object with all hooks, built from `sensor-ebpf`.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sensor-ebpf.o"));

/// One hook, loaded.
struct Loaded {
    place: Place,
    /// Name of its program.
    program: String,
    stages: ProgramArray<MapData>,
    /// The id of its finish.
    finish: Option<u32>,
    verified_instructions: Option<u32>,
    link: Option<Link>,
    /// The program that an earlier daemon loaded; `None` where it is ours.
    adopted: Option<ProgramFd>,
}

/// All hooks: those that some generation needed are in the kernel.
pub struct Hooks {
    ebpf: Ebpf,
    mode: Mode,
    /// The kernel's functions that programs are attached to.
    kernel: aya::Btf,
    /// Where each hook is attached, or why it cannot be.
    places: BTreeMap<Hook, Result<Place, String>>,
    /// Loads the objects of all generations: a loader reads the kernel's type information when it is made,
    /// which takes longer than all the rest.
    rules: EbpfLoader<'static>,
    loaded: BTreeMap<Hook, Loaded>,
    /// What tells hooks what they cannot see, see [`Hook::notes`].
    notes: BTreeMap<Hook, Vec<Beside>>,
    quarantine: Quarantine,
    pins: Arc<Pins>,
    /// Who else was on the kernel's functions at the start.
    crowd: Crowd,
    /// The hooks that are needed and not attached, and why.
    missing: BTreeMap<Hook, String>,
}

impl Hooks {
    /// Makes the maps, or takes those that are pinned; loads and attaches nothing.
    ///
    /// # Errors
    /// The kernel lacks something, or refuses a map: with its own words.
    pub fn new(mode: Mode, btf: &Btf, pins: Arc<Pins>, ring_bytes: u32) -> Result<Self> {
        let mut globals = offsets::resolve(btf)?;
        // Nothing that is seen at tracepoints looks into pages.
        let variables = if mode == Mode::Tracepoints { Vec::new() } else { offsets::variables() };
        globals.push(offsets::host_mount_namespace());
        let mut rules = EbpfLoader::new();
        rules.btf(None).default_map_pin_directory(pins.directory());
        let mut loader = EbpfLoader::new();
        loader.btf(None).default_map_pin_directory(pins.directory()).map_max_entries(maps::EVENTS, ring_bytes);
        for name in maps::SHARED {
            loader.map_pin_path(name, pins.map(name));
        }
        for (name, value) in &globals {
            // Not every member is used on every build; one that the compiler dropped has no global.
            loader.override_global(name, value, false);
        }
        for (name, address) in &variables {
            loader.override_global(name, address, false);
        }
        let mut ebpf = loader.load(OBJECT).context("cannot load the sensor's maps")?;
        let places: BTreeMap<_, _> = Hook::ALL.iter().map(|hook| (*hook, place::of(*hook, mode, btf))).collect();
        let quarantine = Quarantine::new(&mut ebpf, btf, mode)?;
        let notes: BTreeMap<_, _> = Hook::ALL.iter().map(|hook| (*hook, notes(*hook, mode))).collect();
        let beside = || notes.values().flatten();
        let hooks = Hook::ALL.iter().map(|hook| program_name(*hook, mode));
        let mut needed: BTreeSet<_> = hooks.flat_map(|name| [format!("finish_{name}"), name]).collect();
        needed.insert(own::PROGRAM.to_owned());
        needed.extend(beside().map(Beside::program).chain(quarantine.programs()).map(str::to_owned));
        // Those of other modes are two thirds of the object.
        ebpf.retain_programs(|name| needed.contains(name));
        let kernel =
            functions(btf, places.values().flatten().chain(beside().map(Beside::place)).chain(quarantine.places()))?;
        let crowd = Crowd::look(btf);
        Ok(Self {
            ebpf,
            mode,
            kernel,
            places,
            rules,
            loaded: BTreeMap::new(),
            notes,
            quarantine,
            pins,
            crowd,
            missing: BTreeMap::new(),
        })
    }

    /// Takes over what an earlier daemon of this version left attached.
    ///
    /// # Errors
    /// What is pinned cannot be opened.
    pub fn adopt(&mut self) -> Result<()> {
        self.notes.values_mut().flatten().try_for_each(|note| note.adopt(&self.pins))?;
        for hook in Hook::ALL {
            let program = program_name(*hook, self.mode);
            let Some((link, fd)) = self.pins.find(&program)? else { continue };
            let place = self.place(*hook)?;
            let stages = take(&mut self.ebpf, hook.stages())?;
            let finish = Stages::open(*hook, &self.pins)?.id(maps::FINISH)?;
            let (link, adopted) = (Some(link), Some(fd));
            let loaded = Loaded { place, program, stages, finish, verified_instructions: None, link, adopted };
            self.loaded.insert(*hook, loaded);
        }
        self.quarantine.adopt(&self.pins)
    }

    /// The hooks that are attached.
    pub fn attached(&self) -> Vec<Hook> {
        self.loaded.iter().filter(|(_, loaded)| loaded.link.is_some()).map(|(hook, _)| *hook).collect()
    }

    /// The id of the program that ends events of a hook.
    pub fn finish(&self, hook: Hook) -> Option<u32> {
        self.loaded.get(&hook)?.finish
    }

    /// That nothing keeps an attached hook attached but this daemon, where more was to.
    pub fn unpinned(&self, hook: Hook) -> Option<String> {
        let loaded = self.loaded.get(&hook)?;
        let is_pinned = matches!(loaded.link, Some(Link::Pinned(_)));
        (is_pinned && !self.pins.is_pinned(&loaded.program))
            .then(|| format!("the pin that keeps {} attached when the daemon ends is gone", hook.name()))
    }

    fn place(&self, hook: Hook) -> Result<Place> {
        match self.places.get(&hook) {
            Some(Ok(place)) => Ok(place.clone()),
            Some(Err(why)) => bail!("{why}"),
            None => bail!("this hook is not known"),
        }
    }

    /// How the hooks are attached.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The loaded object, to take maps out of it.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Loads the programs of a hook, and makes finish reachable; nothing happens where they are loaded.
    ///
    /// # Errors
    /// The kernel has no such hook, or refuses a program: with its own words.
    pub fn load(&mut self, hook: Hook) -> Result<()> {
        // What an earlier daemon loaded is of use as long as it is attached.
        if self.loaded.get(&hook).is_some_and(|loaded| loaded.adopted.is_none() || loaded.link.is_some()) {
            return Ok(());
        }
        let place = self.place(hook)?;
        let program = program_name(hook, self.mode);
        let finish = format!("finish_{program}");
        let mut verified_instructions = None;
        for name in [&program, &finish] {
            let loaded = attach::program(&mut self.ebpf, name)?;
            // The first one stays loaded where the kernel refused the other.
            if loaded.fd().is_err() {
                attach::load(loaded, &place, &self.kernel)
                    .with_context(|| format!("the kernel refused the sensor's own program {name} on {place}"))?;
            }
            let count = loaded.info().ok().and_then(|info| info.verified_instruction_count());
            verified_instructions = count.map(|count| count + verified_instructions.unwrap_or(0));
        }
        let mut stages: ProgramArray<MapData> = match self.loaded.remove(&hook) {
            Some(adopted) => adopted.stages,
            None => take(&mut self.ebpf, hook.stages())?,
        };
        let end = attach::program(&mut self.ebpf, &finish)?;
        stages.set(maps::FINISH, end.fd()?, 0).context("cannot make finish reachable")?;
        let finish = Some(end.info()?.id());
        let loaded = Loaded { place, program, stages, finish, verified_instructions, link: None, adopted: None };
        self.loaded.insert(hook, loaded);
        Ok(())
    }

    /// The program array through which a hook reaches its rules.
    pub fn stages(&mut self, hook: Hook) -> Result<&mut ProgramArray<MapData>> {
        Ok(&mut self.loaded.get_mut(&hook).context("this hook is not loaded")?.stages)
    }

    /// Loads an object of rules: its maps are ours, its programs are not in the kernel yet.
    /// The verifier will say as much of them as `level` says.
    pub fn load_rules(&mut self, elf: &[u8], level: VerifierLogLevel) -> Result<Ebpf, EbpfError> {
        self.rules.verifier_log_level(level).load(elf)
    }

    /// Lets the verifier judge a program of rules for `hook`.
    ///
    /// # Errors
    /// It refused: the error holds its words.
    pub fn verify(&self, hook: Hook, program: &mut Program) -> Result<(), LoadError> {
        let loaded = self.loaded.get(&hook).ok_or(LoadError::UnknownHook)?;
        attach::load(program, &loaded.place, &self.kernel)
    }

    /// Attaches a hook; nothing happens where it is attached. Where the kernel takes no more programs at its
    /// place it is [`missing`](Self::missing), and the others do without it.
    pub fn attach(&mut self, hook: Hook) -> Result<()> {
        match self.attach_whole(hook) {
            Err(error) if attach::is_full(&error) => {
                let why = self.full(hook)?;
                let is_known = self.missing.get(&hook) == Some(&why);
                // What tells it what it cannot see is of no use without it.
                self.detach(hook)?;
                if !is_known {
                    say(format_args!("WARNING: {why}"));
                }
                self.missing.insert(hook, why);
                Ok(())
            }
            // It is tried again.
            Err(error) => Err(error),
            Ok(()) => {
                self.missing.remove(&hook);
                Ok(())
            }
        }
    }

    /// Where there was no room for a hook, or for what is beside it, and who is there.
    fn full(&self, hook: Hook) -> Result<String> {
        let own = self.place(hook)?;
        // They come first, one after the other.
        let beside = self.notes.get(&hook).into_iter().flatten().find(|note| !note.is_attached());
        Ok(self.crowd.full(&format!("the hook {}", hook.name()), beside.map_or(&own, Beside::place)))
    }

    /// What is missing of what is needed, and why.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.missing.values().map(String::as_str).chain(self.quarantine.missing())
    }

    /// Whether a hook is needed and not attached because there was no room for it.
    pub fn is_missing(&self, hook: Hook) -> bool {
        self.missing.contains_key(&hook)
    }

    /// Tries anew what is missing.
    pub fn attach_missing(&mut self, needed: Option<Container>) -> Result<()> {
        for hook in self.missing.keys().copied().collect::<Vec<_>>() {
            self.attach(hook)?;
        }
        self.guard_quarantine(needed)
    }

    fn attach_whole(&mut self, hook: Hook) -> Result<()> {
        self.load(hook)?;
        for note in self.notes.get_mut(&hook).into_iter().flatten() {
            note.attach(&mut self.ebpf, &self.kernel, &self.pins)?;
        }
        let loaded = self.loaded.get_mut(&hook).context("this hook is not loaded")?;
        if loaded.link.is_none() {
            let program = program(&mut self.ebpf, &loaded.program)?;
            let link = attach::attach(program, &loaded.place, &self.kernel);
            let link = link.with_context(|| format!("cannot attach to {}", loaded.place))?;
            loaded.link = Some(self.pins.pin(&loaded.program, program, link)?);
        }
        Ok(())
    }

    /// Detaches a hook; nothing happens where it is detached.
    pub fn detach(&mut self, hook: Hook) -> Result<()> {
        self.missing.remove(&hook);
        let Some(loaded) = self.loaded.get_mut(&hook) else { return Ok(()) };
        if let Some(link) = loaded.link.take() {
            let link = self.pins.unpin(&loaded.program, link)?;
            attach::detach(program(&mut self.ebpf, &loaded.program)?, link)?;
        }
        let notes = self.notes.get_mut(&hook).into_iter().flatten().rev();
        notes.into_iter().try_for_each(|note| note.detach(&mut self.ebpf, &self.pins))
    }

    /// What is in quarantine.
    pub fn quarantine(&mut self) -> &mut Quarantine {
        &mut self.quarantine
    }

    /// Keeps readers away from what is in quarantine, where that is needed and this mode can do it.
    pub fn guard_quarantine(&mut self, needed: Option<Container>) -> Result<()> {
        let needed = needed.filter(|_| self.mode.can_enforce());
        self.quarantine.guard(needed, &mut self.ebpf, &self.kernel, &self.pins, &self.crowd)
    }

    /// The state of every hook that was ever needed, and of every guard of the quarantine.
    pub fn states(&self) -> Result<Vec<HookState>> {
        let hooks = self.loaded.iter().map(|(hook, loaded)| {
            let own = self.ebpf.program(&loaded.program).context("this hook is not loaded")?;
            let program = match &loaded.adopted {
                Some(adopted) => adopted,
                None => own.fd()?,
            };
            Ok(HookState {
                hook: hook.name().to_owned(),
                function: loaded.place.to_string(),
                attached: loaded.link.is_some(),
                missing: self.missing.get(hook).cloned(),
                recursion_misses: recursion_misses(program)?,
                verified_instructions: loaded.verified_instructions,
            })
        });
        let notes = self.notes.values().flatten().filter(|note| note.is_loaded()).map(|note| note.state(&self.ebpf));
        hooks.chain(notes).chain(self.quarantine.states(&self.ebpf)?.into_iter().map(Ok)).collect()
    }
}

/// The programs beside a hook in this mode.
fn notes(hook: Hook, mode: Mode) -> Vec<Beside> {
    let noted = if mode == Mode::Tracepoints { &[] } else { hook.notes() };
    let beside = |(program, function): &(&str, &str)| {
        Beside::new((*program).to_owned(), Place::Function((*function).to_owned()))
    };
    noted.iter().map(beside).collect()
}

/// What a loader has to know of the kernel to attach programs to these places.
fn functions<'a>(btf: &Btf, places: impl Iterator<Item = &'a Place>) -> Result<aya::Btf> {
    let names: BTreeSet<&str> = places
        .filter_map(|place| match place {
            Place::Function(name) | Place::ModifyReturn(name) => Some(name.as_str()),
            Place::Syscalls(_) => None,
        })
        .collect();
    // An LSM program's place is the name of the hook.
    let functions = btf.only_functions(|name| names.contains(name.strip_prefix("bpf_lsm_").unwrap_or(name)))?;
    aya::Btf::parse(&functions, Endianness::default()).context("cannot use the kernel's type information")
}

/// The program of a hook in this mode.
fn program_name(hook: Hook, mode: Mode) -> String {
    match (mode, hook.attach()) {
        (Mode::Tracepoints, _) => format!("trace_{}", hook.name()),
        (Mode::ModifyReturn, Attach::Lsm) => format!("modify_{}", hook.name()),
        (Mode::Observe, Attach::Lsm) => format!("observe_{}", hook.name()),
        (Mode::Lsm, Attach::Lsm) | (_, Attach::Fentry(_) | Attach::Fexit(_)) => hook.name().to_owned(),
    }
}

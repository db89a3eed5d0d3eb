//! Our own programs: hooks and finish. Loaded once, at start; attached while a generation needs them.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use anyhow::{Context, Result, bail};
use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{MapData, ProgramArray},
    programs::{FEntry, Lsm, Program, ProgramFd},
};
use sensor_common::{
    event::{Attach, Hook, Mode},
    maps,
};

use super::{btf::Btf, maps::take, offsets};

/// The object with all hooks, built from `sensor-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("CREANCE_EBPF"));

/// State of one hook, for `creance status`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct HookState {
    /// Name of the hook.
    pub hook: String,
    /// The kernel function that the hook's program is attached to.
    pub function: String,
    /// Whether it is attached now: only while a rule needs it.
    pub attached: bool,
    /// How often the kernel skipped the program because it was already running on that CPU. A skipped event was not
    /// judged, and allowed.
    pub recursion_misses: u64,
}

/// One hook, loaded.
struct Loaded {
    function: String,
    /// Name of its program.
    program: String,
    stages: ProgramArray<MapData>,
    link: Option<Link>,
}

enum Link {
    Lsm(aya::programs::lsm::LsmLinkId),
    Fentry(aya::programs::fentry::FEntryLinkId),
}

/// All hooks, loaded into the kernel.
pub struct Hooks {
    ebpf: Ebpf,
    mode: Mode,
    kernel: aya::Btf,
    /// Loads the objects of all generations: a loader reads the kernel's type information when it is made, which takes longer
    /// than all the rest.
    rules: EbpfLoader<'static>,
    loaded: BTreeMap<Hook, Loaded>,
}

impl Hooks {
    /// Loads every hook and its finish, as `mode` wants them; attaches nothing. Maps that rules share are pinned below
    /// `pin_dir`.
    ///
    /// # Errors
    /// The kernel lacks something, or refuses a program: with its own words.
    pub fn load(mode: Mode, btf: &Btf, pin_dir: &Path, ring_bytes: u32) -> Result<Self> {
        let globals = offsets::resolve(btf)?;
        let mut rules = EbpfLoader::new();
        rules.btf(None).default_map_pin_directory(pin_dir);
        let mut loader = EbpfLoader::new();
        loader.btf(None).default_map_pin_directory(pin_dir).map_max_entries(maps::EVENTS, ring_bytes);
        for (name, value) in &globals {
            // Not every member is used on every build; one that the compiler dropped has no global.
            loader.override_global(name, value, false);
        }
        let mut ebpf = loader.load(OBJECT).context("cannot load the sensor's maps")?;
        let kernel = aya::Btf::from_sys_fs().context("cannot read the kernel's type information")?;
        let mut hooks = BTreeMap::new();
        for hook in Hook::ALL {
            hooks.insert(*hook, load_hook(&mut ebpf, *hook, mode, btf, &kernel)?);
        }
        Ok(Self { ebpf, mode, kernel, rules, loaded: hooks })
    }

    /// How the hooks are attached.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The loaded object, to take maps out of it.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// The program array through which a hook reaches its rules.
    pub fn stages(&mut self, hook: Hook) -> Result<&mut ProgramArray<MapData>> {
        Ok(&mut self.loaded.get_mut(&hook).context("this hook is not loaded")?.stages)
    }

    /// Loads an object of rules: its maps are ours, its programs are not in the kernel yet.
    pub fn load_rules(&mut self, elf: &[u8]) -> Result<Ebpf, EbpfError> {
        self.rules.load(elf)
    }

    /// Lets the verifier judge a program of rules for `hook`.
    ///
    /// # Errors
    /// It refused: the error holds its words.
    pub fn verify(&self, hook: Hook, program: &mut Program) -> Result<(), LoadError> {
        let loaded = self.loaded.get(&hook).ok_or(LoadError::UnknownHook)?;
        load_program(program, &loaded.function, &self.kernel)
    }

    /// Attaches a hook; nothing happens where it is attached.
    pub fn attach(&mut self, hook: Hook) -> Result<()> {
        let loaded = self.loaded.get_mut(&hook).context("this hook is not loaded")?;
        if loaded.link.is_none() {
            let link = match program(&mut self.ebpf, &loaded.program)? {
                Program::Lsm(program) => program.attach().map(Link::Lsm),
                Program::FEntry(program) => program.attach().map(Link::Fentry),
                _ => bail!("hook {} is of an unexpected program type", hook.name()),
            };
            loaded.link = Some(link.with_context(|| format!("cannot attach to {}", loaded.function))?);
        }
        Ok(())
    }

    /// Detaches a hook; nothing happens where it is detached.
    pub fn detach(&mut self, hook: Hook) -> Result<()> {
        let loaded = self.loaded.get_mut(&hook).context("this hook is not loaded")?;
        match (loaded.link.take(), program(&mut self.ebpf, &loaded.program)?) {
            (Some(Link::Lsm(link)), Program::Lsm(program)) => program.detach(link)?,
            (Some(Link::Fentry(link)), Program::FEntry(program)) => program.detach(link)?,
            _ => {}
        }
        Ok(())
    }

    /// The state of every hook.
    pub fn states(&self) -> Result<Vec<HookState>> {
        self.loaded
            .iter()
            .map(|(hook, loaded)| {
                let program = self.ebpf.program(&loaded.program).context("this hook is not loaded")?;
                Ok(HookState {
                    hook: hook.name().to_owned(),
                    function: loaded.function.clone(),
                    attached: loaded.link.is_some(),
                    recursion_misses: recursion_misses(program.fd()?)?,
                })
            })
            .collect()
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program> {
    ebpf.program_mut(name).with_context(|| format!("the sensor's object has no program {name}"))
}

/// Loads the program of a hook and its finish, and makes finish reachable.
fn load_hook(ebpf: &mut Ebpf, hook: Hook, mode: Mode, btf: &Btf, kernel: &aya::Btf) -> Result<Loaded> {
    let (name, function) = target(hook, mode, btf)?;
    let finish = format!("finish_{name}");
    for name in [&name, &finish] {
        load_program(program(ebpf, name)?, &function, kernel)
            .with_context(|| format!("the kernel refused the sensor's own program {name} on {function}"))?;
    }
    let mut stages: ProgramArray<MapData> = take(ebpf, hook.stages())?;
    stages.set(maps::FINISH, program(ebpf, &finish)?.fd()?, 0).context("cannot make finish reachable")?;
    Ok(Loaded { function, program: name, stages, link: None })
}

/// Loads one program for a hook of this kernel.
///
/// # Errors
/// The kernel's verifier refused it: the error holds its words.
fn load_program(program: &mut Program, function: &str, kernel: &aya::Btf) -> Result<(), LoadError> {
    match program {
        Program::Lsm(program) => Lsm::load(program, function, kernel)?,
        Program::FEntry(program) => FEntry::load(program, function, kernel)?,
        _ => return Err(LoadError::UnexpectedProgramType),
    }
    Ok(())
}

/// Why a program could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// aya or the kernel refused.
    #[error(transparent)]
    Program(#[from] aya::programs::ProgramError),
    /// Neither an LSM nor an fentry program.
    #[error("the program is of a type that no hook has")]
    UnexpectedProgramType,
    /// A program for a hook that is not loaded.
    #[error("the hook of the program is not loaded")]
    UnknownHook,
}

/// The program of a hook, and the function that it is attached to, in this mode on this kernel.
fn target(hook: Hook, mode: Mode, btf: &Btf) -> Result<(String, String)> {
    match (hook.attach(), mode) {
        (Attach::Lsm(name), Mode::Lsm) => Ok((hook.name().to_owned(), name.to_owned())),
        (Attach::Lsm(name), Mode::Observe) => Ok((format!("observe_{}", hook.name()), format!("security_{name}"))),
        (Attach::Fentry(names), _) => {
            let function = names.iter().find(|name| btf.has_function(name)).with_context(|| {
                format!("this kernel has no function {} for the hook {}", names.join(" or "), hook.name())
            })?;
            Ok((hook.name().to_owned(), (*function).to_owned()))
        }
    }
}

/// Reads `recursion_misses` of a program, as the kernel shows it with the descriptor (since 5.12; 0 before).
fn recursion_misses(program: &ProgramFd) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd());
    let info = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let value = info.lines().find_map(|line| line.strip_prefix("recursion_misses:"));
    value.map_or(Ok(0), |value| {
        value.trim().parse().with_context(|| format!("{path} has no number of recursion misses"))
    })
}

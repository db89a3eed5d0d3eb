//! Programs at their [`Place`] in the kernel: loaded, attached, detached, attached again.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use aya::{
    Btf, Ebpf,
    programs::{
        FEntry, FExit, Lsm, Program, ProgramError, TracePoint,
        links::{FdLink, PinnedLink},
        trace_point::TracePointLinkId,
    },
    sys::SyscallError,
};

use super::place::{self, Place};

/// How long the kernel may take to free a link whose pin was removed.
const RELEASE: Duration = Duration::from_secs(5);

/// The program is attached while nobody gives this to [`detach`].
pub enum Link {
    /// By this process only.
    Held(FdLink),
    /// By its pin, see [`Pins`](super::pins::Pins).
    Pinned(PinnedLink),
    Tracepoints(Vec<TracePointLinkId>),
}

impl From<FdLink> for Link {
    fn from(link: FdLink) -> Self {
        Self::Held(link)
    }
}

/// Why a program could not be loaded or attached.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// aya or the kernel refused.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Not of a type that has such a place.
    #[error("the program is of a type that no hook has")]
    UnexpectedProgramType,
    /// A program for a hook that is not loaded.
    #[error("the hook of the program is not loaded")]
    UnknownHook,
}

impl LoadError {
    /// Whether the kernel takes no more programs at that place.
    fn is_full(&self) -> bool {
        is(self, io::ErrorKind::ArgumentListTooLong)
    }
}

/// Whether an error says that the kernel takes no more programs at a place.
pub fn is_full(error: &anyhow::Error) -> bool {
    error.downcast_ref::<LoadError>().is_some_and(LoadError::is_full)
}

/// A program of the sensor's object.
pub fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program> {
    match ebpf.program_mut(name) {
        Some(program) => Ok(program),
        None => bail!("the sensor's object has no program {name}"),
    }
}

/// Loads one program for a place in this kernel.
///
/// # Errors
/// The kernel's verifier refused it: the error holds its words.
pub fn load(program: &mut Program, place: &Place, kernel: &Btf) -> Result<(), LoadError> {
    match (program, place) {
        (Program::Lsm(program), Place::Function(function)) => Lsm::load(program, function, kernel)?,
        (Program::FEntry(program), Place::Function(function)) => FEntry::load(program, function, kernel)?,
        (Program::FEntry(program), Place::ModifyReturn(function)) => program.load_modify_return(function, kernel)?,
        (Program::FExit(program), Place::Function(function)) => FExit::load(program, function, kernel)?,
        (Program::TracePoint(program), Place::Syscalls(_)) => TracePoint::load(program)?,
        _ => return Err(LoadError::UnexpectedProgramType),
    }
    Ok(())
}

/// Attaches a loaded program at the place that it was loaded for.
///
/// Before 5.14 a kernel forgets that function when the program is detached, and answers `ENOENT` from then on
/// (`bpf_tracing_prog_attach`): there the program is loaded anew.
///
/// A link whose pin was removed is freed a moment later, when no reader of the file system can see it any more
/// (`bpf_free_inode`); until then the program counts as attached, and the answer is `EBUSY`.
///
/// # Errors
/// The kernel refused.
pub fn attach(program: &mut Program, place: &Place, kernel: &Btf) -> Result<Link, LoadError> {
    let started = Instant::now();
    loop {
        match attach_loaded(program, place) {
            Err(error) if is(&error, io::ErrorKind::NotFound) => {
                unload(program)?;
                load(program, place, kernel)?;
                return attach_loaded(program, place);
            }
            Err(error) if is(&error, io::ErrorKind::ResourceBusy) && started.elapsed() < RELEASE => {
                thread::sleep(Duration::from_millis(1));
            }
            answer => return answer,
        }
    }
}

/// Whether the kernel answered with this error.
fn is(error: &LoadError, kind: io::ErrorKind) -> bool {
    matches!(error, LoadError::Program(ProgramError::SyscallError(SyscallError { io_error, .. })) if io_error.kind() == kind)
}

fn attach_loaded(program: &mut Program, place: &Place) -> Result<Link, LoadError> {
    Ok(match (program, place) {
        (Program::Lsm(program), _) => {
            let id = program.attach()?;
            FdLink::from(program.take_link(id)?).into()
        }
        (Program::FEntry(program), _) => {
            let id = program.attach()?;
            FdLink::from(program.take_link(id)?).into()
        }
        (Program::FExit(program), _) => {
            let id = program.attach()?;
            FdLink::from(program.take_link(id)?).into()
        }
        (Program::TracePoint(program), Place::Syscalls(calls)) => {
            let links = calls.iter().map(|call| program.attach(place::CATEGORY, call.tracepoint()));
            Link::Tracepoints(links.collect::<Result<_, _>>()?)
        }
        _ => return Err(LoadError::UnexpectedProgramType),
    })
}

fn unload(program: &mut Program) -> Result<(), LoadError> {
    match program {
        Program::Lsm(program) => program.unload()?,
        Program::FEntry(program) => program.unload()?,
        Program::FExit(program) => program.unload()?,
        _ => return Err(LoadError::UnexpectedProgramType),
    }
    Ok(())
}

/// Detaches a program; it stays loaded.
///
/// # Errors
/// The kernel refused, or the link is another program's.
pub fn detach(program: &mut Program, link: Link) -> Result<(), LoadError> {
    match (program, link) {
        (_, Link::Held(_) | Link::Pinned(_)) => {}
        (Program::TracePoint(program), Link::Tracepoints(links)) => {
            links.into_iter().try_for_each(|link| program.detach(link))?;
        }
        _ => return Err(LoadError::UnexpectedProgramType),
    }
    Ok(())
}

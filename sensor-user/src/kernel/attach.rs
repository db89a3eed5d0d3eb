//! Programs on functions of the kernel and on its LSM hooks: loaded, attached, detached, attached again.

use std::io;

use anyhow::{Result, bail};
use aya::{
    Btf, Ebpf,
    programs::{FEntry, FExit, Lsm, Program, ProgramError, fentry::FEntryLinkId, fexit::FExitLinkId, lsm::LsmLinkId},
    sys::SyscallError,
};

/// The program is attached while nobody gives this to [`detach`].
pub enum Link {
    Lsm(LsmLinkId),
    Fentry(FEntryLinkId),
    Fexit(FExitLinkId),
}

/// Why a program could not be loaded or attached.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// aya or the kernel refused.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Neither an LSM nor an fentry or fexit program.
    #[error("the program is of a type that no hook has")]
    UnexpectedProgramType,
    /// A program for a hook that is not loaded.
    #[error("the hook of the program is not loaded")]
    UnknownHook,
}

/// A program of the sensor's object.
pub fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Program> {
    match ebpf.program_mut(name) {
        Some(program) => Ok(program),
        None => bail!("the sensor's object has no program {name}"),
    }
}

/// Loads one program for a function or hook of this kernel.
///
/// # Errors
/// The kernel's verifier refused it: the error holds its words.
pub fn load(program: &mut Program, function: &str, kernel: &Btf) -> Result<(), LoadError> {
    match program {
        Program::Lsm(program) => Lsm::load(program, function, kernel)?,
        Program::FEntry(program) => FEntry::load(program, function, kernel)?,
        Program::FExit(program) => FExit::load(program, function, kernel)?,
        _ => return Err(LoadError::UnexpectedProgramType),
    }
    Ok(())
}

/// Attaches a loaded program to the function that it was loaded for.
///
/// Before 5.14 a kernel forgets that function when the program is detached, and answers `ENOENT` from then on
/// (`bpf_tracing_prog_attach`): there the program is loaded anew.
///
/// # Errors
/// The kernel refused.
pub fn attach(program: &mut Program, function: &str, kernel: &Btf) -> Result<Link, LoadError> {
    match attach_loaded(program) {
        Err(LoadError::Program(ProgramError::SyscallError(SyscallError { io_error, .. })))
            if io_error.kind() == io::ErrorKind::NotFound =>
        {
            unload(program)?;
            load(program, function, kernel)?;
            attach_loaded(program)
        }
        answer => answer,
    }
}

fn attach_loaded(program: &mut Program) -> Result<Link, LoadError> {
    Ok(match program {
        Program::Lsm(program) => Link::Lsm(program.attach()?),
        Program::FEntry(program) => Link::Fentry(program.attach()?),
        Program::FExit(program) => Link::Fexit(program.attach()?),
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
        (Program::Lsm(program), Link::Lsm(link)) => program.detach(link)?,
        (Program::FEntry(program), Link::Fentry(link)) => program.detach(link)?,
        (Program::FExit(program), Link::Fexit(link)) => program.detach(link)?,
        _ => return Err(LoadError::UnexpectedProgramType),
    }
    Ok(())
}

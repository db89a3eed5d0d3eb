//! Rules that did not fit one program: each program of a chain is made reachable for the one before.

use anyhow::Context;
use aya::{
    Ebpf, VerifierLogLevel,
    maps::{Map, MapData, ProgramArray},
    programs::ProgramFd,
};
use sensor_rules::{Budget, Object, PARTS_MAP};

/// Loads with smaller and smaller programs while that is what the kernel's verifier gives up on.
///
/// The verifier says in few words whether it gave up. Every instruction that it looked at it says only of
/// programs that it refuses: of one that it gives up on, they are a million, and the loader would ask again
/// and again, with more and more room for them.
///
/// # Errors
/// The last one of `load`.
pub fn with_less<T, E>(
    mut load: impl FnMut(Budget, VerifierLogLevel) -> Result<T, E>,
    gave_up: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let mut budget = Budget::default();
    loop {
        match load(budget, VerifierLogLevel::STATS) {
            Err(error) if gave_up(&error) => budget = budget.smaller().ok_or(error)?,
            Err(_) => return load(budget, VerifierLogLevel::DEBUG | VerifierLogLevel::STATS),
            loaded => return loaded,
        }
    }
}

/// Puts the programs of `object`, all loaded, where others of them call them. The chain holds while the array lives.
///
/// # Errors
/// The kernel does not take a program, or the object lacks what it should have.
pub fn link(ebpf: &mut Ebpf, object: &Object) -> anyhow::Result<Option<Map>> {
    if object.chained == 0 {
        return Ok(None);
    }
    let mut map = ebpf.take_map(PARTS_MAP).context("an object lacks the array of its parts")?;
    let mut parts: ProgramArray<&mut MapData> = (&mut map).try_into()?;
    for program in &object.programs {
        let Some(index) = program.chained else { continue };
        let loaded = ebpf.program(&program.name).context("an object lacks a program that it should have")?;
        let fd: &ProgramFd = loaded.fd()?;
        parts.set(index, fd, 0).context("cannot make a part of the rules reachable")?;
    }
    Ok(Some(map))
}

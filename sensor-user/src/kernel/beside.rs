//! Programs beside the hooks, which start no event: loaded when they are first needed, attached while they
//! are.

use anyhow::{Context, Result};
use aya::{Ebpf, programs::ProgramFd};

use super::{
    attach::{self, Link, program},
    crowd::Crowd,
    hook_state::recursion_misses,
    pins::Pins,
    place::Place,
};
use crate::{api::kernel::HookState, log::say};

/// One such program.
pub struct Beside {
    program: String,
    place: Place,
    loaded: bool,
    link: Option<Link>,
    /// The program that an earlier daemon loaded; `None` where it is ours.
    adopted: Option<ProgramFd>,
    /// Why it is not attached, although it is needed.
    missing: Option<String>,
}

impl Beside {
    /// The program of this name, attached nowhere.
    pub const fn new(program: String, place: Place) -> Self {
        Self { program, place, loaded: false, link: None, adopted: None, missing: None }
    }

    /// Its name in `sensor-ebpf`.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Where it is attached.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it is attached.
    pub const fn is_attached(&self) -> bool {
        self.link.is_some()
    }

    /// Whether it was ever needed.
    pub const fn is_loaded(&self) -> bool {
        self.loaded || self.adopted.is_some()
    }

    /// Takes over what an earlier daemon left attached.
    ///
    /// # Errors
    /// What is pinned cannot be opened.
    pub fn adopt(&mut self, pins: &Pins) -> Result<()> {
        if let Some((link, program)) = pins.find(&self.program)? {
            (self.link, self.adopted) = (Some(link), Some(program));
        }
        Ok(())
    }

    /// Attaches it; nothing happens where it is attached.
    ///
    /// # Errors
    /// The kernel refused it: with its own words.
    pub fn attach(&mut self, ebpf: &mut Ebpf, kernel: &aya::Btf, pins: &Pins) -> Result<()> {
        if self.link.is_some() {
            return Ok(());
        }
        let context = || format!("cannot attach {} to {}", self.program, self.place);
        let program = program(ebpf, &self.program)?;
        if !self.loaded {
            attach::load(program, &self.place, kernel).with_context(context)?;
            self.loaded = true;
        }
        let link = attach::attach(program, &self.place, kernel).with_context(context)?;
        self.link = Some(pins.pin(&self.program, program, link)?);
        (self.adopted, self.missing) = (None, None);
        Ok(())
    }

    /// The same, or notes that it is missing where the kernel takes no more programs there.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_or_miss(&mut self, ebpf: &mut Ebpf, kernel: &aya::Btf, pins: &Pins, crowd: &Crowd) -> Result<()> {
        match self.attach(ebpf, kernel, pins) {
            Err(error) if attach::is_full(&error) => {
                let why = crowd.full(&format!("the guard {}", self.program), &self.place);
                if self.missing.as_ref() != Some(&why) {
                    say(format_args!("WARNING: {why}"));
                }
                self.missing = Some(why);
                Ok(())
            }
            result => result,
        }
    }

    /// Why it is not attached, although it is needed.
    pub fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// Detaches it; nothing happens where it is detached.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn detach(&mut self, ebpf: &mut Ebpf, pins: &Pins) -> Result<()> {
        self.missing = None;
        if let Some(link) = self.link.take() {
            let link = pins.unpin(&self.program, link)?;
            attach::detach(program(ebpf, &self.program)?, link)?;
        }
        Ok(())
    }

    /// Its state, for `creance status`.
    ///
    /// # Errors
    /// It is not loaded.
    pub fn state(&self, ebpf: &Ebpf) -> Result<HookState> {
        let own = ebpf.program(&self.program).context("the sensor's object lacks a program")?;
        let program = match &self.adopted {
            Some(adopted) => adopted,
            None => own.fd()?,
        };
        Ok(HookState {
            hook: self.program.clone(),
            function: self.place.to_string(),
            attached: self.link.is_some(),
            missing: self.missing.clone(),
            recursion_misses: recursion_misses(program)?,
            verified_instructions: own.info().ok().and_then(|info| info.verified_instruction_count()),
        })
    }
}

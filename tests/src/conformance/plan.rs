//! What the actor will do, step by step, with all that has to be seen of each step.

use std::rc::Rc;

use anyhow::{Context, Result};
use sensor_common::event::Event;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    child::Child,
    gaps::Gap,
    known::{self, Values},
};

/// One event that has to be seen, exactly here.
#[derive(Clone, Serialize, Deserialize)]
pub struct Seen {
    /// Name of the event.
    pub event: String,
    /// Who performs it: index into [`Script::actors`].
    pub actor: usize,
    /// The fields of the object, of the peer and of the target.
    pub object: Values,
    /// Whether the kernel does it by itself, inside a call for something else: its tracepoint tells of the call only.
    pub inner: bool,
}

/// A step, as the test needs to know it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Line {
    /// The system call, and what is peculiar about it.
    pub what: String,
    /// The events, in their order; none where the step is a gap.
    pub seen: Vec<Seen>,
    /// Whether it is known that less is seen than happens.
    pub gap: bool,
    /// Whether it is a system call of a 64-bit program: the only ones whose tracepoints the sensor knows.
    pub plain: bool,
}

/// What the actor hands to the test before it acts.
#[derive(Default, Serialize, Deserialize)]
pub struct Script {
    /// Process id of the actor; its main thread does nothing.
    pub pid: u32,
    /// Everything known of each process that acts: fields of the process and those above it.
    pub actors: Vec<Values>,
    /// The steps, in their order.
    pub lines: Vec<Line>,
    /// Steps that this kernel cannot do.
    pub absent: Vec<String>,
}

type Act = Box<dyn FnOnce() -> Result<()>>;

/// The steps as they are collected. Descriptors in it are plain numbers, which stay open until the actor ends.
pub struct Plan {
    /// Version of the running kernel: major, minor.
    pub kernel: (u32, u32),
    /// See [`Line::plain`]: of the steps that are added from now on.
    pub plain: bool,
    script: Script,
    acts: Vec<Act>,
}

impl Plan {
    /// A plan of the calling thread, which will carry it out.
    pub fn new() -> Result<Self> {
        let pid = std::process::id();
        // SAFETY: takes nothing.
        let thread = u32::try_from(unsafe { libc::gettid() })?;
        let script = Script { pid, actors: vec![known::actor(pid, thread)?], lines: Vec::new(), absent: Vec::new() };
        Ok(Self { kernel: known::kernel()?, plain: true, script, acts: Vec::new() })
    }

    /// Adds a step: what it is, what is seen of it, and how it is done.
    pub fn step(&mut self, what: &str, seen: Vec<Seen>, act: impl FnOnce() -> Result<()> + 'static) {
        self.script.lines.push(Line { what: what.to_owned(), seen, gap: false, plain: self.plain });
        self.acts.push(Box::new(act));
    }

    /// Adds a step of which less is seen than happens; what is seen nevertheless is told.
    pub fn gap(&mut self, gap: &'static Gap, seen: Vec<Seen>, act: impl FnOnce() -> Result<()> + 'static) {
        self.script.lines.push(Line { what: gap.what.to_owned(), seen, gap: true, plain: self.plain });
        self.acts.push(Box::new(act));
    }

    /// Notes that this kernel has no such call.
    pub fn absent(&mut self, what: &str) {
        self.script.absent.push(what.to_owned());
    }

    /// Forks a process that waits until a step lets it act. It is an actor of its own.
    pub fn child(&mut self, act: impl FnOnce() -> Result<i32>) -> Result<Rc<Child>> {
        let child = Child::fork(act)?;
        let actor = self.actor(known::actor(child.pid, child.pid)?);
        Ok(Rc::new(child.into_actor(actor)))
    }

    /// Another actor.
    pub fn actor(&mut self, values: Values) -> usize {
        self.script.actors.push(values);
        self.script.actors.len() - 1
    }

    /// What is known of an actor.
    pub fn known(&self, actor: usize) -> &Values {
        &self.script.actors[actor]
    }

    /// What the test needs to know, and the acts.
    pub fn finish(self) -> (Script, Vec<(String, Act)>) {
        let names = self.script.lines.iter().map(|line| line.what.clone()).collect::<Vec<_>>();
        (self.script, names.into_iter().zip(self.acts).collect())
    }
}

/// An event that the actor itself performs on an object.
pub fn seen(event: Event, object: &Values) -> Seen {
    by(0, event, object)
}

/// An event that another process performs.
pub fn by(actor: usize, event: Event, object: &Values) -> Seen {
    Seen { event: event.name().to_owned(), actor, object: object.clone(), inner: false }
}

impl Seen {
    /// The same, with one more value known.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.object.insert(field.to_owned(), value.into());
        self
    }

    /// The same, as something that the kernel does inside a call.
    #[must_use]
    pub fn inner(self) -> Self {
        Self { inner: true, ..self }
    }

    /// The event.
    pub fn event(&self) -> Result<Event> {
        Event::from_name(&self.event).with_context(|| format!("no event is called {}", self.event))
    }
}

//! What an event is about: found by a hook, written down by the stages of the event's way.

use sensor_common::{event::Event, maps::Generation};

use crate::{record::Held, scratch::Wanted};

/// What a hook returns: the event, if it is one that the sensor cares for, and its subject.
pub type Seen<S> = Option<(Event, S)>;

/// What a hook knows of the object, and how to write it down.
pub trait Subject {
    /// Fills those of the wanted groups that describe the object.
    fn fill(&self, held: &mut Held, wanted: Wanted);

    /// Whether one number says that no rule of the generation can match; where none does, false.
    #[inline(always)]
    fn matches_none(&self, _event: Event, _generation: &Generation) -> bool {
        false
    }

    /// Whether the current process is the one that performs the event. Where it is not, nobody is killed.
    #[inline(always)]
    fn is_by_current(&self) -> bool {
        true
    }

    /// Whether what the event's data goes into is another user's, over whom the current one has no power.
    /// What could be put in quarantine is refused then: nobody shuts up or kills another user's reader by
    /// what he sends to it.
    #[inline(always)]
    fn is_for_another(&self) -> bool {
        false
    }

    /// Puts what the event's data goes into in quarantine: of those events that say so
    /// ([`Event::container`]). The report has been filled.
    #[inline(always)]
    fn quarantine(&self, _: &Held) {}
}

/// An event of which nothing is to be known but who performs it.
pub struct Nothing;

impl Subject for Nothing {
    #[inline(always)]
    fn fill(&self, _: &mut Held, _: Wanted) {}
}

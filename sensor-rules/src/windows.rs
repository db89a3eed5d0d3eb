//! What the sensor remembers for rules with state, as a model.

use std::collections::HashMap;

use sensor_common::{
    state::{Note, Step, Tracked, Window, WindowKey},
    verdict::Verdict,
};

use crate::rule::RuleSet;

/// What the sensor remembers, without its bounds: windows are not forgotten.
#[derive(Debug, Default)]
pub struct Windows(HashMap<WindowKey, Window>);

impl Windows {
    /// Follows up the notes of `verdict`, which `generation` gave at `now` (nanoseconds), and adds the rules
    /// that match by them.
    pub fn follow_notes(&mut self, rules: &RuleSet, generation: u64, now: u64, verdict: &mut Verdict) {
        let tracked = rules.tracked();
        for note in verdict.notes().to_vec() {
            let Some(tracked) = tracked.get(note.state as usize) else { continue };
            if self.follow(tracked, generation, now, note) {
                verdict.add_by_state(tracked);
            }
        }
    }

    /// Follows up one note; whether the rule matches by it.
    pub(crate) fn follow(&mut self, tracked: &Tracked, generation: u64, now: u64, note: Note) -> bool {
        let key = WindowKey { generation, state: note.state.into(), key: note.key };
        match self.0.get_mut(&key) {
            known if note.step == Step::Second as u32 => {
                known.is_some_and(|window| !window.is_over(now, tracked.within))
            }
            Some(window) if note.step == Step::Count as u32 => {
                *window = window.turned(window.passed(now, tracked.within), tracked.within);
                window.counts[0] += 1;
                window.total() > tracked.more_than
            }
            _ => {
                self.0.insert(key, Window::new(now));
                note.step == Step::Count as u32 && tracked.more_than == 0
            }
        }
    }
}

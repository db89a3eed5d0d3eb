//! Who floods the sensor: where reports had to be left out, the log names who makes rules match most.
//!
//! What the kernel counts by actor is read only where more was left out than at the last look: it takes a while.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use sensor_common::maps::Loss;
use sensor_content::noise::{Actor, Noise};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    daemon::{core::Core, generations::probation::heard},
    kernel::engine::Engine,
    log::say,
};

/// From one look to the next.
const LOOK: Duration = Duration::from_secs(1);
/// How often the same one is named.
const AGAIN: Duration = Duration::from_mins(1);

/// Starts to watch: nobody is blamed for reports that were left out before.
pub fn begin<E: Engine>(core: &Core<E>) -> Watch {
    Watch::new(look(core, None).ok().flatten().unwrap_or_default(), Instant::now())
}

/// Looks until the future is dropped.
pub async fn look_out<E: Engine>(core: Arc<Core<E>>, mut watch: Watch) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (core, known) = (Arc::clone(&core), Some(watch.before.left_out));
        // It waits while the engine is at work. What the kernel does not tell, `status` says too.
        let Ok(Ok(Some(seen))) = tokio::task::spawn_blocking(move || look(&core, known)).await else { continue };
        if let Some(words) = watch.look(seen, Instant::now()) {
            say(format_args!("WARNING: {words}"));
        }
    }
}

/// What there is to see; `None` where no more was left out than is known.
fn look<E: Engine>(core: &Core<E>, known: Option<u64>) -> anyhow::Result<Option<Seen>> {
    core.with_engine(|engine| {
        let lost = engine.counters()?.lost;
        let left_out = lost[Loss::RateLimited as usize] + lost[Loss::RingFull as usize];
        if known == Some(left_out) {
            return Ok(None);
        }
        let generation = engine.active();
        let matches = match generation {
            Some(generation) => heard(&engine.noise()?, generation).all,
            None => Noise::default(),
        };
        Ok(Some(Seen { left_out, generation, matches }))
    })
}

/// What a look shows, since the sensor was loaded.
#[derive(Default)]
struct Seen {
    /// Reports that were left out, or found no room.
    left_out: u64,
    /// The generation in force.
    generation: Option<u64>,
    /// What its rules matched, by who caused it.
    matches: Noise,
}

/// What was seen before, and who was named lately.
pub struct Watch {
    before: Seen,
    at: Instant,
    named: BTreeMap<Actor, Instant>,
}

impl Watch {
    /// Nothing was left out yet beyond this, which is seen now.
    const fn new(before: Seen, at: Instant) -> Self {
        Self { before, at, named: BTreeMap::new() }
    }

    /// Who made rules match most since the last look. Where he was named lately nobody is: the next loudest may be
    /// anybody.
    fn look(&mut self, seen: Seen, now: Instant) -> Option<String> {
        let before = std::mem::replace(&mut self.before, seen);
        let passed = now.duration_since(std::mem::replace(&mut self.at, now)).as_secs_f64();
        let left_out = self.before.left_out.saturating_sub(before.left_out);
        let known = if before.generation == self.before.generation { before.matches } else { Noise::default() };
        self.named.retain(|_, when| now.duration_since(*when) < AGAIN);
        let (actor, matches) = self.before.matches.beyond(&known).loudest()?;
        if left_out == 0 || self.named.contains_key(&actor) {
            return None;
        }
        self.named.insert(actor, now);
        Some(format!(
            "{left_out} reports were left out within {passed:.1} s; {actor} made rules match most, {matches} times: see `creance status`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(left_out: u64, matches: &[(Actor, u64)]) -> Seen {
        let mut noise = Noise::default();
        for (actor, events) in matches {
            noise.add(*actor, *events);
        }
        Seen { left_out, generation: Some(1), matches: noise }
    }

    #[test]
    fn the_loudest_is_named_where_reports_were_left_out() {
        let (one, other) = (Actor::User(1000), Actor::User(1001));
        let now = Instant::now();
        let mut watch = Watch::new(seen(5, &[(one, 900), (other, 10)]), now);
        assert_eq!(watch.look(seen(5, &[(one, 990), (other, 20)]), now), None, "nothing was left out");
        let words = watch.look(seen(45, &[(one, 1000), (other, 70)]), now).unwrap();
        assert!(words.contains("user 1001 made rules match most, 50 times"), "{words}");
        assert!(words.starts_with("40 reports"), "{words}");
        assert_eq!(watch.look(seen(99, &[(one, 1000), (other, 200)]), now), None, "named a moment ago");
        let words = watch.look(seen(100, &[(one, 2000), (other, 500)]), now).unwrap();
        assert!(words.contains("user 1000"), "another one is louder now: {words}");
        assert!(watch.look(seen(200, &[(one, 3000), (other, 500)]), now + AGAIN).is_some(), "named again");
    }

    #[test]
    fn another_generation_counts_anew() {
        let one = Actor::Service(7);
        let now = Instant::now();
        let mut watch = Watch::new(seen(0, &[(one, 900)]), now);
        assert_eq!(watch.look(seen(1, &[]), now), None, "nobody is known to have caused it");
        let next = Seen { generation: Some(2), ..seen(2, &[(one, 5)]) };
        assert!(watch.look(next, now).unwrap().contains("5 times"));
    }
}

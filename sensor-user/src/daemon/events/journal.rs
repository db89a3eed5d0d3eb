//! What happened: names rules in records, keeps the recent events, hands them to sinks and followers, and counts
//! what could not be handed over.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sensor_common::record::Record;
use sensor_rules::RuleSet;
use tokio::sync::mpsc;

use super::sink::{Sink, say_missing};
use crate::{
    api::status::Reports,
    event::{Clock, Report},
    kernel::Numbers,
};

/// How many events `creance events` can show of the past.
pub const HISTORY: usize = 1024;
/// How many events a follower may be behind before it is dropped.
pub const BACKLOG: usize = 4096;
/// Of how many generations the rules are kept, to name those that an event matched.
const GENERATIONS_KEPT: usize = 16;
/// Most rules that are kept for that, beside those of the generations that may be in the kernel: a thousand
/// take some megabytes.
const RULES_KEPT: usize = 1000;
/// How many generations may be in the kernel: that in force, the one before, and a candidate.
const GENERATIONS_IN_KERNEL: usize = 3;

/// An event that was handed out.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// The event as one line of JSON (`docs/events.md`).
    pub line: Arc<str>,
}

/// The past, and the channel through which the future comes. The channel closes when its reader is too slow.
#[derive(Debug)]
pub struct Follower {
    /// The recent events, oldest first.
    pub recent: Vec<Entry>,
    /// Those after them, none left out.
    pub coming: mpsc::Receiver<Entry>,
    /// The number of the last event before those that come.
    pub last: u64,
}

/// Recent events, and where they are handed on to.
#[derive(Default)]
pub struct Journal {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The last to be put in force comes last.
    generations: VecDeque<(u64, Arc<RuleSet>)>,
    seq: u64,
    recent: VecDeque<Entry>,
    sinks: Vec<Sink>,
    followers: Vec<mpsc::Sender<Entry>>,
    tally: Reports,
}

impl Journal {
    /// A journal that hands events to these sinks.
    pub fn new(sinks: Vec<Sink>) -> Self {
        Self { inner: Mutex::new(Inner { sinks, ..Inner::default() }) }
    }

    /// The same, going on where the daemon before stopped to read the ring buffer. What that had taken out
    /// and not written is counted and said, for each file that tells its last event.
    #[must_use]
    pub fn going_on(self, numbers: Numbers) -> Self {
        let mut inner = self.lock();
        inner.seq = numbers.last();
        let written: Vec<_> =
            inner.sinks.iter().filter_map(|sink| Some((sink.name().to_owned(), sink.last()?))).collect();
        for (name, last) in written {
            let unwritten = numbers.after(last);
            if unwritten > 0 {
                say_missing(
                    &name,
                    numbers.last() - unwritten + 1..=numbers.last(),
                    "the daemon before was killed with them in its hands, or could not write them",
                );
            }
            inner.tally.unwritten += unwritten;
            // Where the ring buffer is a new one, its events come after those of the file.
            inner.seq = inner.seq.max(last);
        }
        drop(inner);
        self
    }

    /// Remembers the rules of a generation, so that its events can be named. Called before the generation is
    /// put in force.
    pub fn remember(&self, generation: u64, rules: Arc<RuleSet>) {
        let generations = &mut self.lock().generations;
        generations.retain(|(known, _)| *known != generation);
        generations.push_back((generation, rules));
        let old = generations.len().saturating_sub(GENERATIONS_IN_KERNEL);
        let sizes = generations.range(..old).rev().map(|(_, rules)| rules.rules().len());
        let sums = sizes.scan(0, |sum, size| {
            *sum += size;
            Some(*sum)
        });
        let kept = sums.take(GENERATIONS_KEPT - GENERATIONS_IN_KERNEL).take_while(|sum| *sum <= RULES_KEPT).count();
        generations.drain(..old - kept);
    }

    /// The rules of a generation, where they are remembered.
    pub fn rules(&self, generation: u64) -> Option<Arc<RuleSet>> {
        self.lock().rules(generation).cloned()
    }

    /// The id of a rule of a generation; its number, where the generation has been forgotten.
    pub fn rule_name(&self, generation: u64, rule: u32) -> String {
        let rules = self.rules(generation);
        let known = rules.as_ref().and_then(|rules| rules.rules().get(rule as usize));
        known.map_or_else(|| rule.to_string(), |rule| rule.id.clone())
    }

    /// Takes in one report of the kernel: bytes of a [`Record`].
    pub fn accept(&self, bytes: &[u8], clock: Clock) {
        let mut inner = self.lock();
        inner.tally.received += 1;
        inner.seq += 1;
        let seq = inner.seq;
        let line = Record::from_bytes(bytes).and_then(|record| {
            let rules = inner.rules(record.head.generation);
            Report::new(&record, rules.map(AsRef::as_ref), seq, clock).ok().map(Report::to_line)
        });
        match line {
            Some(line) => inner.hand_out(Entry { seq, line: line.into() }),
            None => inner.tally.unreadable += 1,
        }
    }

    /// The number of the last event.
    pub fn seq(&self) -> u64 {
        self.lock().seq
    }

    /// The recent events, oldest first.
    pub fn recent(&self) -> Vec<Entry> {
        self.lock().recent.iter().cloned().collect()
    }

    /// The recent events and all that come.
    pub fn follow(&self) -> Follower {
        let (sender, coming) = mpsc::channel(BACKLOG);
        let mut inner = self.lock();
        inner.followers.push(sender);
        Follower { recent: inner.recent.iter().cloned().collect(), coming, last: inner.seq }
    }

    /// What became of the reports.
    pub fn tally(&self) -> Reports {
        let mut inner = self.lock();
        inner.followers.retain(|follower| !follower.is_closed());
        let followers = inner.followers.len();
        Reports { followers, sink_lost: inner.sinks.iter().map(Sink::lost).sum(), ..inner.tally }
    }

    /// Lets every sink open its file anew.
    pub fn reopen(&self) {
        self.lock().sinks.iter().for_each(Sink::reopen);
    }

    /// Which sinks do not write now, and why.
    pub fn troubles(&self) -> Vec<String> {
        self.lock().sinks.iter().filter_map(Sink::trouble).collect()
    }

    /// Waits until every sink has written what it took. To be called last.
    pub fn close(&self) {
        let sinks = std::mem::take(&mut self.lock().sinks);
        sinks.into_iter().for_each(Sink::close);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No step leaves the journal half changed, so it is sound after a panic too.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn rules(&self, generation: u64) -> Option<&Arc<RuleSet>> {
        self.generations.iter().find(|(known, _)| *known == generation).map(|(_, rules)| rules)
    }

    fn hand_out(&mut self, entry: Entry) {
        for sink in &mut self.sinks {
            sink.offer(entry.seq, &entry.line);
        }
        self.followers.retain(|follower| match follower.try_send(entry.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.tally.followers_dropped += 1;
                false
            }
        });
        if self.recent.len() == HISTORY {
            self.recent.pop_front();
        }
        self.recent.push_back(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::events::rotation::Rotation;

    /// The generations that are kept after so many of so many rules.
    fn kept(generations: u64, rules: usize) -> Vec<u64> {
        let text: Vec<_> = (0..rules)
            .map(|number| format!("- {{id: r{number}, title: x, severity: low, on: fifo.open, condition: reads}}\n"))
            .collect();
        let source = sensor_rules::Source { name: "x.yaml".into(), text: format!("rules:\n{}", text.concat()).into() };
        let rules = Arc::new(sensor_rules::check(&[source], sensor_rules::Options::default()).unwrap());
        let journal = Journal::new(Vec::new());
        (1..=generations).for_each(|generation| journal.remember(generation, Arc::clone(&rules)));
        (1..=generations).filter(|generation| journal.rules(*generation).is_some()).collect()
    }

    #[test]
    fn numbers_go_on_and_what_was_in_the_hands_of_a_killed_daemon_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let sinks = ["ninety", "none"].map(|name| {
            let path = dir.path().join(name);
            let text = if name == "ninety" { "{\"seq\":90}\n" } else { "" };
            std::fs::write(&path, text).unwrap();
            Sink::open(&path, Rotation::NEVER).unwrap()
        });
        let journal = Journal::new(sinks.into()).going_on(Numbers { before: 60, taken: 35 });
        assert_eq!((journal.seq(), journal.tally().unwritten), (95, 5));
        journal.accept(b"no record", Clock::now());
        assert_eq!(journal.seq(), 96);
        journal.close();
        // A new ring buffer: the file is of a start of the kernel before.
        let sink = Sink::open(&dir.path().join("ninety"), Rotation::NEVER).unwrap();
        let journal = Journal::new(vec![sink]).going_on(Numbers::default());
        assert_eq!((journal.seq(), journal.tally().unwritten), (90, 0));
        journal.close();
    }

    #[test]
    fn many_small_generations_are_remembered_or_a_few_large_ones() {
        assert_eq!(kept(20, 5), (5..=20).collect::<Vec<_>>());
        assert_eq!(kept(20, 250), (14..=20).collect::<Vec<_>>());
        assert_eq!(kept(5, 2000), [3, 4, 5]);
        assert_eq!(kept(2, 2000), [1, 2]);
    }
}

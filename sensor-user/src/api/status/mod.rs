//! What runs, what it did, and what it lost: for `creance status`.

mod goal;
mod show;

pub use goal::goal;

use std::collections::BTreeMap;

use jiff::Timestamp;
use sensor_content::shadow::without_examples;
use serde::{Deserialize, Serialize};

use super::{
    confinement::Confinement,
    fleet::Fleet,
    kernel::{HookState, Unseen},
};

/// The daemon's answer to `creance status`; with `--json`, the output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it was started, RFC 3339.
    pub started: Timestamp,
    /// Release of the running kernel.
    pub kernel: String,
    /// `lsm`; or `observe` or `tracepoints`, where nothing can be blocked.
    pub mode: String,
    /// Whether verdicts to block, quarantine and kill are carried out.
    pub enforcing: bool,
    /// The file that turns blocking off, where it is there.
    pub off_file: Option<String>,
    /// The generation in force.
    pub generation: Option<u64>,
    /// The generation to which `rollback` returns; 0 for the baseline.
    pub previous: Option<u64>,
    /// How many rules are in force.
    pub rules: usize,
    /// Of these, rules that ask to block, quarantine or kill.
    #[serde(default)]
    pub asking: usize,
    /// Events that rules in force are for and that cannot be seen in this mode.
    pub unseen: Vec<Unseen>,
    /// What is wrong with the whole.
    pub warnings: Vec<String>,
    /// Every hook.
    pub hooks: Vec<HookState>,
    /// By event.
    pub events: BTreeMap<String, Counted>,
    /// Matched events by what the sensor did.
    pub outcomes: BTreeMap<String, u64>,
    /// What was lost in the kernel, by reason.
    pub losses: BTreeMap<String, u64>,
    /// What the quarantine did.
    pub quarantine: BTreeMap<String, u64>,
    /// What holds blocking back.
    pub brakes: Brakes,
    /// What the daemon has given up after its start.
    #[serde(default)]
    pub confinement: Confinement,
    /// Events that found the first record of their CPU in use and took another.
    pub preempted: u64,
    /// Events on which a rule was undecided: what was not seen decides whether it matches.
    #[serde(default)]
    pub undecided: u64,
    /// What became of the events that matched.
    pub reports: Reports,
    /// What became of pushes and rollbacks.
    pub changes: Changes,
    /// The generations that are kept, where any are.
    #[serde(default)]
    pub content: Option<Content>,
    /// The host in its fleet, where it follows a repository.
    #[serde(default)]
    pub fleet: Option<Fleet>,
    /// The candidate that judges in the shadow of the generation in force.
    #[serde(default)]
    pub shadow: Option<Shadow>,
    /// What became of the last one.
    #[serde(default)]
    pub last_shadow: Option<ShadowEnd>,
    /// The last push or rollback that was refused.
    pub last_refusal: Option<LastRefusal>,
}

/// What holds blocking back: `creance brakes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brakes {
    /// How long the daemon may be silent before every verdict is "allow", seconds; 0: for ever.
    pub heartbeat_limit_s: u64,
    /// How long ago the daemon's last sign of life was, milliseconds.
    #[serde(default)]
    pub silence_ms: u64,
    /// How many executables are on the lifeline.
    pub lifeline: usize,
    /// What cannot be on the lifeline, and why.
    pub complaints: Vec<String>,
    /// Rules that hit several users or services.
    pub demoted: Vec<Demoted>,
}

/// A rule that only alerts for now because it hit several users or services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demoted {
    /// Its id.
    pub rule: String,
    /// Its generation.
    pub generation: u64,
    /// When the event happened by which it hit too many.
    pub since: Timestamp,
    /// When it is carried out again by itself.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// When the daemon reported it.
    pub reported: Option<Timestamp>,
    /// Its budget: so many times …
    pub count: u32,
    /// … in so many seconds.
    pub seconds: u64,
    /// How often it asked to be carried out.
    pub fired: u64,
    /// How often of these less was done.
    pub held: u64,
}

/// Counts of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Judged by rules.
    pub judged: u64,
    /// Of these, matched by a rule at least.
    pub matched: u64,
}

/// The losses beside [`Loss`](sensor_common::maps::Loss), which the kernel and the daemon count: name, meaning.
pub const FURTHER_LOSSES: [(&str, &str); 5] = [
    ("recursion_misses", "not judged: the kernel skipped a hook that was active on the CPU already"),
    ("unreadable", "judged and acted on, but the daemon could not read the report"),
    ("sink_lost", "judged and acted on, but the daemon could not write the event to a file, such as on a full disk"),
    ("unwritten", "judged and acted on, but the previous daemon was killed before it wrote the event"),
    ("followers_dropped", "clients, not events: `creance events --follow` read too slowly and was disconnected"),
];

/// What became of reports in the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports {
    /// Came out of the ring buffer.
    pub received: u64,
    /// Were not understood.
    pub unreadable: u64,
    /// Were not written by a sink.
    pub sink_lost: u64,
    /// Had been taken out of the ring buffer by the daemon before, and were not written: it was killed.
    #[serde(default)]
    pub unwritten: u64,
    /// Followers (`creance events --follow`) now.
    pub followers: usize,
    /// Followers dropped because they read too slowly.
    pub followers_dropped: u64,
}

/// What became of pushes and rollbacks since the daemon was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Generations put in force.
    pub pushed: u64,
    /// Returns to the generation before.
    pub rolled_back: u64,
    /// Pushes and rollbacks refused, and candidates rejected in the shadow; what ran went on.
    pub refused: u64,
    /// Of those put in force, the ones that judged in the shadow before.
    #[serde(default)]
    pub promoted: u64,
}

/// A candidate in the shadow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// Its number.
    pub generation: u64,
    /// Since when it judges.
    pub since: Timestamp,
    /// How many rules it has.
    pub rules: usize,
    /// Events that it judged.
    pub events: u64,
    /// Of these, events that a rule at least matched.
    pub matched: u64,
    /// Events that it should have judged and did not.
    pub missed: u64,
    /// What judging an event takes on average, beside the generation in force.
    pub nanoseconds_per_event: u64,
    /// Why the owner does not want it in force now, although it has kept its limits.
    #[serde(default)]
    pub waits: Option<String>,
    /// What is missing until it is decided; or why it was.
    pub reasons: Vec<String>,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowEnd {
    /// When it was decided.
    pub time: Timestamp,
    /// Whether it came into force.
    pub promoted: bool,
    /// What it did.
    pub shadow: Shadow,
}

/// The generations that the daemon keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Where the generation in force stands, in words.
    pub stage: String,
    /// The last good ones, newest first.
    pub good: Vec<u64>,
    /// The one on probation.
    pub trial: Option<u64>,
    /// Those that this host takes no more, and why.
    pub denied: Vec<(u64, String)>,
    /// Why the one on probation is not tried again now.
    #[serde(default)]
    pub waits: Option<String>,
    /// The switch that holds content back.
    pub switch: Option<String>,
    /// Rules that alert only, because the owner does not permit what they ask for.
    pub restrained: Vec<String>,
    /// What is wrong with the policy or the store.
    pub trouble: Vec<String>,
}

/// A push or rollback that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRefusal {
    /// When.
    pub time: Timestamp,
    /// Why, in one line.
    pub reason: String,
}

impl Status {
    /// The same for those who may not read events: without those that a candidate's rules matched.
    #[must_use]
    pub fn without_examples(mut self) -> Self {
        let ended = self.last_shadow.as_mut().map(|end| &mut end.shadow);
        for shadow in self.shadow.as_mut().into_iter().chain(ended) {
            let told = shadow.reasons.iter().map(|reason| without_examples(reason));
            shadow.reasons = told.filter(|reason| !reason.is_empty()).collect();
        }
        self
    }

    /// Every event lost, skipped or cut, by reason: in the kernel and in the daemon.
    pub fn all_losses(&self) -> BTreeMap<String, u64> {
        let Reports { unreadable, sink_lost, unwritten, followers_dropped, received: _, followers: _ } = self.reports;
        let mut losses = self.losses.clone();
        let skipped = self.hooks.iter().map(|hook| hook.recursion_misses).sum();
        let counts = [skipped, unreadable, sink_lost, unwritten, followers_dropped];
        losses.extend(FURTHER_LOSSES.iter().zip(counts).map(|((name, _), count)| ((*name).to_owned(), count)));
        losses
    }
}

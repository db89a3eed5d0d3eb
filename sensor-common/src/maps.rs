//! Names and layouts of the maps that hooks, rules and daemon share. They are pinned by these names.
//!
//! **The switch.** A generation lives in one of [`BANKS`] banks: its programs in the program arrays at
//! [`stage`], its facts in `GENERATIONS`. `ACTIVE` holds the number of the bank in force; a hook reads it once
//! per event and stays with it. The number fits one byte, so the one write that changes it cannot be seen half done.

pub use crate::{
    bank::BANKS,
    quarantine::{Container, Kept, Mark, ObjectKey, QUARANTINE_MAX},
};
use crate::{brakes, event::Event, noise, shadow, verdict::Outcome};

/// One record per slot and CPU: per-CPU array of [`SLOTS`] [`Record`](crate::record::Record)s.
pub const RECORDS: &str = "RECORDS";
/// The bank in force: array of one `u32`.
pub const ACTIVE: &str = "ACTIVE";
/// Array of [`BANKS`] [`Generation`]s.
pub const GENERATIONS: &str = "GENERATIONS";
/// Array of one [`Settings`].
pub const SETTINGS: &str = "SETTINGS";
/// Per-CPU array of one [`Counters`].
pub const COUNTERS: &str = "COUNTERS";
/// Hash from [`ObjectKey`] to [`Mark`]: pipes, FIFOs and unix sockets that nobody may read.
pub const QUARANTINE: &str = "QUARANTINE";
/// Array of [`BANKS`] times [`STATES_MAX`](crate::state::STATES_MAX) [`Tracked`](crate::state::Tracked)s.
pub const STATES: &str = "STATES";
/// Hash from [`WindowKey`](crate::state::WindowKey) to [`Window`](crate::state::Window).
pub const WINDOWS: &str = "STATE_WINDOWS";
/// Hash from [`RateKey`] to [`Rate`].
pub const RATES: &str = "RATES";
/// Ring buffer of [`Record`](crate::record::Record)s that matched.
pub const EVENTS: &str = "EVENTS";
/// Room that a [`Record`](crate::record::Record) takes there, bytes: with the kernel's header
/// (`BPF_RINGBUF_HDR_SZ`), and whole words (`__bpf_ringbuf_reserve` of `kernel/bpf/ringbuf.c`).
pub const EVENT_ROOM: u64 = (size_of::<crate::record::Record>() as u64 + 8).next_multiple_of(8);
/// Array of one `u64`: how many events had been reported before the first in `EVENTS`. For daemons only.
pub const NUMBERED: &str = "NUMBERED";

/// Hash by task: which pipe it may move data into. For hooks only.
pub const MOVES: &str = "MOVES";

/// All maps that outlive a daemon, besides the program arrays of the hooks.
pub const SHARED: &[&str] = &[
    RECORDS,
    ACTIVE,
    GENERATIONS,
    SETTINGS,
    COUNTERS,
    QUARANTINE,
    STATES,
    WINDOWS,
    RATES,
    EVENTS,
    NUMBERED,
    MOVES,
    brakes::HEARTBEAT,
    brakes::LIFELINE,
    brakes::BUDGETS,
    brakes::FIRINGS,
    brakes::DEMOTED,
    shadow::SHADOW,
    shadow::SHADOW_COUNTS,
    shadow::SHADOW_MATCHES,
    shadow::SHADOW_EXAMPLES,
    shadow::SHADOW_WINDOWS,
    noise::NOISE,
];

/// How many events can be under way on one CPU, each preempted by the next, before one is lost (and counted).
pub const SLOTS: u32 = 4;

/// The programs of a generation for one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Stage {
    /// Sorts out what cannot match, without the fields that cost much ([`Groups::LATE`](crate::event::Groups::LATE)).
    /// There is one only where that sorts out anything.
    Early = 0,
    /// Judges by all rules.
    Rules = 1,
    /// Judges by all rules an event of which some text was not seen whole. Where no rule reads such a text,
    /// the same as [`Rules`](Self::Rules).
    Unseen = 2,
}

impl Stage {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Early, Self::Rules, Self::Unseen];
}

/// Index of finish in each program array.
pub const FINISH: u32 = 0;
/// Entries of each program array.
#[expect(clippy::cast_possible_truncation, reason = "a handful of events")]
pub const STAGES: u32 = 1 + Stage::ALL.len() as u32 * BANKS * Event::COUNT as u32;

/// Index of a program for the event with this index, of the generation in `bank` and the [`Stage`] with this
/// discriminant, in the program array of the event's hook.
#[expect(clippy::cast_possible_truncation, reason = "a handful of events")]
pub const fn stage_of(bank: u32, stage: u32, event: u32) -> u32 {
    1 + (Stage::ALL.len() as u32 * bank + stage) * Event::COUNT as u32 + event
}

/// What hooks need to know about one generation.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Generation {
    /// Its number, stamped on each event that it judges; from 1.
    pub id: u64,
    /// Per event: the [`Groups`](crate::event::Groups) its rules read, with `JUDGED` where there are any rules.
    pub needs: [u32; Event::COUNT],
    /// Per event: those of them that its early program reads, with `JUDGED`; 0 where it has none.
    pub early: [u32; Event::COUNT],
    /// Per event: how many programs it passes through at most behind the hook, finish included.
    pub calls: [u32; Event::COUNT],
    /// Per event: how many bytes its payload must have at least so that any rule can match; 0 where that says nothing.
    pub least: [u32; Event::COUNT],
    /// The signals from 0 to 63 with which any rule can match, one bit each.
    pub signals: u64,
}

impl Generation {
    /// None: it judges nothing, and no generation has its number.
    pub const NONE: Self = Self {
        id: u64::MAX,
        needs: [0; Event::COUNT],
        early: [0; Event::COUNT],
        calls: [0; Event::COUNT],
        least: [0; Event::COUNT],
        signals: u64::MAX,
    };
}

/// What the daemon decides at run time, for hooks and finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// 1 where verdicts to block and kill are carried out; 0 where they are only reported.
    pub enforce: u32,
    /// Process id of the daemon: its own events are not judged.
    pub sensor: u32,
    /// How often one rule may report one process in a second; 0 for as often as it matches.
    pub reports: u32,
    /// Nothing.
    pub padding: u32,
    /// How old the [heartbeat](crate::brakes::HEARTBEAT) may be before every verdict becomes "allow",
    /// nanoseconds; 0 where it may be of any age.
    pub patience: u64,
}

/// Whose reports are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RateKey {
    /// The generation.
    pub generation: u64,
    /// The rule's number in it.
    pub rule: u32,
    /// The process.
    pub pid: u32,
}

impl RateKey {
    /// The reports of one rule of all that this [witness](crate::actor::witness) does.
    pub const fn of_witness(witness: u64, rule: u32) -> Self {
        Self { generation: witness, rule, pid: 0 }
    }
}

/// How many events of that kind there were in this second.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Rate {
    /// Which second, since boot.
    pub second: u64,
    /// How many.
    pub count: u64,
}

/// Of how many pairs of rule and process the reports are counted; those that matched longest ago are forgotten first.
pub const RATES_MAX: u32 = 8192;

/// Why an event was not judged, or judged and not fully reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Loss {
    /// Not judged: all records of the CPU were taken.
    NoRecord,
    /// Not judged: a stage could not be reached or lost its record.
    NoStage,
    /// Judged; the report did not fit into the ring buffer.
    RingFull,
    /// Judged on a path that could not be read to its root.
    PathCut,
    /// Judged without its payload, or with less than its first bytes: the memory could not be read, or lay in
    /// too many pieces.
    PayloadUnread,
    /// Judged; more rules matched than a record names.
    RulesCut,
    /// Judged; it was a step for more counts and sequences than a verdict notes.
    NotesCut,
    /// Judged; a count or sequence could not be kept.
    StateFull,
    /// Judged; not reported, since all its rules had reported enough of this process.
    RateLimited,
    /// Refused without being judged: all records of the CPU were taken, and a rule that blocks was in force
    /// for the event.
    NoRecordDenied,
}

impl Loss {
    /// All reasons; `ALL[loss as usize] == loss`.
    pub const ALL: &'static [Self] = &[
        Self::NoRecord,
        Self::NoStage,
        Self::RingFull,
        Self::PathCut,
        Self::PayloadUnread,
        Self::RulesCut,
        Self::NotesCut,
        Self::StateFull,
        Self::RateLimited,
        Self::NoRecordDenied,
    ];
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The name in status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRecord => "no_record",
            Self::NoStage => "no_stage",
            Self::RingFull => "ring_full",
            Self::PathCut => "path_cut",
            Self::PayloadUnread => "payload_unread",
            Self::RulesCut => "rules_cut",
            Self::NotesCut => "notes_cut",
            Self::StateFull => "state_full",
            Self::RateLimited => "rate_limited",
            Self::NoRecordDenied => "no_record_denied",
        }
    }

    /// One line for the documentation.
    pub const fn doc(self) -> &'static str {
        match self {
            Self::NoRecord => "not judged: all records of the CPU were taken by preempted events",
            Self::NoRecordDenied => {
                "refused without being judged: all records of the CPU were taken, one of them for the same user (not root), and a rule that asks for more than an alert is in force for the event"
            }
            Self::NoStage => "not judged: a tail call to the rules or to finish failed",
            Self::RingFull => "judged and acted on, but the report did not fit into the ring buffer",
            Self::PathCut => {
                "judged without a path: the sensor could not follow it up to the root; rules that ask for it may be undecided"
            }
            Self::PayloadUnread => {
                "judged without its payload, or without some of its first 256 bytes: the memory could not be read, or lay in too many pieces"
            }
            Self::RateLimited => {
                "judged and acted on, but not reported: its rules had reached their limit of reports per process and second; or the ring buffer was half full and its user had reached the limit"
            }
            Self::RulesCut => "judged; more rules matched than one report names",
            Self::NotesCut => "judged; it was a step for more counts and sequences than one event can note",
            Self::StateFull => "judged; a count or sequence could not be kept in memory",
        }
    }
}

/// Counts since the sensor was loaded. Each is raised with an atomic add: a preempted program may share its CPU.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Counters {
    /// Events judged by the rules of exactly one generation, by event.
    pub judged: [u64; Event::COUNT],
    /// Events that at least one rule matched, by event.
    pub matched: [u64; Event::COUNT],
    /// Events that matched, by [`Outcome`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// By [`Loss`].
    pub lost: [u64; Loss::COUNT],
    /// Events that found the first record of their CPU taken by a preempted task, and used another.
    pub preempted: u64,
    /// By [`Kept`].
    pub kept: [u64; Kept::ALL.len()],
    /// Events on which some rule was undecided: it would match by what was not seen, or not.
    pub undecided: u64,
}

impl Counters {
    /// All counts at zero.
    pub const ZERO: Self = Self {
        judged: [0; Event::COUNT],
        matched: [0; Event::COUNT],
        outcomes: [0; Outcome::ALL.len()],
        lost: [0; Loss::COUNT],
        preempted: 0,
        kept: [0; Kept::ALL.len()],
        undecided: 0,
    };
}

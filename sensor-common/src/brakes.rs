//! What holds blocking back, whatever rules say: layouts of the maps behind lifeline, budgets and heartbeat.
//!
//! **Budgets.** Each rule that asks for more than an alert has one: so many times in each window of time. Windows are counted from
//! boot, all of the same length, so which window an event is in depends on nothing but its time, and the count of a window
//! starts where the kernel's hash makes its entry, which it does for one program only. Whoever adds to the count and then reads no
//! more than the budget is within it. So in no window is a rule carried out more often than its budget says, whatever runs at once.

/// Hash from the [`FileKey`] of an executable to a [`Reach`].
pub const LIFELINE: &str = "LIFELINE";
/// Array of one `u64`: when the daemon was last alive, `CLOCK_MONOTONIC`, nanoseconds.
pub const HEARTBEAT: &str = "HEARTBEAT";
/// Hash from [`RuleKey`] to [`Budget`]: the rules that ask for more than an alert.
pub const BUDGETS: &str = "BUDGETS";
/// Hash from [`FiringsKey`] to `u64`: how often a rule fired in a window.
pub const FIRINGS: &str = "FIRINGS";
/// Hash from [`RuleKey`] to [`Demotion`]: the rules that only alert any more.
pub const DEMOTED: &str = "DEMOTED";

/// How many executables can be on the lifeline.
pub const LIFELINE_MAX: u32 = 1024;
/// How many rules of the generations in the kernel can ask for more than an alert.
pub const BUDGETS_MAX: u32 = 16_384;
/// How many windows can be counted at once: a rule that finds no room is not carried out.
pub const FIRINGS_MAX: u32 = 8192;
/// How many rules can be demoted at once: one that finds no room is held to its budget in each window.
pub const DEMOTED_MAX: u32 = 8192;

/// Stands in [`RuleKey::rule`] for all rules that matched an event and are not named in its verdict, which names the first
/// [`RULES_MAX`](crate::verdict::RULES_MAX).
pub const UNNAMED: u32 = u32::MAX;

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct FileKey {
    /// Its inode number.
    pub inode: u64,
    /// Device of its file system, as the kernel's `dev_t`.
    pub device: u32,
    /// Nothing: a key is compared with all its bytes.
    pub padding: u32,
}

/// Whom an entry of the lifeline keeps alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Reach {
    /// Processes that run the executable.
    Itself = 1,
    /// These, and the processes that they start: the login shell. Not what those start in turn.
    Children = 2,
}

/// A rule of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct RuleKey {
    /// The generation.
    pub generation: u64,
    /// The rule's number in it, or [`UNNAMED`].
    pub rule: u32,
    /// Nothing: a key is compared with all its bytes.
    pub padding: u32,
}

impl RuleKey {
    /// This rule of this generation.
    pub const fn new(generation: u64, rule: u32) -> Self {
        Self { generation, rule, padding: 0 }
    }
}

/// A rule in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct FiringsKey {
    /// The generation.
    pub generation: u64,
    /// The rule's number in it.
    pub rule: u32,
    /// Time since boot, divided by the length of the rule's window.
    pub window: u32,
}

/// What a rule is allowed, and what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Budget {
    /// What the rule asks for: an [`Action`](crate::verdict::Action).
    pub action: u32,
    /// How often that is carried out in one window.
    pub count: u32,
    /// Length of a window, nanoseconds.
    pub window: u64,
    /// How often the rule asked while nothing else held it back.
    pub fired: u64,
    /// How often of these it only alerted, because it was over its budget or had been.
    pub held: u64,
}

/// A rule that went over its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Demotion {
    /// By an event of this time: `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
}

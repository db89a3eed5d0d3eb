//! What a VM tells `cargo xtask` over its second serial port: one JSON object a line.
//!
//! Used by both ends: `xtask` includes this file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Whether the name of a test contains one of the words of a filter, which commas separate.
pub fn is_chosen(test: &str, filter: &str) -> bool {
    filter.split(',').any(|word| test.contains(word))
}

/// The port on which a [host of a fleet](crate::fleet) shows its figures.
#[allow(dead_code, reason = "for the ends that use it")]
pub const FIGURES: u16 = 9782;
/// The port on which it is told what to do, by a line: `reboot`, `off`, or the arguments of `creance`.
#[allow(dead_code, reason = "for the ends that use it")]
pub const HAND: u16 = 9783;

/// The tables of `docs/kernels.md` and `docs/evasion.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// What the kernel offers.
    Kernel,
    /// How each hook is attached.
    Hooks,
    /// What can be stopped.
    Stops,
    /// Which operations are seen.
    Operations,
    /// What came of an attempt to get around a rule: in `docs/evasion.md`.
    Evasion,
    /// The same where programs decide whether functions run.
    EvasionByModifyReturn,
    /// By LSM programs, on a kernel whose tasks are preempted everywhere.
    EvasionPreempted,
    /// Tests that do not apply.
    NotHere,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Message {
    /// A test there is (what `vm-init list` prints here, not in a VM).
    Listed {
        /// `subject::test`.
        test: String,
        /// The kind of machine it needs.
        boot: String,
        /// The kernel arguments of such a machine.
        arguments: String,
    },
    /// A test begins.
    Started {
        /// `subject::test`.
        test: String,
    },
    /// A test ended well.
    Passed {
        /// `subject::test`.
        test: String,
        /// How long it took.
        millis: u64,
    },
    /// A test failed.
    Failed {
        /// `subject::test`.
        test: String,
        /// How long it took.
        millis: u64,
        /// Why.
        why: String,
    },
    /// A test does not apply on this kernel.
    NotHere {
        /// `subject::test`.
        test: String,
        /// What the kernel lacks.
        why: String,
    },
    /// Something that a test found out about this kernel: a cell of `docs/kernels.md`.
    Fact {
        /// Where it belongs.
        table: Table,
        /// What was tried.
        what: String,
        /// What it is like here.
        value: String,
    },
    /// Words for whoever watches.
    Say {
        /// Any number of lines.
        text: String,
    },
    /// A line of the played session's last table.
    Seen {
        /// What was tried.
        what: String,
        /// What had to happen.
        expected: String,
        /// What happened.
        seen: String,
        /// Whether they agree.
        ok: bool,
    },
    /// A row of the table of `cargo xtask demo 291`, which is a test too.
    Row {
        /// `replay::row`.
        test: String,
        /// What was let in.
        mistake: String,
        /// What must stop it.
        stopped_by: String,
        /// What was seen, in a few words.
        seen: String,
        /// What the sensor or the kernel said, any number of lines.
        words: String,
        /// Whether it went as expected.
        ok: bool,
        /// How long it took.
        millis: u64,
    },
    /// Guest instructions per operation, by the operation's name.
    Measured {
        /// Whether the sensor was running.
        sensor: bool,
        /// Medians.
        instructions: BTreeMap<String, f64>,
    },
    /// The job is done, and the VM powers off.
    Done {
        /// Whether the job did what it was asked to do (tests may have failed).
        ok: bool,
    },
}

impl Message {
    /// The message as a line, with its line end.
    pub fn line(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }

    /// The message in a line, or `None` where the line is something else.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line.trim()).ok()
    }
}

//! What is said on the control socket.

use base64ct::{Base64, Encoding};
use jiff::Timestamp;
use sensor_content::{life::Entry, shadow::Limits};
use sensor_rules::{Diagnostics, Source};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    kernel::{LoadedProgram, Unseen, VerifierRefusal},
    status::{Brakes, Status},
};

/// Longest request, bytes: room for thousands of rules.
pub const REQUEST_MAX: usize = 32 << 20;

/// Longest request of those that may only read the status, bytes: none of theirs is longer.
pub const READER_REQUEST_MAX: usize = 4 << 10;

/// What a client asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Make these rules the next generation. Answered by [`Reply::Pushed`] or [`Reply::Refused`].
    Push {
        /// The rule files.
        sources: Vec<SentSource>,
        /// For tests only, and only if the daemon was started with `--allow-skip-checks`: leave the judgement of fields
        /// to the kernel's verifier.
        #[serde(default)]
        skip_checks: bool,
        /// Put them in force at once, also where the owner's policy asks for a shadow.
        #[serde(default)]
        no_shadow: bool,
    },
    /// Take this bundle in. Answered by [`Reply::Pushed`] or [`Reply::Refused`].
    PushBundle {
        /// The file, in base64.
        bundle: String,
        /// Set the owner's policy aside, this once.
        #[serde(default)]
        policy_aside: bool,
        /// Put it in force at once, also where the policy asks for a shadow.
        #[serde(default)]
        no_shadow: bool,
    },
    /// What became of generations. Answered by [`Reply::History`].
    History,
    /// What runs. Answered by [`Reply::Status`].
    Status,
    /// Recent events. Answered by [`Reply::Listening`], a [`Reply::Event`] each, and [`Reply::End`].
    Events {
        /// Go on with what happens from now on, without end.
        #[serde(default)]
        follow: bool,
    },
    /// Back to the generation before. Answered by [`Reply::RolledBack`] or [`Reply::Refused`].
    Rollback,
    /// Carry verdicts to block, quarantine and kill out, or only report them. Answered by [`Reply::Enforcing`].
    Enforce {
        /// Carry them out.
        on: bool,
    },
    /// What holds blocking back. Answered by [`Reply::Brakes`].
    Brakes,
    /// Let a rule that a brake holds be carried out again. Answered by [`Reply::Released`].
    ReleaseBrake {
        /// Its id; all such rules, where none is given.
        rule: Option<String>,
    },
    /// What is in quarantine. Answered by [`Reply::Quarantine`].
    Quarantine,
    /// Let it be read again. Answered by [`Reply::Released`].
    Release {
        /// Only what has this inode number; everything, where none is given.
        inode: Option<u64>,
    },
}

impl Request {
    /// The request to take these bytes in.
    pub fn push_bundle(bundle: &[u8], policy_aside: bool, no_shadow: bool) -> Self {
        Self::PushBundle { bundle: Base64::encode_string(bundle), policy_aside, no_shadow }
    }

    /// Whether it asks for what runs, and changes nothing.
    pub const fn is_status(&self) -> bool {
        matches!(self, Self::Status | Self::History)
    }
}

/// What the daemon answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The rules are in force, or judge in the shadow.
    Pushed(Pushed),
    /// The request was refused; nothing changed.
    Refused(Box<Refused>),
    /// What runs.
    Status(Box<Status>),
    /// The answer to `events` begins: no event from now on will be missing in what follows.
    Listening,
    /// One event, as `docs/events.md` describes it.
    Event(Box<RawValue>),
    /// The client read too slowly: `unsent` events were not sent, and no more follow.
    TooSlow {
        /// How many events happened between the last that was sent and this line.
        unsent: u64,
    },
    /// There are no more events.
    End,
    /// This generation is in force again.
    RolledBack {
        /// Its number.
        generation: u64,
    },
    /// Whether verdicts are carried out.
    Enforcing {
        /// They are.
        on: bool,
    },
    /// The journal of generations, oldest first.
    History(Vec<Entry>),
    /// What is in quarantine, oldest first.
    Quarantine(Vec<Quarantined>),
    /// What holds blocking back.
    Brakes(Brakes),
    /// It can be read again, or be carried out again.
    Released {
        /// How many pipes and FIFOs, or rules.
        count: usize,
    },
    /// The request could not be answered: no such request, too long, an error in the daemon.
    Error {
        /// What, where, why, and what to do.
        message: String,
    },
}

/// One rule file on its way to the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub struct SentSource {
    /// Its name as messages show it.
    pub name: String,
    /// What it holds.
    pub text: SentText,
}

/// The content of a file: text where it is UTF-8, else its bytes, so that the daemon can say where it is not.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SentText {
    /// UTF-8.
    Text(String),
    /// Anything.
    Bytes(Vec<u8>),
}

impl From<Source> for SentSource {
    fn from(source: Source) -> Self {
        let text =
            String::from_utf8(source.text).map_or_else(|error| SentText::Bytes(error.into_bytes()), SentText::Text);
        Self { name: source.name, text }
    }
}

impl From<SentSource> for Source {
    fn from(sent: SentSource) -> Self {
        let text = match sent.text {
            SentText::Text(text) => text.into_bytes(),
            SentText::Bytes(bytes) => bytes,
        };
        Self { name: sent.name, text }
    }
}

/// Something that nobody may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its inode number; 0 for a socket that was never accepted.
    pub inode: u64,
    /// What it is: a pipe or FIFO is a `pipe`, a unix socket a `socket`.
    pub container: String,
    /// Device of the file system of a pipe or FIFO, major << 20 | minor; 0 for a socket.
    pub device: u32,
    /// Since when.
    pub since: Timestamp,
    /// The generation whose rule asked for it.
    pub generation: u64,
    /// That rule; by its number only, where the daemon has forgotten the generation.
    pub rule: String,
    /// The process that wrote.
    pub pid: u32,
}

/// What a successful push did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pushed {
    /// The generation now in force; or the one that judges in the shadow.
    pub generation: u64,
    /// To which `rollback` returns, 0 for the baseline; or, beside one in the shadow, the one that stays in force.
    pub previous: Option<u64>,
    /// Where it judges in the shadow: how long at least, and how many events.
    #[serde(default)]
    pub shadow: Option<(u64, u64)>,
    /// Whether the daemon keeps generations, and not this one: nobody has signed it.
    #[serde(default)]
    pub transient: bool,
    /// How many rules it has.
    pub rules: usize,
    /// Events that its rules are for and that cannot be seen in this mode.
    pub unseen: Vec<Unseen>,
    /// What is missing here for its rules, in words.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Its programs.
    pub programs: Vec<LoadedProgram>,
    /// From text to eBPF, microseconds.
    pub compile_us: u64,
    /// Through the kernel's verifier, microseconds.
    pub verify_us: u64,
    /// The switch of all hooks, microseconds.
    pub switch_us: u64,
}

impl Pushed {
    /// The same where `rollback` returns to this number, 0 for the baseline.
    #[must_use]
    pub fn over(self, previous: Option<u64>) -> Self {
        Self { previous, ..self }
    }

    /// The same of rules that judge in the shadow.
    #[must_use]
    pub fn in_shadow(self, limits: &Limits) -> Self {
        Self { shadow: Some((limits.time.as_secs(), limits.events)), ..self }
    }
}

/// Why nothing changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Who refused.
    pub by: Refuser,
    /// All there is to say, for people; several lines.
    pub message: String,
    /// The problems of the rules, where it was our checks that refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Diagnostics>,
    /// The verifier's words, where it was the verifier that refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<VerifierRefusal>,
    /// The generation in force, as before.
    pub active: Option<u64>,
}

impl Refuser {
    /// Whether it says of the rules that they are not for this kernel, and would say so again. All else is
    /// this host's, or was said of what surrounds the rules, and may be otherwise tomorrow.
    pub const fn is_of_rules(self) -> bool {
        matches!(self, Self::Tests | Self::Checks | Self::Verifier)
    }
}

/// Who refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refuser {
    /// What was said of the bundle: whom it is for, who signed it, what is in it.
    Bundle,
    /// The bundle's own tests: its rules are wrong by them, here.
    Tests,
    /// This host: it could not judge the bundle now. That says nothing of the bundle.
    Host,
    /// The policy of the host's owner.
    Policy,
    /// Our own checks of the rules.
    Checks,
    /// The kernel's verifier.
    Verifier,
    /// Another part of the kernel.
    Kernel,
    /// The daemon: the request makes no sense now, or is not permitted.
    Daemon,
}

//! What a bundle says of itself.

use std::{collections::BTreeMap, fmt};

use sensor_common::event::Event;
use sensor_rules::RuleSet;
use serde::{Deserialize, Serialize};

use super::contract::Interfaces;
use crate::{digest::Digest, printable::is_plain};

/// Most files in a bundle.
pub const FILES_MAX: usize = 4096;
/// Longest file name, bytes.
pub const NAME_MAX: usize = 200;
/// Longest changelog, bytes.
pub const CHANGELOG_MAX: usize = 16 << 10;
/// Longest minimum soak, seconds: 30 days.
pub const SOAK_MAX: u64 = 30 * 24 * 3600;

/// Number of a generation. The publisher counts; a higher one is newer. 0 is the baseline in the program itself.
pub type Number = u64;

/// What kind of release it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Nobody waits for it.
    Routine,
    /// Against an attack that is under way: owners may delay it, not skip it.
    Urgent,
    /// What a host falls back to.
    Baseline,
}

impl fmt::Display for Category {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Routine => "routine",
            Self::Urgent => "urgent",
            Self::Baseline => "baseline",
        })
    }
}

/// What a generation may cost a host before it is called bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Mean time of its programs, ns per judged event.
    pub nanoseconds_per_event: u32,
    /// Events that match its rules, per hour.
    pub alerts_per_hour: u32,
}

/// A kernel whose verifier accepted all programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifiedOn {
    /// Its release, as `uname -r` prints it.
    pub kernel: String,
    /// By event: how many instructions the program has.
    pub instructions: BTreeMap<String, u32>,
}

/// A rule, as far as one must know it to judge a release without parsing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFacts {
    /// Its id.
    pub id: String,
    /// What it asks for.
    pub action: String,
    /// The events it judges.
    pub events: Vec<String>,
}

/// A rule file. Its text follows the manifest, in the order of this list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// Its path below the directory of rules.
    pub name: String,
    /// Its size, bytes.
    pub size: u32,
}

/// The manifest of a bundle. In a bundle it is JSON without blanks, members in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its number.
    pub generation: Number,
    /// What kind of release it is.
    pub category: Category,
    /// Digest of the field table that the rules were checked against.
    pub contract: Digest,
    /// The interfaces that it works with.
    pub interfaces: Interfaces,
    /// The architecture that it is for.
    pub architecture: String,
    /// Shortest probation, seconds.
    pub soak: u64,
    /// What it may cost.
    pub budget: Budget,
    /// Kernels that it was verified on.
    pub verified: Vec<VerifiedOn>,
    /// What changed, for people.
    pub changelog: String,
    /// Its rules, in their order.
    pub rules: Vec<RuleFacts>,
    /// Its files, by name.
    pub files: Vec<FileFacts>,
}

/// Why a manifest makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nonsense {
    /// The number is the baseline's.
    #[error("generation 0 is the baseline in the program itself; count from 1")]
    Zero,
    /// An empty range.
    #[error("the interfaces from {} to {} are none", .0.from, .0.to)]
    Interfaces(Interfaces),
    /// No text for people.
    #[error("the {0} is empty, too long, or holds a control or other invisible character ({1})")]
    Text(&'static str, String),
    /// Too long.
    #[error("the minimum soak of {0} s is longer than 30 days")]
    Soak(u64),
    /// Nothing in it.
    #[error("there is no rule file")]
    NoFiles,
    /// Too much in it.
    #[error("there are {0} rule files, and a bundle holds at most {FILES_MAX}")]
    ManyFiles(usize),
    /// No name for a file.
    #[error(
        "`{0}` is no name for a rule file: it is a relative path of letters, digits, `.`, `_` and `-`, ends in .yaml or .yml, and has no part \
         that is empty or begins with a dot"
    )]
    Name(String),
    /// A name used twice.
    #[error("two rule files are called `{0}`: rename one, or name the directory above both")]
    Twice(String),
    /// Names out of order.
    #[error("the rule files are not in the order of their names: `{0}` stands too late")]
    Order(String),
}

impl Manifest {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// The first thing that makes none.
    pub fn sound(&self) -> Result<(), Nonsense> {
        if self.generation == 0 {
            return Err(Nonsense::Zero);
        }
        if self.interfaces.from > self.interfaces.to {
            return Err(Nonsense::Interfaces(self.interfaces));
        }
        if self.soak > SOAK_MAX {
            return Err(Nonsense::Soak(self.soak));
        }
        readable("changelog", &self.changelog, CHANGELOG_MAX, '\n')?;
        readable("architecture", &self.architecture, 32, ' ')?;
        for on in &self.verified {
            readable("kernel", &on.kernel, 64, ' ')?;
            on.instructions.keys().try_for_each(|event| readable("event", event, 64, ' '))?;
        }
        for rule in &self.rules {
            readable("rule id", &rule.id, 64, ' ')?;
            readable("action", &rule.action, 64, ' ')?;
            rule.events.iter().try_for_each(|event| readable("event", event, 64, ' '))?;
        }
        self.files_sound()
    }

    fn files_sound(&self) -> Result<(), Nonsense> {
        match self.files.len() {
            0 => return Err(Nonsense::NoFiles),
            FILES_MAX.. => return Err(Nonsense::ManyFiles(self.files.len())),
            _ => {}
        }
        if let Some(file) = self.files.iter().find(|file| !is_file_name(&file.name)) {
            return Err(Nonsense::Name(crate::printable::ascii(&file.name)));
        }
        self.files.array_windows().try_for_each(|[first, second]| match first.name.cmp(&second.name) {
            std::cmp::Ordering::Less => Ok(()),
            std::cmp::Ordering::Equal => Err(Nonsense::Twice(first.name.clone())),
            std::cmp::Ordering::Greater => Err(Nonsense::Order(second.name.clone())),
        })
    }
}

/// Whether `text` can be shown to people; `more` is one character more that it may hold.
fn readable(what: &'static str, text: &str, max: usize, more: char) -> Result<(), Nonsense> {
    let hidden = text.chars().find(|character| *character != more && !is_plain(*character));
    if let Some(hidden) = hidden {
        return Err(Nonsense::Text(what, format!("U+{:04X}", u32::from(hidden))));
    }
    if text.trim().is_empty() || text.len() > max {
        return Err(Nonsense::Text(what, format!("{} of at most {max} bytes", text.len())));
    }
    Ok(())
}

fn is_file_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(fits);
    name.len() <= NAME_MAX && name.split('/').all(part) && matches!(name.rsplit_once('.'), Some((_, "yaml" | "yml")))
}

/// What a manifest says of these rules.
pub fn facts(rules: &RuleSet) -> Vec<RuleFacts> {
    rules
        .rules()
        .iter()
        .map(|rule| RuleFacts {
            id: rule.id.clone(),
            action: rule.action.name().to_owned(),
            events: rule.events.iter().copied().map(Event::name).map(str::to_owned).collect(),
        })
        .collect()
}

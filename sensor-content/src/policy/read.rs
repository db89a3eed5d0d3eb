//! From text to a policy. Every error has a place.

use std::{fmt, ops::Range, path::PathBuf};

use jiff::{SignedDuration, Timestamp, civil::Time, tz::TimeZone};
use sensor_common::{event::Event, verdict::Action};
use serde::Deserialize;
use toml::{Spanned, value::Datetime};

use super::{Actions, Hold, Pin, Policy, Repository, Rollback, Window, window::Day};
use crate::{bundle::Number, digest::Digest, lasting::Lasting, rollout::Ring, shadow::Limits};

/// An urgent release is delayed so long at most: it is never skipped.
const URGENT_DELAY_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A routine release is delayed so long at most.
const DELAY_MAX: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How often a host asks for news, where its owner says nothing.
const POLL: SignedDuration = SignedDuration::from_mins(10);
/// How long it waits to be seen before it loads what it fetched.
const ANNOUNCE: SignedDuration = SignedDuration::from_mins(2);
/// A release judges in the shadow so long at most before it comes into force.
const SHADOW_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct PolicyError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What, why, and what to do.
    pub message: String,
}

/// A policy as it was written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    ring: Option<Ring>,
    pin: Option<Spanned<PinDraft>>,
    delay: Option<Spanned<Lasting>>,
    hold: Option<HoldDraft>,
    urgent: Option<UrgentDraft>,
    #[serde(default, rename = "window")]
    windows: Vec<Spanned<WindowDraft>>,
    approval: Option<ApprovalDraft>,
    actions: Option<ActionsDraft>,
    lifeline: Option<LifelineDraft>,
    rollback: Option<Spanned<RollbackDraft>>,
    repository: Option<RepositoryDraft>,
    #[serde(default)]
    unsigned: bool,
    shadow: Option<ShadowDraft>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a pin is \"latest\", \"N-1\", \"N-2\", or a number without quotes")]
enum PinDraft {
    Number(Number),
    Word(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `until`")]
struct HoldDraft {
    until: Spanned<Datetime>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `delay`")]
struct UrgentDraft {
    delay: Spanned<Lasting>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `from`, `to` and `zone`")]
struct WindowDraft {
    days: Option<Vec<Day>>,
    from: Spanned<String>,
    to: Spanned<String>,
    zone: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `key`")]
struct ApprovalDraft {
    key: Spanned<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `block`, `quarantine` or `kill`")]
struct ActionsDraft {
    block: Option<Vec<Spanned<String>>>,
    quarantine: Option<Vec<Spanned<String>>>,
    kill: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `executables`")]
struct LifelineDraft {
    executables: Vec<Spanned<PathBuf>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `from`")]
struct RollbackDraft {
    from: Number,
    to: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `address` and `root`")]
struct RepositoryDraft {
    address: Spanned<Vec<Spanned<String>>>,
    root: Spanned<PathBuf>,
    poll: Option<Spanned<Lasting>>,
    proxy: Option<Spanned<String>>,
    announce: Option<Spanned<Lasting>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `time`, `events`, `blocks`, `alerts`, `cost` or `missed`")]
struct ShadowDraft {
    time: Option<Spanned<Lasting>>,
    events: Option<u64>,
    blocks: Option<u64>,
    alerts: Option<u64>,
    cost: Option<u64>,
    missed: Option<u64>,
}

/// What is wrong, and where in the text, bytes.
struct Fault(Range<usize>, String);

type Read<T> = Result<T, Fault>;

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// The first thing that cannot be read or makes no sense.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        read(text, |_| Ok(()))
    }

    /// The same for its author: what has no meaning any more at `now` is an error, too.
    ///
    /// # Errors
    /// As of [`parse`](Self::parse); and a hold that has ended.
    pub fn check(text: &str, now: Timestamp) -> Result<Self, PolicyError> {
        read(text, |draft| draft.hold.as_ref().map_or(Ok(()), |hold| hold.holds(now)))
    }
}

/// Reads a policy that is sound, and passes what is `looked` at.
fn read(text: &str, look: impl FnOnce(&Draft) -> Read<()>) -> Result<Policy, PolicyError> {
    let at = |Fault(range, message)| {
        let before = text.get(..range.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        PolicyError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message,
        }
    };
    let draft: Draft = toml::from_str(text)
        .map_err(|error| at(Fault(error.span().unwrap_or(0..0), error.message().replace('\n', ": "))))?;
    look(&draft)
        .and_then(|()| draft.policy())
        .map(|policy| Policy { written: Digest::of(text.as_bytes()), ..policy })
        .map_err(at)
}

impl Draft {
    fn policy(self) -> Read<Policy> {
        let pin = self.pin.as_ref().map(pin).transpose()?.unwrap_or_default();
        let actions = self.actions.unwrap_or(ActionsDraft { block: None, quarantine: None, kill: None });
        Ok(Policy {
            ring: self.ring.unwrap_or(Ring::General),
            pin,
            hold: self.hold.map(HoldDraft::read).transpose()?,
            delay: self.delay.map_or(Ok(SignedDuration::ZERO), |delay| {
                limited(&delay, DELAY_MAX, "90 days; to stay on one release, pin it")
            })?,
            urgent_delay: self.urgent.map_or(Ok(SignedDuration::ZERO), |urgent| {
                limited(&urgent.delay, URGENT_DELAY_MAX, "7 days: an urgent release can be delayed, not skipped")
            })?,
            windows: self.windows.into_iter().map(window).collect::<Read<_>>()?,
            approval_key: self.approval.map(|approval| absolute(approval.key)).transpose()?,
            actions: Actions([
                events(actions.block, Action::Block)?,
                events(actions.quarantine, Action::Quarantine)?,
                events(actions.kill, Action::Kill)?,
            ]),
            lifeline: self
                .lifeline
                .map_or(Ok(Vec::new()), |lifeline| lifeline.executables.into_iter().map(absolute).collect())?,
            rollback: self.rollback.map(|wish| rollback(&wish, pin)).transpose()?,
            repository: self.repository.map(RepositoryDraft::read).transpose()?,
            unsigned: self.unsigned,
            shadow: self.shadow.map(ShadowDraft::read).transpose()?,
            written: Digest::of(b""),
        })
    }
}

fn pin(draft: &Spanned<PinDraft>) -> Read<Pin> {
    match draft.get_ref() {
        PinDraft::Number(0) => Err(Fault(draft.span(), "there is no generation 0; they are counted from 1".into())),
        PinDraft::Number(number) => Ok(Pin::Number(*number)),
        PinDraft::Word(word) => match word.as_str() {
            "latest" => Ok(Pin::Latest),
            "N-1" => Ok(Pin::Behind(1)),
            "N-2" => Ok(Pin::Behind(2)),
            other => {
                let message =
                    format!("`{other}` is no pin: write \"latest\", \"N-1\", \"N-2\", or a number without quotes");
                Err(Fault(draft.span(), message))
            }
        },
    }
}

impl RepositoryDraft {
    fn read(self) -> Read<Repository> {
        let span = self.address.span();
        let addresses = self.address.into_inner().into_iter().map(|address| {
            let known = ["https://", "http://", "file:///"].iter().any(|scheme| address.get_ref().starts_with(scheme));
            if known {
                return Ok(address.into_inner());
            }
            let message = "an address of a repository begins with https://, http:// or file:///";
            Err(Fault(address.span(), message.into()))
        });
        let addresses = addresses.collect::<Read<Vec<_>>>()?;
        let mixed = addresses.iter().any(|address| address.starts_with("file:")) && addresses.len() > 1;
        if addresses.is_empty() || mixed {
            return Err(Fault(span, "name one directory, or one web server or more".into()));
        }
        let time = |time: Option<Spanned<Lasting>>, default, range: std::ops::RangeInclusive<SignedDuration>| {
            let Some(time) = time else { return Ok(default) };
            if range.contains(&time.get_ref().0) {
                return Ok(time.get_ref().0);
            }
            Err(Fault(time.span(), format!("this time must be from {:#} to {:#}", range.start(), range.end())))
        };
        let proxy = self.proxy.map(|proxy| {
            if proxy.get_ref().contains("://") {
                return Ok(proxy.into_inner());
            }
            Err(Fault(proxy.span(), "the address of a proxy begins with http://, https:// or socks5://".into()))
        });
        Ok(Repository {
            addresses,
            root: absolute(self.root)?,
            poll: time(self.poll, POLL, SignedDuration::from_secs(1)..=SignedDuration::from_hours(24))?,
            proxy: proxy.transpose()?,
            announce: time(self.announce, ANNOUNCE, SignedDuration::ZERO..=SignedDuration::from_hours(1))?,
        })
    }
}

impl HoldDraft {
    fn read(self) -> Read<Hold> {
        Ok(Hold { until: self.until()?, reason: self.reason })
    }

    fn until(&self) -> Read<Timestamp> {
        self.until.get_ref().to_string().parse().map_err(|_| {
            let message = "the end of a hold needs a date, a time and an offset, such as 2026-12-01T06:00:00+01:00";
            Fault(self.until.span(), message.into())
        })
    }

    /// An error where it has ended at `now`.
    fn holds(&self, now: Timestamp) -> Read<()> {
        let until = self.until()?;
        if until > now {
            return Ok(());
        }
        let message =
            format!("this hold ended at {until}, and holds nothing any more: write a later time, or remove `[hold]`");
        Err(Fault(self.until.span(), message))
    }
}

impl ShadowDraft {
    fn read(self) -> Read<Limits> {
        let default = Limits::DEFAULT;
        let time = self.time.map(|time| limited(&time, SHADOW_MAX, "7 days")).transpose()?;
        Ok(Limits {
            time: time.map_or(default.time, SignedDuration::unsigned_abs),
            events: self.events.unwrap_or(default.events),
            blocks: self.blocks.unwrap_or(default.blocks),
            alerts: self.alerts.unwrap_or(default.alerts),
            cost: self.cost.unwrap_or(default.cost),
            missed: self.missed.unwrap_or(default.missed),
            hourly: default.hourly,
        })
    }
}

fn limited(delay: &Spanned<Lasting>, max: SignedDuration, most: &str) -> Read<SignedDuration> {
    let Lasting(length) = *delay.get_ref();
    if length.is_negative() || length > max {
        return Err(Fault(delay.span(), format!("this delay must be from \"0s\" to {most}")));
    }
    Ok(length)
}

fn window(draft: Spanned<WindowDraft>) -> Read<Window> {
    let span = draft.span();
    let WindowDraft { days, from, to, zone } = draft.into_inner();
    if days.as_ref().is_some_and(Vec::is_empty) {
        return Err(Fault(span, "a window without a day never opens; leave `days` out for every day".into()));
    }
    let (begin, end) = (clock(&from)?, clock(&to)?);
    if begin == end {
        return Err(Fault(to.span(), "the window ends when it begins; without any window, every time is right".into()));
    }
    let known = TimeZone::get(zone.get_ref()).map_err(|_| {
        let message =
            format!("`{}` is no time zone; write a name such as \"Europe/Berlin\" or \"UTC\"", zone.get_ref());
        Fault(zone.span(), message)
    })?;
    Ok(Window::new(days.unwrap_or_else(|| Day::ALL.to_vec()), begin, end, known))
}

fn clock(text: &Spanned<String>) -> Read<Time> {
    let parse = || {
        let (hour, minute) = text.get_ref().split_once(':')?;
        let two = |digits: &str| digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        (two(hour) && two(minute)).then(|| Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()).flatten()
    };
    parse().ok_or_else(|| {
        Fault(text.span(), format!("`{}` is no time of day; write it from \"00:00\" to \"23:59\"", text.get_ref()))
    })
}

fn absolute(path: Spanned<PathBuf>) -> Read<PathBuf> {
    if path.get_ref().is_absolute() {
        return Ok(path.into_inner());
    }
    Err(Fault(path.span(), format!("`{}` is no absolute path", path.get_ref().display())))
}

fn events(names: Option<Vec<Spanned<String>>>, action: Action) -> Read<Option<Vec<Event>>> {
    let Some(names) = names else { return Ok(None) };
    let event = |name: Spanned<String>| {
        let event = Event::from_name(name.get_ref()).ok_or_else(|| {
            Fault(name.span(), format!("`{}` is no event; `creance fields` lists them", name.get_ref()))
        })?;
        if event.allows(action) {
            return Ok(event);
        }
        Err(Fault(name.span(), format!("{} can never lead to {}", name.get_ref(), action.name())))
    };
    names.into_iter().map(event).collect::<Read<_>>().map(Some)
}

fn rollback(draft: &Spanned<RollbackDraft>, pin: Pin) -> Read<Rollback> {
    let RollbackDraft { from, to } = *draft.get_ref();
    let contradiction = |message: String| Err(Fault(draft.span(), message));
    if to.is_some_and(|to| to >= from) {
        return contradiction(format!("a rollback from {from} leads to a lower number"));
    }
    match (pin, to) {
        (Pin::Number(pinned), _) if pinned == from => {
            contradiction(format!("the pin holds generation {from}, and the rollback leaves it: remove one of them"))
        }
        (Pin::Number(pinned), Some(to)) if pinned != to => contradiction(format!(
            "the pin holds generation {pinned}, and the rollback leads to {to}: remove one of them"
        )),
        (Pin::Latest | Pin::Behind(_) | Pin::Number(_), _) => Ok(Rollback { from, to }),
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => out.write_str("latest"),
            Self::Behind(count) => write!(out, "N-{count}"),
            Self::Number(number) => write!(out, "{number}"),
        }
    }
}

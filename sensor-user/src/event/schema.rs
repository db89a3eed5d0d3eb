//! The description of events and fields for people, made from the tables that make the output.

use std::fmt::Write;

use sensor_common::{
    event::Event,
    field::{FIELDS, Field, Kind},
    maps::{Kept, Loss},
    verdict::{Action, Outcome, RULES_MAX},
};

use crate::api::status::FURTHER_LOSSES;

/// A member of every event besides the fields: name, JSON type, meaning.
pub type Member = (&'static str, &'static str, &'static str);

/// The members that every event has besides its fields, in the order in which they are written.
pub const MEMBERS: &[Member] = &[
    (
        "seq",
        "integer",
        "Number of the event, from 1; it goes on with the next daemon. A gap between two lines is what you missed.",
    ),
    ("time", "string", "When it happened: RFC 3339, UTC, nanoseconds."),
    (
        "boottime",
        "integer",
        "When it happened: nanoseconds since boot (`CLOCK_BOOTTIME`), unaffected by changes of the clock.",
    ),
    ("event", "string", "What happened, see [Events](#events)."),
    ("generation", "integer", "The one generation of rules that judged it."),
    ("action", "string", "The strongest action that a matched rule asked for, see [Actions](#actions)."),
    ("outcome", "string", "What the sensor did, see [Outcomes](#outcomes)."),
    ("matched", "integer", "How many rules matched or were undecided."),
    ("rules", "array", "The rules that matched or were undecided, in their order, see [Rules](#rules)."),
    (
        "truncated",
        "array",
        "Names of the fields that are not whole. The event keeps the beginning of a payload, and the first and the last 128 bytes of another text; an empty text is not known at all.",
    ),
    (
        "undecided",
        "array",
        "Those of these fields that an undecided rule reads: on the whole text it might match, or not.",
    ),
    (
        "undecided_rules",
        "array",
        "Those of `rules` that are undecided, because unseen data decides; each with its `number`, and its `id` if known.",
    ),
];

/// The members of an entry of `rules`.
pub const RULE_MEMBERS: &[Member] = &[
    ("number", "integer", "Number of the rule in its generation, from 0."),
    ("id", "string", "Id of the rule."),
    ("title", "string", "Title of the rule."),
    ("severity", "string", "Severity of the rule."),
    ("attack", "array", "MITRE ATT&CK techniques."),
];

/// `docs/events.md`.
pub fn events_markdown() -> String {
    let mut text = String::from(EVENTS_HEAD);
    table(&mut text, "Member", MEMBERS);
    text += "\nAn event also has the fields of [fields.md](fields.md) that it carries. `process.pid` is the member `pid` \
             of the object\n`process`; a field without a dot is a member of the event itself. A field that the sensor could not \
             read is absent.\n";
    text += EVENTS_SPELLING;
    text += "\n## Rules\n\n";
    table(&mut text, "Member", RULE_MEMBERS);
    let _ = writeln!(
        text,
        "\nAn event names at most {RULES_MAX} rules; `matched` counts all. If the daemon no longer knows the event's generation, \
         the rules have\na `number` only."
    );
    text += "\n## Events\n\n| Event | Meaning | Rules can ask for |\n|---|---|---|\n";
    for event in Event::ALL {
        let _ = writeln!(text, "| `{}` | {} | {} |", event.name(), event.doc(), actions(*event));
    }
    text += "\n## Actions\n\nWeakest first: ";
    text += &Action::ALL.iter().map(|action| format!("`{}`", action.name())).collect::<Vec<_>>().join(", ");
    text += ".\n\n## Outcomes\n\n| Outcome | Meaning |\n|---|---|\n";
    for outcome in Outcome::ALL {
        let _ = writeln!(text, "| `{}` | {} |", outcome.name(), meaning(*outcome));
    }
    text += "\n## Losses\n\nThe sensor counts what it does not report; `creance status` shows the counts. If reports are left out or find no room, the log\n\
        names the actor that makes rules match most, each actor once a minute at most: `WARNING: 2890 reports were left out within 1.0 s; user 1000 made rules match most, 3200 times …`.\n\n\
        | Loss | Meaning |\n|---|---|\n";
    for loss in Loss::ALL {
        let _ = writeln!(text, "| `{}` | {} |", loss.name(), loss.doc());
    }
    for (name, meaning) in FURTHER_LOSSES {
        let _ = writeln!(text, "| `{name}` | {meaning} |");
    }
    text += "\n## Quarantine\n\nCounted in `creance status`.\n\n| Count | Meaning |\n|---|---|\n";
    for kept in Kept::ALL {
        let _ = writeln!(text, "| `{}` | {} |", kept.name(), kept.doc());
    }
    text
}

/// `docs/fields.md`.
pub fn fields_markdown() -> String {
    let mut text = String::from(FIELDS_HEAD);
    text += "| Field | Type | Carried by | Meaning |\n|---|---|---|---|\n";
    for field in FIELDS {
        let _ = writeln!(text, "| `{}` | {} | {} | {} |", field.name, kind(field), carriers(field), field.doc);
    }
    text += CONSTANTS_HEAD;
    for field in FIELDS {
        let Some(constants) = field.constants else { continue };
        let kind = if constants.bits { "bits" } else { "one of" };
        let hex = |value: i64| if constants.bits { format!("{value:#x}") } else { value.to_string() };
        let values: Vec<_> = constants.values.iter().map(|(name, value)| format!("`{name}` {}", hex(*value))).collect();
        let _ = writeln!(text, "| `{}` | {kind} | {} |", field.name, values.join(", "));
    }
    text += "\n## Events and their hooks\n\n| Event | Hook | Rules can ask for | Meaning |\n|---|---|---|---|\n";
    for event in Event::ALL {
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} | {} |",
            event.name(),
            event.hook().name(),
            actions(*event),
            event.doc()
        );
    }
    text
}

/// The type of a field, as rules see it.
pub fn kind(field: &Field) -> String {
    match field.kind {
        Kind::Text(capacity) => format!("{}, at most {capacity} bytes", field.kind.name()),
        _ => field.kind.name().to_owned(),
    }
}

/// The events that carry a field, or "every event".
pub fn carriers(field: &Field) -> String {
    let carriers: Vec<_> = Event::ALL.iter().filter(|event| field.carried_by(**event)).collect();
    if carriers.len() == Event::COUNT {
        return "every event".into();
    }
    carriers.iter().map(|event| format!("`{}`", event.name())).collect::<Vec<_>>().join(", ")
}

fn table(text: &mut String, head: &str, members: &[Member]) {
    let _ = writeln!(text, "| {head} | Type | Meaning |\n|---|---|---|");
    for (name, kind, doc) in members {
        let _ = writeln!(text, "| `{name}` | {kind} | {doc} |");
    }
}

/// The actions that rules for an event can ask for.
fn actions(event: Event) -> String {
    let actions = Action::ALL.iter().filter(|action| event.allows(**action));
    actions.map(|action| format!("`{}`", action.name())).collect::<Vec<_>>().join(", ")
}

const fn meaning(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allowed => "No rule asked for more than a report.",
        Outcome::Denied => "The operation was refused with `EPERM`.",
        Outcome::Killed => "The process was sent `SIGKILL`; the operation was refused if the hook can.",
        Outcome::NotEnforcing => {
            "A rule asked for more than a report, and the sensor is not enforcing (`creance enforce on`)."
        }
        Outcome::Quarantined => {
            "Nobody may read the pipe, FIFO or socket any more, until `creance quarantine release`."
        }
        Outcome::Lifeline => {
            "A rule asked to block or kill, and the process is on the lifeline: never blocked, never killed."
        }
        Outcome::OverBudget => {
            "A rule asked for more than a report. It only alerts for now, because it hit several users or services; or it would have killed or quarantined beyond its budget, and the hook cannot refuse."
        }
        Outcome::Unattended => "A rule asked for more than a report, and the daemon's heartbeat is too old.",
    }
}

const EVENTS_HEAD: &str =
    "<!-- Made from the source by `creance events --schema`: do not edit. A test fails while it is stale. -->
# Events

This page is for people who read events with a program: a log collector, a SIEM, a script.

Each event that at least one rule matched is one JSON object on one line: in the files of `creance daemon --events`, and
from `creance events --json`. Later versions may add members; none changes its meaning.

";

const EVENTS_SPELLING: &str = r"
**Bytes.** Paths, names and payloads are bytes, and JSON is text. Creance writes UTF-8 as it is, except that a backslash becomes
`\\`; it writes every byte that is not UTF-8 as `\xNN`. So each text has one meaning. (JSON itself then escapes backslashes and
control characters once more, as in every JSON string. Creance also escapes every character that a terminal would not show as
itself, such as `\u202e`, which reverses the direction of the text after it.)

**Integers** may need 64 bits, unsigned: `inode`, `process.cgroup`, `process.start_time`, `boottime`.
";

const FIELDS_HEAD: &str = "<!-- Made from the source by `creance fields --markdown`: do not edit. A test fails while it is stale. -->
# Fields

This page is for rule authors: it lists the fields that a condition can name. A rule can name a field only if every event of the
rule carries it. A string is bytes: what the record keeps of a path, name or payload, compared byte by byte.

";

const CONSTANTS_HEAD: &str = "
## Names for values

Use a constant in place of a literal, with the field that it is a value of. Ask for bits with `has`.

| Field | | Constants |
|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_hides_a_member() {
        for field in FIELDS {
            let first = field.name.split('.').next().unwrap();
            assert!(MEMBERS.iter().all(|(name, ..)| *name != first), "{} and a member have the same name", field.name);
        }
    }

    #[test]
    fn fields_of_a_family_stand_together() {
        let mut families: Vec<_> = FIELDS.iter().filter_map(|field| Some(field.name.split_once('.')?.0)).collect();
        families.dedup();
        let all = families.len();
        families.sort_unstable();
        families.dedup();
        assert_eq!(families.len(), all, "a JSON object would be written twice");
    }
}

//! What names in conditions stand for, and what to say where they stand for nothing.

use std::ops::Range;

use sensor_common::{
    event::Event,
    field::{FIELDS, Field, Kind},
};

use super::{
    fault::Fault,
    suggest::{nearest, quoted_list},
    typed::{Text, Typed},
};
use crate::{
    ancestors::{FIRST_SMALL, LIST},
    definitions::Definitions,
    expr::CondKind,
    int::{Int, IntField},
};

/// The names that a condition can use.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The events the rule judges: their common fields.
    pub events: &'a [Event],
    /// Integer fields that are taken on trust, in the order in which they lie behind the record.
    pub unchecked: &'a [String],
    /// For tests only: comparisons that hold of no event are let pass.
    pub any_range: bool,
    /// Lists and macros.
    pub definitions: &'a Definitions<'a>,
}

impl Names<'_> {
    /// The field `name`, which stands at `range`.
    pub(super) fn resolve(&self, name: &str, range: Range<usize>) -> Result<Typed, Fault> {
        if let Some(index) = self.unchecked.iter().position(|unchecked| unchecked == name) {
            return Ok(Typed::Int(Int::Field(IntField::unchecked(index))));
        }
        let Some(field) = Field::from_name(name) else { return Err(self.unknown(name, range)) };
        if let Some(event) = self.events.iter().find(|event| !field.carried_by(**event)) {
            let carriers = Event::ALL.iter().filter(|event| field.carried_by(**event)).map(|event| event.name());
            let message = format!("{} does not carry the field `{name}`", event.name());
            return Err(Fault::new(range, message).help(format!("`{name}` is carried by {}", quoted_list(carriers))));
        }
        Ok(match field.kind {
            Kind::Bool => Typed::Bool(CondKind::Flag(field)),
            Kind::Text(_) => Typed::Text(Text::Field(field)),
            Kind::U32 | Kind::U64 => match IntField::new(field) {
                Some(int) => Typed::Int(Int::Field(int)),
                None => return Err(self.unknown(name, range)),
            },
        })
    }

    /// The fields that all events of the rule carry.
    fn carried(&self) -> impl Iterator<Item = &'static str> {
        FIELDS.iter().filter(|field| self.events.iter().all(|event| field.carried_by(*event))).map(|field| field.name)
    }

    fn unknown(&self, name: &str, range: Range<usize>) -> Fault {
        let events: Vec<_> = self.events.iter().map(|event| event.name()).collect();
        let events = events.join(", ");
        let members: Vec<_> = self.carried().filter(|field| field.starts_with(&format!("{name}."))).collect();
        if !members.is_empty() {
            let message = format!("`{name}` is a group of fields, not a field");
            return Fault::new(range, message).help(format!("its fields are {}", quoted_list(members)));
        }
        match nearest(name, self.carried().chain(Field::constants().map(|(name, ..)| name)))
            .or_else(|| nearest(name, self.definitions.macros(false)))
        {
            Some(near) => Fault::new(range, format!("no field `{name}` on {events}; did you mean `{near}`?")),
            None => Fault::new(range, format!("no field `{name}` on {events}"))
                .help(format!("its fields are {}", quoted_list(self.carried()))),
        }
    }
}

/// The field `name` of an ancestor, which the rule calls by `variable`.
pub(super) fn ancestor_field(name: &str, variable: &str, range: Range<usize>) -> Result<Typed, Fault> {
    let prefix = format!("{FIRST_SMALL}.");
    let known: Vec<_> = FIELDS.iter().filter_map(|field| field.name.strip_prefix(&prefix)).collect();
    let member = name.split_once('.').map_or("", |(_, member)| member);
    let field = Field::from_name(name).filter(|_| known.contains(&member));
    let typed = field.and_then(|field| match field.kind {
        Kind::Bool => Some(Typed::Bool(CondKind::Flag(field))),
        Kind::Text(_) => Some(Typed::Text(Text::Field(field))),
        Kind::U32 | Kind::U64 => Some(Typed::Int(Int::Field(IntField::new(field)?))),
    });
    typed.ok_or_else(|| {
        let message = if member.is_empty() {
            format!("`{variable}` is a process, not a field")
        } else {
            format!("no field `{member}` of an ancestor")
        };
        let known = known.iter().map(|member| format!("{variable}.{member}")).collect::<Vec<_>>();
        Fault::new(range, message).help(format!("its fields are {}", quoted_list(known.iter().map(String::as_str))))
    })
}

/// The fault of `name` behind `in`, where a list is expected.
pub(super) fn no_list(names: Names<'_>, name: &str, range: Range<usize>) -> Fault {
    let fault = Fault::new(range, format!("no list `{name}`"));
    match nearest(name, names.definitions.lists()) {
        Some(near) => Fault { message: format!("{}; did you mean `{near}`?", fault.message), ..fault },
        None => fault.help("write `field in [a, b]`, or define the list under the key `lists:` of a rule file"),
    }
}

/// Words that CEL keeps for itself.
const KEYWORDS: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The functions that conditions have.
const FUNCTIONS: [&str; 7] = ["startsWith", "endsWith", "contains", "matches", "glob", "size", "has"];

/// Whether `name` already means something in conditions, so that no list, macro or parameter can have it.
pub fn is_taken(name: &str) -> bool {
    let is_field = |field: &Field| field.name.split('.').next() == Some(name);
    KEYWORDS.contains(&name)
        || FUNCTIONS.contains(&name)
        || REFUSED.iter().any(|(refused, _)| *refused == name)
        || FIELDS.iter().any(is_field)
        || name == LIST
        || Field::constants().any(|(constant, ..)| constant == name)
}

/// The functions and macros of CEL and its common extensions that conditions cannot use, and what to use.
const REFUSED: &[(&str, &str)] = &[
    ("has", "every field of an event always has a value"),
    ("all", "use `in`, or && between conditions"),
    ("exists", "use `in`, or || between conditions"),
    ("exists_one", "use `in`, or || between conditions"),
    ("map", "use `in`, or || between conditions"),
    ("filter", "use `in`, or || between conditions"),
    ("int", "all integers are signed, 64 bits"),
    ("uint", "all integers are signed, 64 bits"),
    ("double", "no field is a floating-point number"),
    ("string", "integers and strings are never mixed"),
    ("bytes", "strings are bytes here"),
    ("bool", "booleans are conditions by themselves"),
    ("type", "the type of each field is known"),
    ("dyn", "the type of each field is known"),
    ("duration", "times are integers, in nanoseconds"),
    ("timestamp", "times are integers, in nanoseconds"),
    ("lowerAscii", "strings are compared byte by byte"),
    ("upperAscii", "strings are compared byte by byte"),
];

/// The fault of a call of `name`, which is none of ours.
pub(super) fn no_function(names: Names<'_>, name: &str, method: bool, range: Range<usize>) -> Fault {
    if let Some((_, help)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Fault::new(range, format!("the function `{name}` is not supported")).help(*help);
    }
    let fault = Fault::new(range, format!("no function `{name}`"));
    let macros = names.definitions.macros(true).filter(|_| !method);
    let slip = nearest(name, FUNCTIONS.into_iter().chain(macros));
    let slip = slip.or_else(|| FUNCTIONS.into_iter().find(|known| known.eq_ignore_ascii_case(name)));
    match slip {
        Some(near) => Fault { message: format!("{}; did you mean `{near}`?", fault.message), ..fault },
        None => fault.help(
            "the functions are startsWith, endsWith, contains, matches, glob and size on strings, and has on integers",
        ),
    }
}

//! YAML as a tree in which every node knows where it stands.
//!
//! Rules are not deserialised straight into structs: that would stop at the first problem, and authors want all.

use std::{fmt, ops::Range};

use serde::{
    Deserialize,
    de::{Deserializer, Error, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, Spanned};

use crate::{diagnostic::Diagnostic, octal, text::Text};

/// Deepest nesting; rule files need five levels.
const DEPTH_MAX: usize = 24;

/// A value and where it stands in the file, bytes.
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands; of lists and maps only the start is meant.
    pub range: Range<usize>,
}

/// What a node is.
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of 64 bits; one above `i64::MAX` keeps its bits.
    Int(i64),
    /// A number that is no integer of 64 bits.
    Float,
    /// Any other scalar.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

/// One key of a map and its value.
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_range: Range<usize>,
    /// The value.
    pub node: Node,
}

impl Value {
    /// What it is, for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float => "a number that is no 64-bit integer",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Node {
    /// What to do about a number that is written as C writes octal ones, which YAML does not take for an
    /// integer.
    pub fn octal(&self, text: &Text<'_>) -> Option<String> {
        let number = text.as_str().get(self.range.clone()).filter(|_| matches!(self.value, Value::Float))?;
        let spelled = octal::spelled(number)?;
        Some(format!("`{number}` looks octal, and YAML has no such numbers: if it is one, write `{spelled}`"))
    }
}

/// Reads the one document of a file.
pub fn parse(text: &Text<'_>) -> Result<Node, Box<Diagnostic>> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, max_aliases: 64, max_anchors: 64 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000, max_replay_stack_depth: 8 },
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text.as_str(), options) {
        Ok(raw) => Ok(located(raw, text.as_str().len())),
        Err(error) => Err(Box::new(refused(text, &error))),
    }
}

/// The parser's error as a problem of ours.
fn refused(text: &Text<'_>, error: &serde_saphyr::Error) -> Diagnostic {
    let location = error.location().unwrap_or(serde_saphyr::Location::UNKNOWN);
    let [line, column] = [location.line(), location.column()].map(|from_1| usize::try_from(from_1).unwrap_or(1).max(1));
    let at = text.offset(line, column);
    if matches!(error.without_snippet(), serde_saphyr::Error::MultipleDocuments { .. }) {
        let help = "put all rules below one `rules:`, without a line `---` between them, or split the file".to_owned();
        let problem = text.problem(&(at..at + 1), "this file holds several YAML documents, and a rule file is one");
        return Diagnostic { help: Some(help), ..problem };
    }
    let words = error.without_snippet().to_string();
    let suffix = format!(" at line {line}, column {column}");
    let words = words.strip_suffix(&suffix).unwrap_or(&words);
    let words = words.strip_suffix(", set DuplicateKeyPolicy in Options if acceptable").unwrap_or(words);
    text.problem(&(at..at + 1), format!("this is not valid YAML for rules: {words}"))
}

/// A node as the deserialiser hands it over.
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

/// Moves the places from the wrappers into the nodes; `limit` is the length of the file.
fn located(raw: Spanned<Raw>, limit: usize) -> Node {
    let range = range(&raw, limit);
    let value = match raw.value {
        Raw::Scalar(value) => value,
        Raw::List(nodes) => Value::List(nodes.into_iter().map(|node| located(node, limit)).collect()),
        Raw::Map(entries) => Value::Map(entries.into_iter().map(|(key, node)| entry(key, node, limit)).collect()),
    };
    Node { value, range }
}

fn entry(key: Spanned<String>, node: Spanned<Raw>, limit: usize) -> Entry {
    Entry { key_range: range(&key, limit), key: key.value, node: located(node, limit) }
}

/// Where a value is defined (behind an alias: at its anchor).
fn range<T>(spanned: &Spanned<T>, limit: usize) -> Range<usize> {
    let span = spanned.defined.span();
    let byte = |count: Option<u64>| count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let start = byte(span.byte_offset()).min(limit);
    start..(start + byte(span.byte_len())).min(limit)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("text, a number, a boolean, a list or a map")
    }

    fn visit_unit<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Int(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Int(value.cast_signed())))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Float))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Raw::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

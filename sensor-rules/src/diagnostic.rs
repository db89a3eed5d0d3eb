//! What is wrong with rules, and where.

use std::fmt;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use crate::source::Place;

/// At least one problem; all that were found, in the order of files and lines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Diagnostics(pub Vec<Diagnostic>);

/// One problem. `Display` renders it with the line and a caret.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Diagnostic {
    /// Where it is.
    pub place: Place,
    /// The rule it is in, where there is one.
    pub rule: Option<String>,
    /// What is wrong, in one line.
    pub message: String,
    /// What stands at the caret.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line in question; `None` where there is none (an empty file, a file that is no text).
    pub excerpt: Option<Excerpt>,
    /// A second place that belongs to the problem, such as the first of two equal ids.
    pub other: Option<Box<Other>>,
}

/// A line of a rule file, or the part of a long line around the problem.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Excerpt {
    /// The text, without its line end.
    pub text: String,
    /// Where the problem starts in it, bytes.
    pub start: usize,
    /// Where the problem ends in it, bytes; not before `start`.
    pub end: usize,
}

/// A second place that belongs to a problem.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Other {
    /// What is there, such as "the id is used here first".
    pub message: String,
    /// Where.
    pub place: Place,
    /// The line.
    pub excerpt: Option<Excerpt>,
}

impl Diagnostic {
    /// The problem of a name that is none, with the one that was perhaps meant, or else with help.
    pub(crate) fn meant(self, near: Option<&str>, otherwise: impl FnOnce() -> String) -> Self {
        match near {
            Some(near) => Self { message: format!("{}; did you mean `{near}`?", self.message), ..self },
            None => Self { help: Some(otherwise()), ..self },
        }
    }

    /// The problem as text for people, in colour where the reader is a terminal.
    pub fn render(&self, colour: bool) -> String {
        self.render_as(Level::ERROR, colour)
    }

    /// The same, of what is no problem but worth a thought.
    pub fn render_warning(&self, colour: bool) -> String {
        self.render_as(Level::WARNING, colour)
    }

    fn render_as(&self, level: Level<'static>, colour: bool) -> String {
        let mut title = self.message.clone();
        if let Some(rule) = &self.rule {
            title = format!("rule `{rule}`: {title}");
        }
        let mut report =
            vec![level.primary_title(title).elements(shown(&self.place, self.excerpt.as_ref(), Some(&self.label)))];
        if let Some(other) = &self.other {
            let note = Level::NOTE.secondary_title(other.message.as_str());
            report.push(note.elements(shown(&other.place, other.excerpt.as_ref(), None)));
        }
        if let Some(help) = &self.help {
            report.push(Group::with_title(Level::HELP.secondary_title(help.as_str())));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&report)
    }
}

/// The lines that show a place: `file:line:column` and, where there is one, the excerpt with its caret.
fn shown<'a>(place: &'a Place, excerpt: Option<&'a Excerpt>, label: Option<&'a str>) -> Vec<Element<'a>> {
    let mut origin = Origin::path(place.file.as_str());
    if place.line > 0 {
        origin = origin.line(place.line).char_column(place.column);
    }
    let Some(excerpt) = excerpt else { return vec![origin.into()] };
    let label = label.filter(|label| !label.is_empty());
    let mark = AnnotationKind::Primary.span(excerpt.start..excerpt.end).label(label);
    let snippet = Snippet::source(excerpt.text.as_str()).line_start(place.line).annotation(mark);
    // Of a whole line the renderer derives the place itself, and more plainly.
    if excerpt.column() == place.column {
        vec![snippet.path(place.file.as_str()).into()]
    } else {
        vec![origin.into(), snippet.into()]
    }
}

impl Excerpt {
    /// The column of the problem in the text shown, in characters from 1.
    fn column(&self) -> usize {
        self.text.get(..self.start).map_or(0, |before| before.chars().count() + 1)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.render(false))
    }
}

impl Diagnostics {
    /// All problems as text for people, with their number at the end.
    pub fn render(&self, colour: bool) -> String {
        let mut text = String::new();
        for diagnostic in &self.0 {
            text += &diagnostic.render(colour);
            text += "\n\n";
        }
        let count = self.0.len();
        let plural = if count == 1 { "" } else { "s" };
        text + &format!("{count} problem{plural} found; nothing was changed")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

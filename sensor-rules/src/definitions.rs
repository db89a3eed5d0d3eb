//! Names that rule files give to lists of literals (`lists:`) and to conditions (`macros:`), for the rules of
//! all files.

mod cycles;
mod read;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use cel::{
    Program,
    common::ast::{Expr, IdedExpr, LiteralValue},
};

use crate::{diagnostic::Other, text::Text};

/// All lists and macros of all files.
#[derive(Default)]
pub struct Definitions<'t>(BTreeMap<String, Definition<'t>>);

/// One list or macro.
pub struct Definition<'t> {
    /// The file that it stands in.
    text: &'t Text<'t>,
    /// Where its name stands, in the file, bytes.
    name_range: Range<usize>,
    /// What the name stands for.
    pub body: Body,
}

/// What a name stands for.
pub enum Body {
    /// A list of literals, each with its place in the file.
    List(Vec<(LiteralValue, Range<usize>)>),
    /// A condition, perhaps with parameters.
    Macro(Macro),
    /// Something is wrong with it, and was noted.
    Broken,
}

/// A named condition.
pub struct Macro {
    /// The names that arguments are put in place of.
    pub parameters: Vec<String>,
    /// The condition, parsed and not yet checked: what its names mean depends on the rule that uses it.
    pub program: Program,
    /// Where its nodes stand in the file, bytes, by their ids.
    places: HashMap<u64, Range<usize>>,
}

impl<'t> Definitions<'t> {
    /// What `name` stands for, where it is defined.
    pub fn get(&self, name: &str) -> Option<&Definition<'t>> {
        self.0.get(name)
    }

    /// The names of all lists.
    pub fn lists(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, one)| matches!(one.body, Body::List(_))).map(|(name, _)| name.as_str())
    }

    /// The names of all macros, of those with or without parameters.
    pub fn macros(&self, with_parameters: bool) -> impl Iterator<Item = &str> {
        let fits = move |one: &Definition<'_>| match &one.body {
            Body::Macro(one) => one.parameters.is_empty() != with_parameters,
            Body::List(_) | Body::Broken => false,
        };
        self.0.iter().filter(move |(_, one)| fits(one)).map(|(name, _)| name.as_str())
    }
}

impl Definition<'_> {
    /// Its name and where it stands, as the second place of a problem.
    pub fn heading(&self, message: String) -> Other {
        self.other(message, &self.name_range)
    }

    /// The place of a node of a macro's condition, or of an element of a list, as the second place of a problem.
    pub fn inside(&self, node: u64) -> Other {
        let name = self.text.as_str().get(self.name_range.clone()).unwrap_or_default();
        let range = match &self.body {
            Body::List(items) => {
                usize::try_from(node).ok().and_then(|index| items.get(index)).map(|item| item.1.clone())
            }
            Body::Macro(one) => one.places.get(&node).cloned(),
            Body::Broken => None,
        };
        let what = if matches!(self.body, Body::List(_)) { "list" } else { "macro" };
        self.other(format!("in the {what} `{name}`"), &range.unwrap_or_else(|| self.name_range.clone()))
    }

    fn other(&self, message: String, range: &Range<usize>) -> Other {
        Other { message, place: self.text.place(range.start), excerpt: Some(self.text.excerpt(range)) }
    }
}

/// Calls `each` for `expr` and all parts of it that can hold a name.
pub fn visit<'e>(expr: &'e IdedExpr, each: &mut impl FnMut(&'e IdedExpr)) {
    each(expr);
    match &expr.expr {
        Expr::Select(select) => visit(&select.operand, each),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(|part| visit(part, each)),
        Expr::List(list) => list.elements.iter().for_each(|part| visit(part, each)),
        Expr::Comprehension(all) => {
            visit(&all.iter_range, each);
            visit(&all.loop_step, each);
        }
        _ => {}
    }
}

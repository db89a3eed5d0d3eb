//! The type check of calls.

use std::ops::Range;

use cel::common::ast::IdedExpr;
use sensor_common::field::Field;

use super::{
    fault::Fault,
    names::no_function,
    typed::{Text, Typed},
    types::{Checked, Checker},
};
use crate::{
    expr::CondKind,
    int::{Int, IntField},
    pattern::{Pattern, Syntax},
    text_test::TextTest,
};

impl Checker<'_> {
    /// A call of the function `name`, on `target` where it is called as a method; all of it stands at `range`.
    pub(super) fn function(
        &mut self,
        name: &str,
        target: Option<&IdedExpr>,
        arguments: &[IdedExpr],
        range: Range<usize>,
    ) -> Checked<Typed> {
        let test = match name {
            "startsWith" => TextTest::StartsWith,
            "endsWith" => TextTest::EndsWith,
            "contains" => TextTest::Contains,
            "matches" => return self.pattern(Syntax::Regex, target, arguments, range),
            "glob" => return self.pattern(Syntax::Glob, target, arguments, range),
            "size" => return self.size(target, arguments, range),
            "has" if target.is_some() => return self.bits(target, arguments, range),
            _ => return self.note(no_function(self.names, name, target.is_some(), range)),
        };
        let (field, bytes, at) = self.field_and_literal(name, target, arguments, range)?;
        Ok(Typed::Bool(self.text(test, field, bytes, at)?))
    }

    /// `text.matches(regex)` or `text.glob(glob)`
    fn pattern(
        &mut self,
        syntax: Syntax,
        target: Option<&IdedExpr>,
        arguments: &[IdedExpr],
        range: Range<usize>,
    ) -> Checked<Typed> {
        let (field, bytes, at) = self.field_and_literal(syntax.function(), target, arguments, range)?;
        // A literal is UTF-8: the scan refused escapes above `\x7f`.
        let text = String::from_utf8_lossy(&bytes);
        let pattern = match Pattern::new(syntax, &text) {
            Ok(pattern) => pattern,
            Err((reason, help)) => {
                let fault = Fault::new(at, format!("this pattern cannot be used: {reason}"));
                return self.note(if help.is_empty() { fault } else { fault.help(help) });
            }
        };
        if let (true, [(test, literals)]) = (pattern.is_implied, pattern.implied.as_slice())
            && let [literal] = literals.as_slice()
        {
            return Ok(Typed::Bool(self.text(*test, field, literal.clone(), at)?));
        }
        self.can_match(field, &pattern, at)?;
        Ok(Typed::Bool(CondKind::Pattern(field, pattern.into())))
    }

    /// The field on which the function `name` is called, and its argument, a literal, with its place.
    fn field_and_literal(
        &mut self,
        name: &str,
        target: Option<&IdedExpr>,
        arguments: &[IdedExpr],
        range: Range<usize>,
    ) -> Checked<(&'static Field, Vec<u8>, Range<usize>)> {
        let (Some(target), [argument]) = (target, arguments) else {
            let fault = Fault::new(range, format!("`{name}` is called on one string, with one"));
            return self.note(fault.help(format!("write `path.{name}(\"…\")`")));
        };
        let ranges = (self.spans.of(target), self.spans.of(argument));
        let (target, argument) = (self.typed(target), self.typed(argument));
        let field = match target? {
            Typed::Text(Text::Field(field)) => field,
            Typed::Text(Text::Literal(_)) => {
                return self.unsupported(ranges.0, &format!("`{name}` on a literal is"), "");
            }
            other => {
                let label = format!("this is {}", other.name());
                return self.note(Fault::new(ranges.0, format!("`{name}` works on strings")).label(label));
            }
        };
        match argument? {
            Typed::Text(Text::Literal(bytes)) => Ok((field, bytes, ranges.1)),
            Typed::Text(Text::Field(_)) => {
                self.unsupported(ranges.1, &format!("`{name}` of a field is"), "the argument must be a string literal")
            }
            other => {
                let label = format!("this is {}", other.name());
                self.note(Fault::new(ranges.1, format!("`{name}` takes a string")).label(label))
            }
        }
    }

    /// `size(text)` or `text.size()`
    fn size(&mut self, target: Option<&IdedExpr>, arguments: &[IdedExpr], range: Range<usize>) -> Checked<Typed> {
        let (([text], None) | ([], Some(text))) = (arguments, target) else {
            let fault = Fault::new(range, "`size` is called on one string");
            return self.note(fault.help("write `size(path)` or `path.size()`"));
        };
        let at = self.spans.of(text);
        match self.typed(text)? {
            Typed::Text(Text::Field(field)) => Ok(Typed::Int(Int::Field(IntField::length(field)))),
            Typed::Text(Text::Literal(bytes)) => Ok(Typed::Int(Int::Const(i64::try_from(bytes.len()).unwrap_or(0)))),
            other => {
                let label = format!("this is {}", other.name());
                self.note(Fault::new(at, "`size` works on strings").label(label))
            }
        }
    }

    /// A test of `field` against a literal at `range`.
    pub(super) fn text(
        &mut self,
        test: TextTest,
        field: &'static Field,
        bytes: Vec<u8>,
        range: Range<usize>,
    ) -> Checked<CondKind> {
        self.fits(field, &bytes, range)?;
        Ok(match test {
            TextTest::StartsWith | TextTest::EndsWith | TextTest::Contains if bytes.is_empty() => CondKind::Const(true),
            _ => CondKind::Text(test, field, bytes),
        })
    }
}

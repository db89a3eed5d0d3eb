//! Puts lists, macros and constants in place of their names. The compiler's type check and the interpreter
//! both take the result, so neither can read a name otherwise than the other.

use std::{collections::HashMap, ops::Range};

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue, SelectExpr};
use sensor_common::field::Field;

use super::{
    fault::Fault,
    names::is_taken,
    spans::{Constants, INSERTED, Inserted, Spans},
};
use crate::definitions::{Body, Definition, Definitions, Macro, visit};

/// Most parts of a condition with everything put in.
const PARTS_MAX: usize = 65_536;
/// Deepest nesting of a condition with everything put in: what follows it calls itself as often, and must do
/// with the 2 MiB of stack that a thread has. Chains of `&&` and `||` are balanced, and never nested so deep.
const DEPTH_MAX: usize = 128;

/// A condition with everything put in.
pub struct Expanded<'d> {
    pub expr: IdedExpr,
    /// Where the parts come from that were put in for lists and macros.
    pub inserted: Vec<Inserted<'d>>,
    /// Which of its literals were constants.
    pub constants: Constants,
}

/// The condition `expr` with everything put in.
pub fn expand<'d>(
    expr: &IdedExpr,
    spans: &Spans<'_>,
    definitions: &'d Definitions<'d>,
) -> Result<Expanded<'d>, Vec<Fault>> {
    let constants = Constants::new();
    let mut expander = Expander { definitions, spans, inserted: Vec::new(), constants, parts: 0, faults: Vec::new() };
    match expander.expr(expr, &Scope::default(), 0) {
        Ok(expr) if expander.faults.is_empty() => {
            let Expander { inserted, constants, .. } = expander;
            Ok(Expanded { expr, inserted, constants })
        }
        _ => Err(expander.faults),
    }
}

/// The problem was noted.
struct Noted;

struct Expander<'a, 'd> {
    definitions: &'d Definitions<'d>,
    spans: &'a Spans<'a>,
    inserted: Vec<Inserted<'d>>,
    constants: Constants,
    parts: usize,
    faults: Vec<Fault>,
}

/// Whose text is being read: the rule's own, or a definition's, with what its parameters stand for.
#[derive(Default)]
struct Scope<'d> {
    from: Option<(&'d Definition<'d>, Range<usize>)>,
    arguments: HashMap<&'d str, Argument>,
}

/// An argument, with everything put in, and its size.
struct Argument {
    expr: IdedExpr,
    parts: usize,
    depth: usize,
}

impl<'d> Expander<'_, 'd> {
    fn note<T>(&mut self, fault: Fault, scope: &Scope<'d>, node: &IdedExpr) -> Result<T, Noted> {
        let inside = scope.from.as_ref().map(|(definition, _)| Box::new(definition.inside(node.id)));
        self.faults.push(Fault { inside, ..fault });
        Err(Noted)
    }

    /// Where `expr` stands in the rule's condition.
    fn range(&self, expr: &IdedExpr, scope: &Scope<'d>) -> Range<usize> {
        scope.from.as_ref().map_or_else(|| self.spans.of(expr), |(_, at)| at.clone())
    }

    /// The id under which the node `id` of a scope's text is known from now on.
    fn id(&mut self, id: u64, scope: &Scope<'d>) -> u64 {
        let Some((definition, at)) = &scope.from else { return id };
        self.insert(definition, id, at.clone())
    }

    fn insert(&mut self, definition: &'d Definition<'d>, node: u64, at: Range<usize>) -> u64 {
        self.inserted.push(Inserted { at, definition, node });
        INSERTED + (self.inserted.len() - 1) as u64
    }

    fn expr(&mut self, expr: &IdedExpr, scope: &Scope<'d>, depth: usize) -> Result<IdedExpr, Noted> {
        self.count(1, depth, expr, scope)?;
        let made = match &expr.expr {
            Expr::Ident(name) => return self.name(name, expr, scope, depth),
            Expr::Call(call) => {
                if call.target.is_none()
                    && let Some(definition) = self.definitions.get(&call.func_name)
                {
                    return self.call(definition, call, expr, scope, depth);
                }
                let target = match &call.target {
                    Some(target) => Some(Box::new(self.expr(target, scope, depth + 1)?)),
                    None => None,
                };
                let args = self.exprs(&call.args, scope, depth + 1)?;
                Expr::Call(CallExpr { func_name: call.func_name.clone(), target, args })
            }
            Expr::Select(select) => {
                let operand = match &select.operand.expr {
                    // The first word of a name with a dot is never a list or macro, but may be a parameter.
                    Expr::Ident(root) if !scope.arguments.contains_key(root.as_str()) => {
                        IdedExpr { id: self.id(select.operand.id, scope), expr: select.operand.expr.clone() }
                    }
                    _ => self.expr(&select.operand, scope, depth + 1)?,
                };
                Expr::Select(SelectExpr { operand: Box::new(operand), field: select.field.clone(), test: select.test })
            }
            Expr::Comprehension(all) => Expr::Comprehension(Box::new(self.quantifier(all, expr, scope, depth)?)),
            Expr::List(list) => Expr::List(ListExpr::new(self.exprs(&list.elements, scope, depth + 1)?)),
            // Literals, and what the type check refuses as a whole.
            other => other.clone(),
        };
        Ok(IdedExpr { id: self.id(expr.id, scope), expr: made })
    }

    /// What is asked of each ancestor. Its variable has a name of its own, so that nothing is put in for it.
    fn quantifier(
        &mut self,
        all: &ComprehensionExpr,
        expr: &IdedExpr,
        scope: &Scope<'d>,
        depth: usize,
    ) -> Result<ComprehensionExpr, Noted> {
        let name = all.iter_var.as_str();
        if is_taken(name) || self.definitions.get(name).is_some() || scope.arguments.contains_key(name) {
            let message = format!("the name `{name}` already means something in conditions");
            let fault = Fault::new(self.range(expr, scope), message).help("choose another name for the variable");
            return self.note(fault, scope, expr);
        }
        let Expr::Call(step) = &all.loop_step.expr else { return Ok(all.clone()) };
        let args = self.exprs(&step.args, scope, depth + 1)?;
        let step = Expr::Call(CallExpr { args, ..step.clone() });
        Ok(ComprehensionExpr { loop_step: IdedExpr { id: all.loop_step.id, expr: step }, ..all.clone() })
    }

    /// All of them, so that the problems of all are noted.
    fn exprs(&mut self, exprs: &[IdedExpr], scope: &Scope<'d>, depth: usize) -> Result<Vec<IdedExpr>, Noted> {
        let made: Vec<_> = exprs.iter().map(|expr| self.expr(expr, scope, depth)).collect();
        made.into_iter().collect()
    }

    fn count(&mut self, parts: usize, depth: usize, expr: &IdedExpr, scope: &Scope<'d>) -> Result<(), Noted> {
        let within = self.parts <= PARTS_MAX;
        self.parts += parts;
        if within && (self.parts > PARTS_MAX || depth > DEPTH_MAX) {
            let message = format!(
                "with its macros and lists this condition has more than {PARTS_MAX} parts, or is nested deeper than {DEPTH_MAX}"
            );
            let fault = Fault::new(self.range(expr, scope), message).help("split it into several rules");
            self.parts = PARTS_MAX + 1;
            return self.note(fault, scope, expr);
        }
        if within { Ok(()) } else { Err(Noted) }
    }

    /// A name that stands alone.
    fn name(&mut self, name: &str, expr: &IdedExpr, scope: &Scope<'d>, depth: usize) -> Result<IdedExpr, Noted> {
        if let Some(argument) = scope.arguments.get(name) {
            self.count(argument.parts, depth + argument.depth, expr, scope)?;
            return Ok(argument.expr.clone());
        }
        let Some(definition) = self.definitions.get(name) else {
            let id = self.id(expr.id, scope);
            let Some((constant, value, field)) = Field::constants().find(|(constant, ..)| *constant == name) else {
                return Ok(IdedExpr { id, expr: expr.expr.clone() });
            };
            self.constants.insert(id, (constant, field));
            return Ok(IdedExpr { id, expr: Expr::Literal(LiteralValue::Int(value.into())) });
        };
        let at = self.range(expr, scope);
        match &definition.body {
            Body::Broken => Err(Noted),
            Body::List(items) => {
                self.count(items.len(), depth, expr, scope)?;
                let id = self.insert(definition, u64::MAX, at.clone());
                let elements = (0..).zip(items).map(|(index, (literal, _))| IdedExpr {
                    id: self.insert(definition, index, at.clone()),
                    expr: Expr::Literal(literal.clone()),
                });
                Ok(IdedExpr { id, expr: Expr::List(ListExpr::new(elements.collect())) })
            }
            Body::Macro(one) => self.body(definition, one, Vec::new(), expr, scope, depth),
        }
    }

    /// A macro that is called with arguments.
    fn call(
        &mut self,
        definition: &'d Definition<'d>,
        call: &CallExpr,
        expr: &IdedExpr,
        scope: &Scope<'d>,
        depth: usize,
    ) -> Result<IdedExpr, Noted> {
        let args = self.exprs(&call.args, scope, depth + 1)?;
        match &definition.body {
            Body::Broken => Err(Noted),
            Body::List(_) => {
                let fault = Fault::new(self.range(expr, scope), format!("`{}` is a list, not a macro", call.func_name));
                self.note(fault.help(format!("write `field in {}`", call.func_name)), scope, expr)
            }
            Body::Macro(one) => self.body(definition, one, args, expr, scope, depth),
        }
    }

    /// The condition of a macro in place of `expr`.
    fn body(
        &mut self,
        definition: &'d Definition<'d>,
        one: &'d Macro,
        args: Vec<IdedExpr>,
        expr: &IdedExpr,
        scope: &Scope<'d>,
        depth: usize,
    ) -> Result<IdedExpr, Noted> {
        let at = self.range(expr, scope);
        if args.len() != one.parameters.len() {
            let count = |count: usize| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
            let message = format!("this macro takes {}, and here are {}", count(one.parameters.len()), args.len());
            let inside = Some(Box::new(definition.heading("it is defined here".to_owned())));
            self.faults.push(Fault { inside, ..Fault::new(at, message) });
            return Err(Noted);
        }
        let measured = args.into_iter().map(|expr| {
            let mut parts = 0;
            visit(&expr, &mut |_| parts += 1);
            Argument { depth: height(&expr), parts, expr }
        });
        let arguments = one.parameters.iter().map(String::as_str).zip(measured).collect();
        let inner = Scope { from: Some((definition, at)), arguments };
        self.expr(one.program.expression(), &inner, depth + 1)
    }
}

/// How deep `expr` is nested.
fn height(expr: &IdedExpr) -> usize {
    match &expr.expr {
        Expr::Select(select) => 1 + height(&select.operand),
        Expr::Call(call) => 1 + call.target.as_deref().into_iter().chain(&call.args).map(height).max().unwrap_or(0),
        Expr::List(list) => 1 + list.elements.iter().map(height).max().unwrap_or(0),
        Expr::Comprehension(all) => 1 + height(&all.loop_step),
        _ => 1,
    }
}

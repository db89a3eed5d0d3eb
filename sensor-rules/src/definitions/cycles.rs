//! A macro that uses itself, perhaps through others, stands for nothing.

use std::collections::BTreeMap;

use cel::common::ast::Expr;

use super::{Body, Definitions, visit};
use crate::diagnostic::Diagnostic;

/// The macros that each macro uses, with the node that does.
type Graph = BTreeMap<String, Vec<(String, u64)>>;

/// Notes each macro that uses itself, and breaks it.
pub fn refuse(definitions: &mut Definitions<'_>, problems: &mut Vec<Diagnostic>) {
    let graph = graph(definitions);
    for Cycle { members, closing } in cycles(&graph) {
        let Some(last) = members.last().and_then(|last| definitions.0.get(last)) else { continue };
        let place = last.inside(closing);
        let message = match members.as_slice() {
            [only] => format!("the macro `{only}` uses itself"),
            [first, rest @ ..] => format!("the macro `{first}` uses itself, through {}", rest.join(" and ")),
            [] => continue,
        };
        problems.push(Diagnostic {
            place: place.place,
            rule: None,
            message,
            label: String::new(),
            help: Some("a macro is put in place of its name, so this would never end".to_owned()),
            excerpt: place.excerpt,
            other: None,
        });
        for member in &members {
            if let Some(broken) = definitions.0.get_mut(member) {
                broken.body = Body::Broken;
            }
        }
    }
}

fn graph(definitions: &Definitions<'_>) -> Graph {
    let mut graph = Graph::new();
    for (name, definition) in &definitions.0 {
        let Body::Macro(one) = &definition.body else { continue };
        let mut edges = Vec::new();
        visit(one.program.expression(), &mut |node| {
            let used = match &node.expr {
                Expr::Ident(used) if !one.parameters.contains(used) => used,
                Expr::Call(call) if call.target.is_none() => &call.func_name,
                _ => return,
            };
            if definitions.get(used).is_some_and(|used| matches!(used.body, Body::Macro(_))) {
                edges.push((used.clone(), node.id));
            }
        });
        graph.insert(name.clone(), edges);
    }
    graph
}

/// Macros of which each uses the next, and the last the first: by the node `closing`.
struct Cycle {
    members: Vec<String>,
    closing: u64,
}

/// A walk in depth, with a stack of its own: chains of macros may be long.
fn cycles(graph: &Graph) -> Vec<Cycle> {
    let mut found = Vec::new();
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    for start in graph.keys() {
        let mut path = vec![(start.as_str(), 0)];
        if done.contains_key(start.as_str()) {
            continue;
        }
        done.insert(start, false);
        while let Some((name, next)) = path.last_mut() {
            let Some((used, node)) = graph.get(*name).and_then(|uses| uses.get(*next)) else {
                done.insert(name, true);
                path.pop();
                continue;
            };
            *next += 1;
            match done.get(used.as_str()) {
                None => {
                    done.insert(used, false);
                    path.push((used, 0));
                }
                Some(false) => {
                    let members = path.iter().map(|(name, _)| (*name).to_owned()).skip_while(|name| name != used);
                    found.push(Cycle { members: members.collect(), closing: *node });
                }
                Some(true) => {}
            }
        }
    }
    found
}

//! A second reading of CEL's grammar. Compiler and interpreter share a parser, in which a mistake would hide;
//! so conditions made at random, with few parentheses, are also read by the evaluator below: the grammar of
//! the language definition (<https://github.com/cel-expr/cel-spec/blob/master/doc/langdef.md#syntax>), one
//! function for each rule, as far as operators go.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use proptest::{prelude::*, strategy::ValueTree as _};
use sensor_common::{event::Event, record::Record};
use sensor_rules::{Options, Source, check, interpret};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Bool(bool),
    Int(i64),
}

/// The fields that conditions use: `reads`, `writes`, `owner`, `mode`.
fn field(name: &str) -> Option<Value> {
    Some(match name {
        "true" | "reads" => Value::Bool(true),
        "false" | "writes" => Value::Bool(false),
        "owner" => Value::Int(7),
        "mode" => Value::Int(2),
        _ => Value::Int(name.parse().ok()?),
    })
}

/// The tokens that are still to be read. Every rule gives `None` where the text is not of it, or an operator
/// has operands of the wrong type.
struct Reader<'a>(&'a [&'a str]);

impl<'a> Reader<'a> {
    fn next_of(&mut self, operators: &[&str]) -> Option<&'a str> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| operators.contains(*first))?;
        self.0 = rest;
        Some(first)
    }

    /// `Expr = ConditionalOr ["?" ConditionalOr ":" Expr]`
    fn expr(&mut self) -> Option<Value> {
        let by = self.or()?;
        if self.next_of(&["?"]).is_none() {
            return Some(by);
        }
        let one = self.or()?;
        self.next_of(&[":"])?;
        let other = self.expr()?;
        match (by, one, other) {
            (Value::Bool(by), Value::Bool(one), Value::Bool(other)) => Some(Value::Bool(if by { one } else { other })),
            _ => None,
        }
    }

    /// `ConditionalOr = [ConditionalOr "||"] ConditionalAnd`
    fn or(&mut self) -> Option<Value> {
        let mut left = self.and()?;
        while self.next_of(&["||"]).is_some() {
            left = match (left, self.and()?) {
                (Value::Bool(left), Value::Bool(right)) => Value::Bool(left | right),
                _ => return None,
            };
        }
        Some(left)
    }

    /// `ConditionalAnd = [ConditionalAnd "&&"] Relation`
    fn and(&mut self) -> Option<Value> {
        let mut left = self.relation()?;
        while self.next_of(&["&&"]).is_some() {
            left = match (left, self.relation()?) {
                (Value::Bool(left), Value::Bool(right)) => Value::Bool(left & right),
                _ => return None,
            };
        }
        Some(left)
    }

    /// `Relation = [Relation Relop] Addition`
    fn relation(&mut self) -> Option<Value> {
        let mut left = self.addition()?;
        while let Some(operator) = self.next_of(&["<", "<=", ">", ">=", "==", "!="]) {
            let right = self.addition()?;
            left = Value::Bool(match (operator, left, right) {
                ("==", Value::Bool(_), Value::Bool(_)) | ("==", Value::Int(_), Value::Int(_)) => left == right,
                ("!=", Value::Bool(_), Value::Bool(_)) | ("!=", Value::Int(_), Value::Int(_)) => left != right,
                ("<", Value::Int(left), Value::Int(right)) => left < right,
                ("<=", Value::Int(left), Value::Int(right)) => left <= right,
                (">", Value::Int(left), Value::Int(right)) => left > right,
                (">=", Value::Int(left), Value::Int(right)) => left >= right,
                _ => return None,
            });
        }
        Some(left)
    }

    /// `Addition = [Addition ("+" | "-")] Multiplication`
    fn addition(&mut self) -> Option<Value> {
        let mut left = self.multiplication()?;
        while let Some(operator) = self.next_of(&["+", "-"]) {
            left = match (operator, left, self.multiplication()?) {
                ("+", Value::Int(left), Value::Int(right)) => Value::Int(left.checked_add(right)?),
                ("-", Value::Int(left), Value::Int(right)) => Value::Int(left.checked_sub(right)?),
                _ => return None,
            };
        }
        Some(left)
    }

    /// `Multiplication = [Multiplication ("*" | "/" | "%")] Unary`
    fn multiplication(&mut self) -> Option<Value> {
        let mut left = self.unary()?;
        while let Some(operator) = self.next_of(&["*", "/", "%"]) {
            left = match (operator, left, self.unary()?) {
                ("*", Value::Int(left), Value::Int(right)) => Value::Int(left.checked_mul(right)?),
                ("/", Value::Int(left), Value::Int(right)) => Value::Int(left.checked_div(right)?),
                ("%", Value::Int(left), Value::Int(right)) => Value::Int(left.checked_rem(right)?),
                _ => return None,
            };
        }
        Some(left)
    }

    /// `Unary = Member | "!" {"!"} Member | "-" {"-"} Member`
    fn unary(&mut self) -> Option<Value> {
        for operator in ["!", "-"] {
            let mut count = 0;
            while self.next_of(&[operator]).is_some() {
                count += 1;
            }
            if count > 0 {
                // More than the grammar: parsers take the other operator behind one, since a literal may have a sign.
                return match (operator, self.unary()?) {
                    // Parsers drop two in a row (so does cel-go's), whatever follows.
                    (_, value) if count % 2 == 0 => Some(value),
                    ("!", Value::Bool(value)) => Some(Value::Bool(!value)),
                    ("-", Value::Int(value)) => Some(Value::Int(value.checked_neg()?)),
                    _ => None,
                };
            }
        }
        self.member()
    }

    /// A field, a literal, or what is in parentheses.
    fn member(&mut self) -> Option<Value> {
        if self.next_of(&["("]).is_some() {
            let inner = self.expr()?;
            self.next_of(&[")"])?;
            return Some(inner);
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        field(first)
    }
}

/// What a condition, its tokens apart, says of the fields.
fn read(condition: &str) -> Option<bool> {
    let tokens: Vec<_> = condition.split_whitespace().collect();
    let mut reader = Reader(&tokens);
    match reader.expr()? {
        Value::Bool(holds) if reader.0.is_empty() => Some(holds),
        _ => None,
    }
}

/// What the interpreter says; `None` where the condition is refused.
fn interpreted(condition: &str) -> Option<bool> {
    let text =
        format!("rules:\n- id: x\n  title: x\n  severity: low\n  on: fifo.open\n  condition: |-\n    {condition}\n");
    let rules = check(
        &[Source { name: "x.yaml".into(), text: text.into_bytes() }],
        Options { skip_checks: true, ..Options::default() },
    )
    .ok()?;
    let mut record = Record::EMPTY;
    (record.object.reads, record.object.owner, record.object.mode) = (1, 7, 2);
    Some(interpret(&rules, Event::FifoOpen, &record).unwrap().matched == 1)
}

/// Operators between operands of the right type, half of them without parentheses: so they mostly nest
/// otherwise than they were made.
fn integers() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["owner", "mode", "3", "2", "10"]).prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 2, |inner| {
        let operators = prop::sample::select(vec!["+", "-", "*", "/", "%"]);
        let two = (inner.clone(), operators, inner.clone(), any::<bool>());
        prop_oneof![
            4 => two.prop_map(|(left, operator, right, bare)| wrap(format!("{left} {operator} {right}"), bare)),
            1 => inner.prop_map(|inner| format!("- {inner}")),
        ]
    })
}

fn conditions() -> impl Strategy<Value = String> {
    let relations = prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]);
    let leaf = prop_oneof![
        prop::sample::select(vec!["reads", "writes", "true", "false"]).prop_map(str::to_owned),
        (integers(), relations, integers()).prop_map(|(left, relation, right)| format!("{left} {relation} {right}")),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let operators = prop::sample::select(vec!["&&", "||", "==", "!="]);
        let two = (inner.clone(), operators, inner.clone(), any::<bool>());
        let three = (inner.clone(), inner.clone(), inner.clone(), any::<bool>());
        prop_oneof![
            4 => two.prop_map(|(left, operator, right, bare)| wrap(format!("{left} {operator} {right}"), bare)),
            1 => three.prop_map(|(by, one, other, bare)| wrap(format!("{by} ? {one} : {other}"), bare)),
            1 => inner.prop_map(|inner| format!("! {inner}")),
        ]
    })
}

fn wrap(text: String, bare: bool) -> String {
    if bare { text } else { format!("( {text} )") }
}

#[test]
fn both_readings_of_the_grammar_agree() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = conditions();
    let (mut agreed, mut held) = (0, 0);
    for _ in 0..4_000 {
        let condition = strategy.new_tree(&mut runner).unwrap().current();
        // Our checks refuse more than types: what could overflow, and long rows of operators. Nothing that is
        // not of the grammar passes them.
        let Some(found) = interpreted(&condition) else { continue };
        assert_eq!(read(&condition), Some(found), "{condition}");
        agreed += 1;
        held += usize::from(found);
    }
    println!("{agreed} conditions read twice, {held} of which hold");
    assert!(agreed > 1_000 && held > 250 && agreed - held > 250, "too few to prove anything: {agreed}, {held}");
}

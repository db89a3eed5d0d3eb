//! Random rules that type-check, and random records that they often match.

mod generator;
mod text;

use sensor_common::{
    event::Event,
    field::{Field, Kind},
    record::{COMM_MAX, Record, TEXT_MAX},
    verdict::Action,
};

pub use self::generator::Random;
use self::text::{glob, literal, patterns, quoted, regex, text};

/// Integers at which something changes.
const NUMBERS: &[i64] =
    &[0, 1, 2, 7, 1000, -1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, i64::MAX, i64::MIN, i64::MIN + 1];

/// Bits to ask for, also those that no field of 32 bits has.
const BITS: &[&str] = &["1", "2", "0x3e8", "0x80000000", "0xffffffff", "0x100000001", "-1", "-9223372036854775808"];

/// Lengths of texts.
const LENGTHS: &[i64] = &[0, 1, 4, 15, 16, 255, 256];

/// A rule file with a few rules for one event.
pub fn rule_file(random: &mut Random) -> (Event, String) {
    let event = *random.pick(Event::ALL);
    let mut text = format!("{}rules:\n", definitions(random, event));
    // Now and then more than a verdict can name, and so many that they are looked up.
    let count = if random.one_in(6) { 20 + random.below(60) } else { 1 + random.below(4) };
    // Now and then so many patterns for one field that they stand in one automaton.
    let patterned = random.one_in(8).then(|| {
        let fields: Vec<_> = Field::of(event).filter(|field| field.kind == Kind::Text(TEXT_MAX)).collect();
        random.pick(&fields).name
    });
    for number in 0..count {
        let action = *random.pick(Action::ALL);
        let action = if event.allows(action) { action } else { Action::Kill };
        let depth = random.below(4);
        let condition = match patterned {
            Some(name) if !random.one_in(4) => patterns(random, name),
            _ => cond(random, event, depth, 3),
        };
        let exceptions: Vec<_> = (0..random.below(6).saturating_sub(3))
            .map(|number| format!("    e{number}: |-\n      {}\n", cond(random, event, 1, 3)))
            .collect();
        let exceptions =
            if exceptions.is_empty() { String::new() } else { format!("  exceptions:\n{}", exceptions.concat()) };
        let state = state(random, event);
        let (name, action) = (event.name(), action.name());
        let rule = format!(
            "- id: r{number}\n  title: x\n  severity: low\n  on: {name}\n  action: {action}\n  condition: |-\n    {condition}\n{exceptions}{state}"
        );
        text += &rule;
    }
    (event, text)
}

/// Now and then a count, or a sequence that `event` may be the first of as well.
fn state(random: &mut Random, event: Event) -> String {
    let by = *random.pick(&["process.pid", "process.start_time", "parent.uid"]);
    match random.below(12) {
        0 => format!("  count: {{by: {by}, within: 10s, more_than: {}}}\n", random.below(3)),
        1 => {
            let first = if random.one_in(2) { event } else { *random.pick(Event::ALL) };
            let by = if random.one_in(2) { "tree" } else { by };
            let condition = cond(random, first, 1, 0);
            let first = first.name();
            format!("  after:\n    on: {first}\n    by: {by}\n    within: 5s\n    condition: |-\n      {condition}\n")
        }
        _ => String::new(),
    }
}

/// Lists and macros for `event`: `m1` uses `m0`, and `m2` its argument.
fn definitions(random: &mut Random, event: Event) -> String {
    // Long ones are looked up otherwise than short ones.
    let count = |random: &mut Random| if random.one_in(3) { 12 + random.below(40) } else { random.below(5) };
    let words: Vec<_> = (0..count(random)).map(|_| literal(random, COMM_MAX - 1)).collect();
    let numbers: Vec<_> = (0..count(random)).map(|_| random.pick(NUMBERS).to_string()).collect();
    let [first, second, third] = [0, 1, 1].map(|depth| cond(random, event, depth, 0));
    format!(
        "lists:\n  WORDS: [{}]\n  NUMBERS: [{}]\nmacros:\n  m0: |-\n    {first}\n  m1: |-\n    m0 || {second}\n  m2(x): |-\n    x == ({third})\n",
        words.join(", "),
        numbers.join(", ")
    )
}

/// A condition with at most `depth` levels of operators; `macros` of the macros may be used.
fn cond(random: &mut Random, event: Event, depth: usize, macros: usize) -> String {
    if depth == 0 {
        return leaf(random, event, macros);
    }
    let cond = |random: &mut Random, event, depth| cond(random, event, depth, macros);
    let left = cond(random, event, depth - 1);
    match random.below(9) {
        7 => format!("({left} ? ({}) : {})", cond(random, event, depth - 1), cond(random, event, depth - 1)),
        8 => format!("({left}) ? ({}) : {}", cond(random, event, 0), cond(random, event, depth - 1)),
        0 => format!("!({left})"),
        1 | 2 => format!("{left} && {}", cond(random, event, depth - 1)),
        3 => format!("({left} || {})", cond(random, event, depth - 1)),
        4 => format!("{left} || {}", cond(random, event, depth - 1)),
        5 => format!("({left}) == ({})", cond(random, event, depth - 1)),
        _ => format!("({left}) != ({})", cond(random, event, depth - 1)),
    }
}

fn leaf(random: &mut Random, event: Event, macros: usize) -> String {
    if macros > 0 && random.one_in(8) {
        return match random.below(macros) {
            2 => format!("m2({})", leaf(random, event, 0)),
            number => format!("m{number}"),
        };
    }
    if random.one_in(20) {
        return ancestors(random);
    }
    let fields: Vec<_> = Field::of(event).collect();
    let field = *random.pick(&fields);
    match field.kind {
        Kind::Bool if random.one_in(2) => field.name.to_owned(),
        Kind::Bool => format!("{} {} {}", field.name, random.pick(&["==", "!="]), random.one_in(2)),
        Kind::U32 | Kind::U64 if field.constants.is_some() && random.one_in(2) => constant_test(random, field),
        Kind::U32 | Kind::U64 => int_test(random, event, field.name),
        Kind::Text(_) if random.one_in(30) => random.one_in(2).to_string(),
        Kind::Text(capacity) => text_test(random, event, field.name, capacity),
    }
}

/// What is asked of each ancestor.
fn ancestors(random: &mut Random) -> String {
    let one = |random: &mut Random| match random.below(4) {
        0 => format!("a.pid == {}", random.pick(NUMBERS)),
        1 => format!("a.exe.endsWith({})", literal(random, TEXT_MAX)),
        2 => format!("a.comm == {}", literal(random, COMM_MAX - 1)),
        _ => format!("a.exe.startsWith({})", literal(random, TEXT_MAX)),
    };
    let (first, second) = (one(random), one(random));
    let inner = match random.below(3) {
        0 => format!("!({first})"),
        1 => format!("{first} || {second}"),
        _ => format!("{first} && !({second})"),
    };
    format!("ancestors.{}(a, {inner})", random.pick(&["exists", "all"]))
}

/// A field against one of its constants.
fn constant_test(random: &mut Random, field: &Field) -> String {
    let Some(constants) = field.constants else { return field.name.to_owned() };
    let (one, other) = (random.pick(constants.values).0, random.pick(constants.values).0);
    match random.below(3) {
        0 if constants.bits => format!("{}.has({one})", field.name),
        0 => format!("{} in [{one}, {other}, 0]", field.name),
        1 => format!("{one} != {}", field.name),
        _ => format!("{} == {one}", field.name),
    }
}

const RELATIONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];

fn int_test(random: &mut Random, event: Event, name: &str) -> String {
    let others: Vec<_> = Field::of(event).filter(|field| matches!(field.kind, Kind::U32 | Kind::U64)).collect();
    let relation = *random.pick(RELATIONS);
    if random.one_in(12) {
        let chosen = chosen(random, event, |random| arithmetic(random, event, 1));
        return format!("{chosen} {relation} {}", arithmetic(random, event, 1));
    }
    let has_bits = Field::from_name(name).and_then(|field| field.constants).is_none_or(|constants| constants.bits);
    match random.below(9) {
        5 | 6 if has_bits => format!("{name}.has({})", random.pick(BITS)),
        7 => format!("{} {relation} {}", arithmetic(random, event, 2), random.pick(NUMBERS)),
        8 => format!("{} {relation} {}", arithmetic(random, event, 1), arithmetic(random, event, 2)),
        0 => format!("{name} {relation} {}", random.pick(&others).name),
        1 => format!("{} {relation} {name}", random.pick(NUMBERS)),
        2 if random.one_in(2) => format!("{name} in NUMBERS"),
        2 => {
            let list: Vec<_> = (0..random.below(4)).map(|_| random.pick(NUMBERS).to_string()).collect();
            format!("{name} in [{}]", list.join(", "))
        }
        _ => format!("{name} {relation} {}", random.pick(NUMBERS)),
    }
}

/// One of two values, by a simple condition.
fn chosen(random: &mut Random, event: Event, value: impl Fn(&mut Random) -> String) -> String {
    let by = leaf(random, event, 0);
    format!("({by} ? {} : {})", value(random), value(random))
}

/// An integer that is computed and cannot overflow: of what lies within 33 bits, twice.
fn arithmetic(random: &mut Random, event: Event, depth: usize) -> String {
    let small: Vec<_> =
        Field::of(event).filter(|field| !matches!(field.kind, Kind::U64 | Kind::Bool)).copied().collect();
    let wide: Vec<_> = Field::of(event).filter(|field| field.kind == Kind::U64).collect();
    let factor = *random.pick(&[-1000, -7, -1, 1, 2, 3, 1000]);
    if depth == 0 {
        return match random.below(6) {
            0 => random.pick(&[0, 1, -1, 7, 0xffff_ffff_i64]).to_string(),
            1 => format!("{} % {}", random.pick(&wide).name, random.pick(&[3, -7, 1, 0x7fff_ffff])),
            2 => format!("{} / {}", random.pick(&wide).name, random.pick(&[0x1_0000_0000_i64, -0x7000_0000_0000])),
            _ => match random.pick(&small) {
                Field { kind: Kind::Text(_), name, .. } => format!("size({name})"),
                Field { name, .. } => (*name).to_owned(),
            },
        };
    }
    let left = arithmetic(random, event, depth - 1);
    let right = arithmetic(random, event, depth - 1);
    match random.below(8) {
        0 => format!("({left} + {right})"),
        1 => format!("({left}) - ({right})"),
        2 => format!("{left} - {right}"),
        3 => format!("({left}) * {factor}"),
        4 => format!("({left}) / {factor}"),
        5 => format!("({left}) % {factor}"),
        6 => format!("({left}) {} (size(process.exe) + 1)", random.pick(&["/", "%"])),
        _ => format!("-({left})"),
    }
}

fn text_test(random: &mut Random, event: Event, name: &str, capacity: usize) -> String {
    let others: Vec<_> = Field::of(event).filter(|field| matches!(field.kind, Kind::Text(_))).collect();
    if random.one_in(12) {
        let test = text_test(random, event, "", COMM_MAX - 1);
        // Only what begins with the field can be asked of a choice.
        if let Some(asked) = test.strip_prefix('.').or_else(|| test.strip_prefix(' ')) {
            let chosen = chosen(random, event, |random| random.pick(&others).name.to_owned());
            return format!("{chosen}{}{asked}", &test[..1]);
        }
    }
    // A pattern that is one literal must fit the field, as others must.
    match random.below(if capacity < TEXT_MAX { 11 } else { 14 }) {
        11 => format!("{name}.glob({})", quoted(&glob(random))),
        12 | 13 => format!("{name}.matches({})", quoted(&regex(random))),
        9 => int_test(random, event, &format!("size({name})")),
        10 => format!("{name}.size() {} {}", random.pick(&["==", "<", ">="]), random.pick(LENGTHS)),
        0 => format!("{name} {} {}", random.pick(&["==", "!="]), random.pick(&others).name),
        1 => format!("{name} == {}", literal(random, capacity)),
        2 => format!("{} != {name}", literal(random, capacity)),
        3 if random.one_in(2) => format!("{name} in WORDS"),
        3 | 4 => {
            let list: Vec<_> = (0..random.below(6)).map(|_| literal(random, capacity)).collect();
            format!("{name} in [{}]", list.join(", "))
        }
        5 => format!("{name}.startsWith({})", literal(random, capacity)),
        6 => format!("{name}.endsWith({})", literal(random, capacity)),
        _ => format!("{name}.contains({})", literal(random, capacity)),
    }
}

/// A record of which every field is set, also those that the event does not carry, with rubbish behind the texts.
pub fn record(random: &mut Random) -> Record {
    let mut bytes: Vec<u8> = (0..size_of::<Record>()).map(|_| random.next().to_le_bytes()[0]).collect();
    for field in sensor_common::field::FIELDS {
        let value = match field.kind {
            Kind::U32 => random.pick(NUMBERS).to_le_bytes()[..4].to_vec(),
            Kind::U64 => random.pick(NUMBERS).to_le_bytes().to_vec(),
            Kind::Bool => u32::from(random.one_in(2)).to_le_bytes().to_vec(),
            Kind::Text(capacity) => text(random, capacity),
        };
        bytes[field.offset..field.offset + value.len()].copy_from_slice(&value);
    }
    let mut record = Record::from_bytes(&bytes).unwrap_or(Record::EMPTY);
    // Often a process is its parent's executable, and the comm its end.
    if random.one_in(3) {
        record.parent.exe = record.process.exe;
    }
    if random.one_in(4) {
        let exe = record.process.exe;
        record.process.comm.set(&exe.as_bytes()[..exe.as_bytes().len().min(COMM_MAX - 1)]);
    }
    record
}

//! A program's instructions for people: with the rule and predicate that each comes from, and what memory it looks at.

use std::fmt::Write as _;

use sensor_common::maps::Stage;

use super::{
    asm::{Code, MEMORY},
    decode::{Raw, decode},
    program::{Mark, booleans},
    record::RECORD,
    stack::{self, Answers},
};
use crate::{
    explain::{names, predicate},
    plan::{Index, Plan},
};

/// The listing of `code`, made from `plan`. Of rules only those that `shown` says are listed; the
/// instructions that belong to no rule always are.
pub fn listing(plan: &Plan<'_>, code: &Code<Mark>, shown: &dyn Fn(&str) -> bool) -> String {
    let instructions: Vec<[u8; 8]> = code.bytes.as_chunks().0.to_vec();
    let mut out = format!("{}: {} instructions\n", plan.name(), instructions.len());
    let mut origins = code.origins.iter().peekable();
    // The origin of what follows, and that of what was listed last.
    let (mut origin, mut listed) = (None, None);
    for (index, text) in decode(&instructions) {
        while let Some((_, next)) = origins.next_if(|(first, _)| *first <= index) {
            origin = *next;
        }
        if !is_shown(plan, origin, shown) {
            continue;
        }
        if listed != Some(origin) {
            out += &heading(plan, listed.flatten(), origin);
            listed = Some(origin);
        }
        let comment = comment(plan, code, index, &Raw::new(instructions[index]));
        let line = format!("{index:>6}: {text}");
        // Writing to a string does not fail.
        let _ = match comment {
            Some(comment) => writeln!(out, "{line:<48} ; {comment}"),
            None => writeln!(out, "{line}"),
        };
    }
    out
}

fn is_shown(plan: &Plan<'_>, mark: Mark, shown: &dyn Fn(&str) -> bool) -> bool {
    mark.and_then(|(index, _)| plan.rules.get(index)).is_none_or(|planned_rule| shown(&planned_rule.rule.id))
}

/// What stands above the instructions of a predicate: the rule where it is another one, and the predicate.
fn heading(plan: &Plan<'_>, before: Mark, mark: Mark) -> String {
    let Some((index, start)) = mark else { return "        ; no rule's\n".to_owned() };
    let Some(planned_rule) = plan.rules.get(index) else { return String::new() };
    let mut out = String::new();
    if before.is_none_or(|(before, _)| before != index) {
        let _ = writeln!(out, "        ; rule {} ({})", planned_rule.rule.id, planned_rule.rule.condition_place);
    }
    let part = predicate::leaf_at(&planned_rule.cond, start);
    let _ = match (part, plan.stage) {
        (Some(part), _) => writeln!(out, "        ;   {}", predicate::text(part)),
        (None, Stage::Rules | Stage::Unseen) => writeln!(out, "        ;   it matches"),
        (None, Stage::Early) => writeln!(out, "        ;   it may match"),
    };
    out
}

/// What memory an instruction looks at.
fn comment(plan: &Plan<'_>, code: &Code<Mark>, index: usize, raw: &Raw) -> Option<String> {
    if let Ok(found) = code.maps.binary_search_by_key(&index, |(at, _)| *at) {
        let (_, map) = code.maps[found];
        let offset = usize::try_from(raw.imm).unwrap_or(0);
        return Some(if map == MEMORY { memory(plan.index.as_ref()?, offset) } else { map.to_owned() });
    }
    let (base, offset, size) = raw.memory()?;
    match base {
        base if base == RECORD as u8 => names::record(usize::try_from(offset).ok()?, size),
        10 => on_stack(plan, offset),
        _ => None,
    }
}

/// What lies at an offset of what the program carries.
fn memory(index: &Index, offset: usize) -> String {
    for lookup in &index.lookups {
        let what = names::look(lookup.look);
        let filter = lookup.filter.as_ref().map(|(_, content)| *content);
        let parts = [
            (Some(lookup.displacements), "displacements"),
            (Some(lookup.slots), "slots"),
            (Some(lookup.area.start), "rows"),
            (filter, "filter"),
        ];
        if let Some((_, part)) = parts.iter().find(|(start, _)| *start == Some(offset)) {
            return format!("{part} of the look-up of {what}");
        }
    }
    if let Some(walk) = index.walks.iter().find(|walk| walk.area.start == offset) {
        return format!("rows of the walk through {}", names::of(walk.offset));
    }
    "blocks that every event wakes".to_owned()
}

/// What lies on the stack.
fn on_stack(plan: &Plan<'_>, offset: i16) -> Option<String> {
    if offset == stack::KEY {
        return Some("key of the map look-up".to_owned());
    }
    if offset == stack::ROW {
        return Some("row found".to_owned());
    }
    let booleans = booleans(&plan.rules);
    if let Some(slot) = (0..booleans).find(|slot| stack::boolean(*slot) == offset) {
        return Some(format!("boolean {slot}"));
    }
    let index = plan.index.as_ref()?;
    let first = Answers::new(index, booleans).word(0);
    let byte = usize::try_from(offset - first).ok()?;
    let blocks = 1 + index.blocks.len().div_ceil(64);
    Some(match byte / 8 {
        0 => "marks: which words of blocks are woken".to_owned(),
        word if word < blocks => format!("marks of blocks from {} on", 8 * (byte - 8)),
        _ => format!("answers to searches from {} on", 8 * (byte - 8 * blocks)),
    })
}

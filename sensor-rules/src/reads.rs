//! Which rules read a field.

use sensor_common::{event::Event, field::Field, state::Step};

use crate::{
    expr::{Cond, CondKind},
    int::{Int, IntField},
    rule::{Rule, RuleSet},
    state::{By, Effect},
};

impl RuleSet {
    /// The rules that read one of the fields with these names.
    pub fn reading(&self, names: &[&str]) -> impl Iterator<Item = &Rule> {
        let fields: Vec<_> = names.iter().filter_map(|name| Field::from_name(name)).collect();
        self.rules().iter().filter(move |rule| fields.iter().any(|field| rule.reads(field)))
    }
}

impl Rule {
    fn reads(&self, field: &Field) -> bool {
        let parts = Event::ALL.iter().flat_map(|event| self.parts(*event));
        parts.into_iter().any(|(checked, effect)| checked.cond.reads(field) || effect.reads(field))
    }
}

impl Effect<'_> {
    fn reads(&self, field: &Field) -> bool {
        match self {
            Self::Match => false,
            Self::Note(state, _) => match &state.by {
                By::Field(by) => by.is(field),
                By::Tree => state.by.keys(Step::Second).iter().any(|(by, _)| by.is(field)),
            },
        }
    }
}

impl Cond {
    fn reads(&self, field: &Field) -> bool {
        let is = |read: &Field| read.offset == field.offset;
        match &self.kind {
            CondKind::Flag(read)
            | CondKind::Text(_, read, _)
            | CondKind::TextIn(read, _)
            | CondKind::Pattern(read, _)
            | CondKind::Cut(read)
            | CondKind::Unknown(read) => is(read),
            CondKind::TextSame(left, right) => is(left) || is(right),
            CondKind::Ints(_, left, right) => left.reads(field) || right.reads(field),
            CondKind::IntIn(int, _) => int.reads(field),
            CondKind::Bits(read, _) => read.is(field),
            _ => self.parts().into_iter().any(|part| part.reads(field)),
        }
    }
}

impl Int {
    fn reads(&self, field: &Field) -> bool {
        match self {
            Self::Const(_) => false,
            Self::Field(read) => read.is(field),
            Self::Made(made) => made.left.reads(field) || made.right.reads(field),
        }
    }
}

impl IntField {
    /// Whether it is this field, or its length.
    fn is(self, field: &Field) -> bool {
        self.field().or_else(|| self.text()).is_some_and(|read| read.offset == field.offset)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Options, Source, check};

    #[test]
    fn a_field_is_read_wherever_a_rule_names_it() {
        let rule = |id: &str, condition: &str, more: &str| {
            format!("  - {{id: {id}, title: t, severity: low, on: [fifo.create], condition: \"{condition}\"{more}}}\n")
        };
        let rules = [
            rule("plain", "process.uid == 0", ""),
            rule("path", "process.uid == 0 || !process.cgroup_path.startsWith('/a')", ""),
            rule("length", "size(process.cgroup_path) > 3", ""),
            rule("number", "process.uid == 0 && process.cgroup / 2 > 2", ""),
            rule("key", "process.uid == 0", ", count: {more_than: 3, within: 10s, by: process.cgroup}"),
        ];
        let text = format!("rules:\n{}", rules.concat()).into_bytes();
        let rules = check(&[Source { name: "rules.yaml".into(), text }], Options::default())
            .unwrap_or_else(|problems| panic!("{problems}"));
        let reading: Vec<_> = rules.reading(&["process.cgroup", "process.cgroup_path"]).map(|rule| &rule.id).collect();
        assert_eq!(reading, ["path", "length", "number", "key"]);
    }
}

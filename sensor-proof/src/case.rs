//! One rule file and one record on which the two judges may differ: made smaller, written down, read back.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use sensor_common::{
    event::Event,
    field::{FIELDS, Field},
    record::Record,
    verdict::Verdict,
};
use sensor_rules::{Options, RuleSet, Source, check, interpret};
use sensor_user::kernel::test_run::TestRun;
use serde::{Deserialize, Serialize};

/// A rule file and a record to try on both judges.
#[derive(Clone, Debug)]
pub struct Case {
    /// The event.
    pub event: Event,
    /// A rule file.
    pub rules: String,
    /// The record.
    pub record: Record,
}

/// What the two judges say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The CEL interpreter.
    pub interpreter: Verdict,
    /// The compiled program, or why the kernel refused it.
    pub kernel: Result<Verdict, String>,
}

/// The record and the event, as they are written down: fields by their names, so that a record of another
/// layout is read back.
#[derive(Serialize, Deserialize)]
struct Written {
    event: String,
    /// Each field that is not all zero: its bytes in the record as hexadecimal digits, zeros at the end left out.
    fields: BTreeMap<String, String>,
}

/// The rules in a file's text. Comparisons that hold of no event try what happens at the ends of ranges, so they
/// pass.
///
/// # Errors
/// Where they do not pass the checks.
pub fn rules(text: &str) -> Result<RuleSet> {
    let source = Source { name: "random.yaml".into(), text: text.into() };
    check(&[source], Options { skip_checks: true, ..Options::default() })
        .with_context(|| format!("these rules should pass the checks:\n{text}"))
}

impl Case {
    /// Lets both judges decide; `None` where they agree.
    ///
    /// # Errors
    /// Where the rules do not pass the checks, or the interpreter fails.
    pub fn difference(&self) -> Result<Option<Difference>> {
        let rules = rules(&self.rules)?;
        let interpreter = interpret(&rules, self.event, &self.record)?;
        let kernel = TestRun::load(&rules).and_then(|mut run| run.judge(self.event, &self.record));
        let kernel = kernel.map_err(|error| format!("{error:#}"));
        Ok((kernel.as_ref() != Ok(&interpreter)).then_some(Difference { interpreter, kernel }))
    }

    /// A case with fewer rules and fields on which the judges still differ.
    #[must_use]
    pub fn reduced(mut self) -> Self {
        let differs = |case: &Self| matches!(case.difference(), Ok(Some(_)));
        for smaller in self.with_fewer_rules() {
            if differs(&smaller) {
                self = smaller;
                break;
            }
        }
        for field in FIELDS {
            let smaller = Self { record: without(&self.record, field), ..self.clone() };
            if smaller.record.as_bytes() != self.record.as_bytes() && differs(&smaller) {
                self = smaller;
            }
        }
        self
    }

    /// The same case with each one of its rules alone.
    fn with_fewer_rules(&self) -> Vec<Self> {
        let starts: Vec<_> = self.rules.match_indices("\n- id: ").map(|(at, _)| at + 1).collect();
        let Some(first) = starts.first() else { return Vec::new() };
        let ends = starts.iter().skip(1).copied().chain([self.rules.len()]);
        let alone = starts.iter().zip(ends).map(|(start, end)| {
            let rules = format!("{}{}", &self.rules[..*first], &self.rules[*start..end]);
            Self { rules, ..self.clone() }
        });
        alone.collect()
    }

    /// Writes the case into `directory`: `NAME.yaml` with the rules, `NAME.json` with the record.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(&self, directory: &Path, name: &str) -> Result<()> {
        fs::create_dir_all(directory)?;
        let bytes = |field: &Field| &self.record.as_bytes()[field.offset..field.offset + field.kind.size()];
        let fields = FIELDS.iter().map(|field| (field.name.to_owned(), digits(bytes(field))));
        let fields = fields.filter(|(_, digits)| !digits.is_empty()).collect();
        let written = Written { event: self.event.name().to_owned(), fields };
        fs::write(directory.join(format!("{name}.yaml")), &self.rules)?;
        fs::write(directory.join(format!("{name}.json")), serde_json::to_string_pretty(&written)? + "\n")?;
        Ok(())
    }

    /// Reads the case that [`write`](Self::write) wrote; `rules` is the path of its rule file.
    ///
    /// # Errors
    /// Where a file cannot be read or understood.
    pub fn read(rules: &Path) -> Result<Self> {
        let json = rules.with_extension("json");
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let written: Written =
            serde_json::from_str(&read(&json)?).with_context(|| format!("{} is no case", json.display()))?;
        let event = Event::from_name(&written.event).with_context(|| format!("no event {}", written.event))?;
        let mut bytes = *Record::EMPTY.as_bytes();
        for (name, digits) in &written.fields {
            let field = Field::from_name(name).with_context(|| format!("no field {name}"))?;
            let value = of_digits(digits).with_context(|| format!("{name} is not in hexadecimal digits"))?;
            ensure!(value.len() <= field.kind.size(), "{name} has {} bytes", value.len());
            bytes[field.offset..field.offset + value.len()].copy_from_slice(&value);
        }
        let Some(record) = Record::from_bytes(&bytes) else { bail!("these are too few bytes for a record") };
        Ok(Self { event, rules: read(rules)?, record })
    }
}

/// The record with this field all zero.
fn without(record: &Record, field: &Field) -> Record {
    let mut bytes = *record.as_bytes();
    bytes[field.offset..field.offset + field.kind.size()].fill(0);
    Record::from_bytes(&bytes).unwrap_or(*record)
}

fn digits(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let pairs: Vec<_> = bytes[..end].iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.concat()
}

fn of_digits(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, record, rule_file};

    #[test]
    fn a_case_is_read_as_it_was_written() {
        let directory = std::env::temp_dir().join(format!("creance-case-{}", std::process::id()));
        let mut random = Random::new(1);
        for number in 0..20 {
            let (event, rules) = rule_file(&mut random);
            let case = Case { event, rules, record: record(&mut random) };
            let name = format!("case-{number}");
            case.write(&directory, &name).unwrap();
            let read = Case::read(&directory.join(format!("{name}.yaml"))).unwrap();
            assert_eq!((read.event, &read.rules), (case.event, &case.rules));
            let field = |record: &Record, field: &Field| {
                record.as_bytes()[field.offset..field.offset + field.kind.size()].to_vec()
            };
            for known in FIELDS {
                assert_eq!(field(&read.record, known), field(&case.record, known), "{}", known.name);
            }
        }
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn each_rule_alone_is_a_rule_file() {
        let mut random = Random::new(2);
        for _ in 0..20 {
            let (event, text) = rule_file(&mut random);
            let count = rules(&text).unwrap().rules().len();
            let case = Case { event, rules: text, record: Record::EMPTY };
            let alone = case.with_fewer_rules();
            assert_eq!(alone.len(), count);
            for case in alone {
                assert_eq!(rules(&case.rules).unwrap().rules().len(), 1);
            }
        }
    }
}

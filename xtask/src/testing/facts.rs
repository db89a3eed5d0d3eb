//! `docs/kernels.md` and `docs/evasion.md`: what the tests in the VMs found out about each kernel. A run on
//! all kernels writes them, and one with `--document` the columns of its kernels; every other run compares
//! its kernels with what is written. A run of some tests only does so with the documents that are made of
//! these.

use std::{collections::BTreeMap, fmt::Write as _, fs, time::Duration};

use anyhow::{Context, Result};

use super::tally::Tally;
use crate::{
    project::{self, KernelSeries},
    protocol::{Table, is_chosen},
};

/// A document that is made of facts.
struct Page {
    path: &'static str,
    /// What stands above its tables.
    head: &'static str,
    /// What the names of those tests contain that find out what stands in it.
    finders: &'static [&'static str],
    /// Its tables in their order, with their titles and what stands in their first column.
    tables: &'static [(Table, &'static str, &'static str)],
}

const PAGES: &[Page] = &[
    Page {
        path: "docs/kernels.md",
        head:
            "<!-- Made by `cargo xtask test --all-kernels`: do not edit. Every test run compares its kernels with it. -->
# Features by kernel

This page is for people who choose a kernel: it says what the sensor can see and stop on each.

A test in a VM with Debian's kernel of that series reported each cell. An empty cell means: not tried there.
",
        finders: &["features::", "conformance::", "block::", "quarantine::", "uring::", "hooks::", "preemption::"],
        tables: &[
            (Table::Kernel, "What the kernel offers", "Feature"),
            (Table::Hooks, "How each hook is attached", "Hook"),
            (Table::Stops, "What can be stopped", "Operation"),
            (Table::Operations, "Which operations are seen", "Operation"),
            (Table::NotHere, "Tests that do not apply", "Test"),
        ],
    },
    Page {
        path: "docs/evasion.md",
        head: include_str!("evasion-head.md"),
        finders: &["attack::one_minute", "attack::half_a_minute_preempted", "attack::once_by_modify_return"],
        tables: &[
            (Table::Evasion, "By LSM programs", "Attempt"),
            (Table::EvasionByModifyReturn, "By modify-return programs", "Attempt"),
            (Table::EvasionPreempted, "By LSM programs, with `preempt=full`", "Attempt"),
        ],
    },
];

/// What a kernel does not have.
const NOTHING: &str = " ";

impl Page {
    /// Those that a run of these tests is enough for.
    fn all(filter: Option<&str>) -> Vec<&'static Self> {
        let runs = |finder: &&str| filter.is_none_or(|filter| is_chosen(finder, filter));
        PAGES.iter().filter(|page| page.finders.iter().all(runs)).collect()
    }

    fn has(&self, table: Table) -> bool {
        self.tables.iter().any(|(there, ..)| *there == table)
    }
}

/// The filter that chooses the tests that documents are made of.
pub fn finders() -> String {
    PAGES.iter().flat_map(|page| page.finders).copied().collect::<Vec<_>>().join(",")
}

fn tables() -> impl Iterator<Item = &'static (Table, &'static str, &'static str)> {
    PAGES.iter().flat_map(|page| page.tables)
}

/// Rows of one table on one kernel, in their order.
type Rows = Vec<(String, String)>;

/// What was found out, by table and kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<(Table, &'static str), Rows>);

impl Facts {
    /// Notes one fact.
    pub fn add(&mut self, kernel: KernelSeries, table: Table, what: &str, value: &str) {
        // What would end a cell of a table.
        let cell = |text: &str| text.replace('|', "/").replace('\n', " ").trim().to_owned();
        self.0.entry((table, kernel.name())).or_default().push((cell(what), cell(value)));
    }

    fn rows(&self, table: Table, kernel: KernelSeries) -> &[(String, String)] {
        self.0.get(&(table, kernel.name())).map_or(&[], Vec::as_slice)
    }

    /// A document.
    fn markdown(&self, page: &Page) -> String {
        let mut text = page.head.to_owned();
        for (table, title, first) in page.tables {
            let _ = write!(text, "\n## {title}\n\n| {first} |");
            for kernel in KernelSeries::ALL {
                let _ = write!(text, " {kernel} |");
            }
            text.push_str("\n|---|");
            text.push_str(&"---|".repeat(KernelSeries::ALL.len()));
            text.push('\n');
            for what in self.order(*table) {
                let _ = write!(text, "| {what} |");
                for kernel in KernelSeries::ALL {
                    let row = self.rows(*table, *kernel).iter().find(|(there, _)| there == what);
                    let _ = write!(text, " {} |", row.map_or(NOTHING, |(_, value)| value).trim());
                }
                text.push('\n');
            }
        }
        text
    }

    /// All rows of a table: one that a kernel has alone stands behind the one that comes before it there.
    fn order(&self, table: Table) -> Vec<&str> {
        let mut order: Vec<&str> = Vec::new();
        for kernel in KernelSeries::ALL {
            let mut next = 0;
            for (what, _) in self.rows(table, *kernel) {
                if let Some(index) = order.iter().position(|there| there == what) {
                    next = index + 1;
                } else {
                    order.insert(next, what);
                    next += 1;
                }
            }
        }
        order
    }

    /// Adds what stands in a document.
    fn read(&mut self, text: &str) {
        let mut table = None;
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                table = tables().find(|(_, known, _)| *known == title).map(|(table, ..)| *table);
                continue;
            }
            let (Some(table), Some(cells)) = (table, line.strip_prefix('|')) else { continue };
            let cells: Vec<_> = cells.split('|').map(str::trim).collect();
            let is_head = tables().any(|(_, _, first)| cells.first() == Some(first)) || cells[0].starts_with("---");
            if is_head {
                continue;
            }
            for (kernel, value) in KernelSeries::ALL.iter().zip(&cells[1..]).filter(|(_, value)| !value.is_empty()) {
                self.add(*kernel, table, cells[0], value);
            }
        }
    }

    /// Whether a page says anything of a kernel.
    fn has(&self, page: &Page, kernel: KernelSeries) -> bool {
        self.0.keys().any(|(table, known)| page.has(*table) && *known == kernel.name())
    }

    /// Puts what is new of these kernels in the place of what a page said of them.
    fn replace(&mut self, page: &Page, kernels: &[KernelSeries], new: &Self) {
        let is_meant =
            |(table, name): &(Table, &str)| page.has(*table) && kernels.iter().any(|kernel| kernel.name() == *name);
        self.0.retain(|key, _| !is_meant(key));
        self.0.extend(new.0.iter().filter(|(key, _)| is_meant(key)).map(|(key, rows)| (*key, rows.clone())));
    }

    /// What differs on one kernel from what is written on a page, if anything.
    fn differences(&self, written: &Self, page: &Page, kernel: KernelSeries) -> String {
        let mut words = String::new();
        for (table, title, _) in page.tables {
            let sorted = |facts: &Self| facts.rows(*table, kernel).iter().cloned().collect::<BTreeMap<_, _>>();
            let (is, was) = (sorted(self), sorted(written));
            for what in is.keys().chain(was.keys().filter(|what| !is.contains_key(*what))) {
                let value =
                    |facts: &BTreeMap<String, String>| facts.get(what).map_or("nothing".to_owned(), Clone::clone);
                if is.get(what) != was.get(what) {
                    let _ = writeln!(words, "{title}: {what}: {}, and the document says {}", value(&is), value(&was));
                }
            }
        }
        words
    }
}

/// What is done with the facts of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The columns of the kernels of this run are written anew.
    Write,
    /// They are compared, as one test for each kernel.
    Compare,
}

fn written() -> Facts {
    let mut facts = Facts::default();
    for page in PAGES {
        facts.read(&fs::read_to_string(project::root().join(page.path)).unwrap_or_default());
    }
    facts
}

/// Writes the columns of these kernels, on which nothing failed, in the documents that a run of these tests
/// is enough for.
///
/// # Errors
/// Where it cannot be written.
pub fn write(kernels: &[KernelSeries], filter: Option<&str>, facts: &Facts) -> Result<()> {
    let mut document = written();
    let names: Vec<_> = kernels.iter().map(|kernel| kernel.name()).collect();
    let names = if names.is_empty() { "no kernel: tests failed".to_owned() } else { names.join(", ") };
    for page in Page::all(filter) {
        document.replace(page, kernels, facts);
        fs::write(project::root().join(page.path), document.markdown(page))
            .with_context(|| format!("cannot write {}", page.path))?;
        println!("{} is written of {names}", page.path);
    }
    Ok(())
}

/// Compares what was found out on these kernels with the documents that a run of these tests is enough for.
pub fn compare(kernels: &[KernelSeries], filter: Option<&str>, facts: &Facts, tally: &mut Tally) {
    let written = written();
    for (page, kernel) in Page::all(filter).into_iter().flat_map(|page| kernels.iter().map(move |it| (page, *it))) {
        let mut differences = if written.has(page, kernel) {
            facts.differences(&written, page, kernel)
        } else {
            "nothing is written\n".to_owned()
        };
        if !differences.is_empty() {
            let finders = page.finders.join(",");
            let _ = write!(differences, "`cargo xtask test --kernel {kernel} --document {finders}` writes it anew");
        }
        let failure = (!differences.is_empty()).then_some(differences.as_str());
        tally.add(&format!("{kernel} {} is current", page.path), Duration::ZERO, failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Facts {
        let mut facts = Facts::default();
        facts.add(KernelSeries::V5_10, Table::Hooks, "file_open", "LSM");
        facts.add(KernelSeries::V5_10, Table::Hooks, "task_kill", "LSM");
        facts.add(KernelSeries::V6_12, Table::Hooks, "file_open", "LSM");
        facts.add(KernelSeries::V6_12, Table::Hooks, "new|hook", "fentry\nnew");
        facts.add(KernelSeries::V6_12, Table::Hooks, "task_kill", "LSM");
        facts.add(KernelSeries::V7_3, Table::Evasion, "open", "stopped");
        facts.add(KernelSeries::V7_3, Table::NotHere, "a::test", "no such thing");
        facts
    }

    #[test]
    fn what_is_written_is_read() {
        let facts = some();
        let mut read = Facts::default();
        for page in PAGES {
            read.read(&facts.markdown(page));
        }
        assert_eq!(read, facts);
        let text = facts.markdown(&PAGES[0]);
        assert!(text.contains("| new/hook |  |  | fentry new |  |  |\n| task_kill | LSM |  | LSM |"), "{text}");
    }

    #[test]
    fn a_run_replaces_its_own_columns() {
        let (mut facts, mut new) = (some(), Facts::default());
        new.add(KernelSeries::V6_12, Table::Hooks, "file_open", "fentry");
        new.add(KernelSeries::V5_10, Table::Hooks, "file_open", "fentry");
        new.add(KernelSeries::V6_12, Table::Evasion, "open", "missed");
        facts.replace(&PAGES[0], &[KernelSeries::V6_12], &new);
        assert!(!facts.has(&PAGES[1], KernelSeries::V6_12), "another page is written too");
        assert_eq!(facts.rows(Table::Hooks, KernelSeries::V6_12), [("file_open".to_owned(), "fentry".to_owned())]);
        assert_eq!(facts.rows(Table::Hooks, KernelSeries::V5_10).len(), 2);
        assert!(facts.has(&PAGES[0], KernelSeries::V5_10) && !facts.has(&PAGES[0], KernelSeries::V6_1));
    }

    #[test]
    fn a_page_is_made_of_all_its_tests() {
        let made = |filter| Page::all(filter).iter().map(|page| page.path).collect::<Vec<_>>();
        assert_eq!(made(None), ["docs/kernels.md", "docs/evasion.md"]);
        assert_eq!(made(Some(finders().leak())), ["docs/kernels.md", "docs/evasion.md"]);
        assert_eq!(made(Some("attack::")), ["docs/evasion.md"]);
        assert!(made(Some("attack::one_minute")).is_empty());
    }

    #[test]
    fn differences_are_found_both_ways() {
        let (old, mut new) = (some(), some());
        assert_eq!(new.differences(&old, &PAGES[0], KernelSeries::V6_12), "");
        new.add(KernelSeries::V6_12, Table::Stops, "fifo.open", "denied");
        assert!(
            new.differences(&old, &PAGES[0], KernelSeries::V6_12)
                .contains("fifo.open: denied, and the document says nothing")
        );
        assert!(
            old.differences(&new, &PAGES[0], KernelSeries::V6_12)
                .contains("fifo.open: nothing, and the document says denied")
        );
        assert_eq!(new.differences(&old, &PAGES[0], KernelSeries::V6_1), "");
    }
}

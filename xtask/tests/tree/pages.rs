//! Pages that tell the truth: what they name is there.

use std::{collections::BTreeSet, fs};

use crate::{root, sources};

const PAGES: &[&str] = &["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/root-cause.md"];

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// What stands between backticks, outside of blocks of code.
fn words(page: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, block) in page.split("```").enumerate() {
        // Of a block, the files.
        let text = if index % 2 == 1 {
            block.split_whitespace().collect::<Vec<_>>()
        } else {
            block.split('`').skip(1).step_by(2).collect()
        };
        words.extend(text.into_iter().map(|word| word.trim_end_matches([',', '.']).to_owned()));
    }
    words
}

/// Whether a word names a file or directory of ours.
fn is_path(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let first = word.split('/').next().unwrap();
    word.contains('/')
        && word.chars().all(plain)
        && !word.contains("FAMILY")
        && !word.contains("NAME")
        && root().join(first).is_dir()
}

fn is_vm_test(word: &str) -> bool {
    let name =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    word.split_once("::").is_some_and(|(subject, test)| name(subject) && name(test) && test.contains('_'))
}

fn is_test(word: &str) -> bool {
    word.matches('_').count() > 1 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The names of all tests in `text`: those that VMs run, rows of the demonstration, and functions.
fn tests(text: &str) -> impl Iterator<Item = String> {
    // A test takes nothing; a property takes what it draws: `fn holds(value in 0..9)`.
    let is_test = |taken: &str| taken.split(')').next().is_some_and(|taken| taken.is_empty() || taken.contains(" in "));
    let functions = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
    let functions = functions.filter(move |(_, taken)| is_test(taken)).map(|(name, _)| name.to_owned());
    let named = text.split("name: \"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned());
    let rows = text.split('"').filter(|word| is_vm_test(word)).map(str::to_owned);
    functions.chain(named).chain(rows)
}

#[test]
fn every_file_and_test_on_the_pages_exists() {
    let all: BTreeSet<_> = sources().iter().flat_map(|file| tests(&page(file)).collect::<Vec<_>>()).collect();
    let mut missing = Vec::new();
    for name in PAGES {
        for word in words(&page(name)) {
            let there = if is_path(&word) {
                root().join(&word).exists()
            } else if is_vm_test(&word) || is_test(&word) {
                all.contains(&word)
            } else {
                true
            };
            if !there {
                missing.push(format!("{name}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "these pages name what is not there: {missing:#?}");
}

#[test]
fn every_invariant_has_its_tests() {
    let page = page("ARCHITECTURE.md");
    for number in 1..=14 {
        let row = page.lines().find(|line| line.starts_with(&format!("| {number} |")));
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE.md has no invariant {number}"));
        let held = words(row).iter().filter(|word| is_vm_test(word) || is_test(word)).count();
        assert!(held > 0, "no test holds invariant {number}: {row}");
    }
}

#[test]
fn every_link_leads_to_a_file() {
    for name in ["README.md"].iter().chain(PAGES) {
        for link in
            page(name).split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link.to_owned())
        {
            let file = link.split('#').next().unwrap();
            assert!(
                link.contains("://") || file.is_empty() || root().join(file).exists(),
                "{name} links to {link}, which is not there"
            );
        }
    }
}

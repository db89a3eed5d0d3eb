//! The shipped rules say what they promise.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use sensor_rules::{Answer, Options, RuleSet, Source, Target, check, compile, mutants, selftest};

fn shipped() -> RuleSet {
    let directory = "../rules";
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let source = |path: &std::path::PathBuf| Source {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        text: std::fs::read(path).unwrap(),
    };
    let sources: Vec<_> =
        paths.iter().filter(|path| path.extension().is_some_and(|kind| kind == "yaml")).map(source).collect();
    check(&sources, Options { mutants: true, ..Options::default() }).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn there_are_ten_and_each_is_complete() {
    let rules = shipped();
    assert!(rules.rules().len() >= 10);
    for rule in rules.rules() {
        assert!(!rule.attack.is_empty() && !rule.references.is_empty() && rule.description.is_some(), "{}", rule.id);
        assert!(rule.examples.iter().any(|example| example.expected == Answer::Match), "{} has no `match`", rule.id);
        assert!(
            rule.examples.iter().any(|example| example.expected == Answer::NoMatch),
            "{} has no `no_match`",
            rule.id
        );
    }
}

#[test]
fn their_own_tests_hold() {
    let rules = shipped();
    assert_eq!(selftest::run(&rules).all_right().map(|tests| tests > 20), Ok(true));
}

#[test]
fn their_own_tests_notice_each_part_of_a_condition_that_is_gone() {
    let tried = mutants::run(&shipped()).all_right();
    assert!(tried.as_ref().is_ok_and(|tried| *tried > 100), "{tried:#?}");
}

#[test]
fn they_compile_for_hooks_and_for_test_runs() {
    for target in [Target::Hook(sensor_common::event::Mode::Lsm), Target::SocketFilter] {
        let objects = compile(&shipped(), target).unwrap();
        assert!(objects.iter().all(|object| !object.programs.is_empty() && object.elf.starts_with(b"\x7fELF")));
    }
}

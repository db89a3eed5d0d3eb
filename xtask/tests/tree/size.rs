//! Files that one can read.

use std::fs;

use crate::{
    known::{self, Entry},
    root, sources,
};

/// Most lines of a file.
const LINES: usize = 400;
/// Most columns of a line of comment; rustfmt keeps code to its own width and leaves comments alone.
const COLUMNS: usize = 120;

#[test]
fn no_file_is_longer_than_400_lines() {
    let long =
        sources().into_iter().filter(|file| fs::read_to_string(root().join(file)).unwrap().lines().count() > LINES);
    known::compare(
        "long-files",
        &long.map(|file| Entry::from([file])).collect(),
        "a file has more than 400 lines: divide it by what its parts own",
    );
}

#[test]
fn no_comment_is_wider_than_120_columns() {
    let wide = |file: &String| {
        let text = fs::read_to_string(root().join(file)).unwrap();
        text.lines().any(|line| line.trim_start().starts_with("//") && line.chars().count() > COLUMNS)
    };
    let files = sources().into_iter().filter(wide);
    known::compare(
        "wide-comments",
        &files.map(|file| Entry::from([file])).collect(),
        "a comment is wider than 120 columns: wrap it at 110",
    );
}

#[test]
fn no_item_sends_its_reader_to_the_module() {
    let phrase = ["See the [module]", "(self)"].concat();
    let found: Vec<_> =
        sources().into_iter().filter(|file| fs::read_to_string(root().join(file)).unwrap().contains(&phrase)).collect();
    assert!(found.is_empty(), "say in one sentence what the item is: {found:#?}");
}

/// A checkout that is copied with its `target/` has programs that were built elsewhere: what is asked at build
/// time leads them back there. Cargo runs build scripts and tests in the directory of their package.
#[test]
fn nobody_keeps_the_place_where_he_was_built() {
    let asked = ["env!(\"", "CARGO_MANIFEST_DIR", "\")"].concat();
    let keeps = |file: &String| fs::read_to_string(root().join(file)).unwrap().contains(&asked);
    let found: Vec<_> = sources().into_iter().filter(keeps).collect();
    assert!(found.is_empty(), "ask for a place when it is needed, with a relative path or `project::root`: {found:#?}");
}

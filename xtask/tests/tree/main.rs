//! What every file of this repository must keep: files that one can read, imports without circles, and pages
//! that tell the truth.
//!
//! Run with `cargo test -p xtask --test tree`; part of `cargo xtask check`. What was wrong before these tests
//! came is listed in `known/`, and the lists only shrink: `CREANCE_BLESS=1` takes off what is mended, and
//! adds nothing.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod circles;
mod known;
mod modules;
mod pages;
mod size;

use std::path::{Path, PathBuf};

/// The checkout: cargo runs tests in the directory of their package.
fn root() -> PathBuf {
    Path::new("..").canonicalize().unwrap()
}

/// The packages of the repository, by directory.
const PACKAGES: &[&str] = &[
    "packaging",
    "sensor-common",
    "sensor-content",
    "sensor-ebpf",
    "sensor-proof",
    "sensor-rules",
    "sensor-user",
    "tests",
    "xtask",
    "fuzz",
];

/// All Rust files of the packages, relative to the checkout, in order.
fn sources() -> Vec<String> {
    let mut files = Vec::new();
    for package in PACKAGES {
        for entry in
            walkdir::WalkDir::new(root().join(package)).into_iter().filter_entry(|entry| entry.file_name() != "target")
        {
            let path = entry.unwrap().into_path();
            if path.extension().is_some_and(|kind| kind == "rs") {
                files.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    assert!(files.len() > 300, "only {} files found below {}", files.len(), root().display());
    files
}

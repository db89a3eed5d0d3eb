//! No two files of a crate import each other, directly or by way of others.

use std::collections::BTreeSet;

use petgraph::{algo::tarjan_scc, graphmap::DiGraphMap};

use crate::{
    PACKAGES,
    known::{self, Entry},
    modules::{Crate, roots},
};

/// The groups of files that import each other in a circle.
fn circles(of: &Crate) -> BTreeSet<Entry> {
    let imports = of.imports();
    let graph: DiGraphMap<&str, ()> = imports.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    let groups = tarjan_scc(&graph).into_iter().filter(|group| group.len() > 1);
    groups.map(|group| group.into_iter().map(str::to_owned).collect()).collect()
}

#[test]
fn no_two_files_import_each_other() {
    let mut found = BTreeSet::new();
    for root in PACKAGES.iter().flat_map(|package| roots(package)) {
        found.extend(circles(&Crate::read(&root)));
    }
    let advice = "files import each other in a circle: move what both need into a file of its own, one room down. \
                  CREANCE_CIRCLES=FILE prints what a file imports";
    if let Some(asked) = std::env::var_os("CREANCE_CIRCLES") {
        let all = PACKAGES.iter().flat_map(|package| roots(package)).map(|root| Crate::read(&root));
        for (from, to) in all.flat_map(|one| one.imports()).filter(|(from, _)| *from == asked.to_string_lossy()) {
            println!("{from} imports {to}");
        }
    }
    known::compare("circles", &found, advice);
}

/// A crate that exists in this test only.
fn made(files: &[(&str, &str)]) -> BTreeSet<Entry> {
    let read = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
    circles(&Crate::read_by("src/lib.rs", &read))
}

#[test]
fn circles_are_found_however_they_are_written() {
    let one = |a: &str, b: &str| {
        made(&[
            ("src/lib.rs", "mod a; mod b; mod c; pub use c::Third;"),
            ("src/a.rs", a),
            ("src/b.rs", b),
            ("src/c.rs", "pub struct Third;"),
        ])
    };
    let circle = BTreeSet::from([["src/a.rs", "src/b.rs"].map(str::to_owned).into()]);
    assert_eq!(one("use crate::b::B; pub struct A;", "use super::a::A;"), circle);
    assert_eq!(one("pub fn f() { crate::b::g() }", "use crate::a; fn g() { a::f() }"), circle);
    assert_eq!(
        one("pub fn f() { println!(\"{}\", crate::b::G) }", "use crate::{a::{self}, Third}; fn g() { a::f() }"),
        circle
    );
    assert_eq!(one("use crate::b::B;", "use crate::{Third, c::Third as Again};"), BTreeSet::new());
    assert_eq!(one("use crate::b::B;", "#[cfg(test)] mod tests { use crate::a::A; }"), BTreeSet::new());
    assert_eq!(one("use crate::b::B;", "/// See [`A`](crate::a::A).\npub(in crate::a) struct B;"), BTreeSet::new());
}

#[test]
fn a_name_is_followed_to_where_it_is_defined() {
    let files = |child: &'static str| {
        made(&[
            ("src/lib.rs", "mod room;"),
            (
                "src/room/mod.rs",
                "mod child; mod sibling; pub use sibling::Thing; pub use self::child::run; pub struct Own;",
            ),
            ("src/room/child.rs", child),
            ("src/room/sibling.rs", "pub struct Thing;"),
        ])
    };
    assert_eq!(files("use super::Thing; pub fn run() {}"), BTreeSet::new());
    assert_eq!(
        files("use super::Own; pub fn run() {}"),
        BTreeSet::from([["src/room/child.rs", "src/room/mod.rs"].map(str::to_owned).into()])
    );
}

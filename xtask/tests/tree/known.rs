//! Lists of what was wrong before a test came. They only shrink.

use std::{collections::BTreeSet, env, fmt::Write as _, fs};

use crate::root;

/// What is wrong: one file, or the files of one circle.
pub type Entry = BTreeSet<String>;

/// Compares what is found with the list `known/NAME`, which has one entry per line.
///
/// What is not part of a known entry fails, whatever `CREANCE_BLESS` says. Entries that are mended fail too,
/// so that nobody brings them back.
pub fn compare(name: &str, found: &BTreeSet<Entry>, advice: &str) {
    let path = root().join("xtask/tests/tree/known").join(name);
    let text = fs::read_to_string(&path).unwrap();
    let known: BTreeSet<Entry> = text.lines().filter(|line| !line.starts_with('#')).map(entry).collect();
    let new = found.iter().filter(|one| !known.iter().any(|known| known.is_superset(one)));
    let new = new.fold(String::new(), |text, entry| text + "new: " + &shown(entry) + "\n");
    assert!(new.is_empty(), "{advice}\n{new}");
    if known == *found {
        return;
    }
    if env::var_os("CREANCE_BLESS").is_none() {
        let mended: Vec<_> = known.difference(found).map(shown).collect();
        panic!("mended, wholly or in part; CREANCE_BLESS=1 takes it off {}: {mended:#?}", path.display());
    }
    let mut left =
        text.lines().filter(|line| line.starts_with('#')).fold(String::new(), |text, line| text + line + "\n");
    for entry in found {
        writeln!(left, "{}", shown(entry)).unwrap();
    }
    fs::write(&path, left).unwrap();
}

fn entry(line: &str) -> Entry {
    line.split_whitespace().map(str::to_owned).collect()
}

fn shown(entry: &Entry) -> String {
    entry.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

//! The journal: one line of JSON for each step of a generation.

use std::io;

use super::fs::{self, Fs};
use crate::life::Entry;

const JOURNAL: &str = "journal";
/// Of a longer journal the end is read, bytes.
const READ_MAX: usize = 4 << 20;
/// A journal longer than this loses its older half, bytes.
const LENGTH_MAX: usize = 1 << 20;

/// Adds lines.
pub fn append(fs: &mut impl Fs, entries: &[Entry]) -> io::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    for entry in entries {
        text += &serde_json::to_string(entry)?;
        text.push('\n');
    }
    let is_new = fs.read(JOURNAL, 0)?.is_none();
    fs.append(JOURNAL, text.as_bytes())?;
    fs.sync(JOURNAL)?;
    if is_new { fs.sync_directory() } else { Ok(()) }
}

/// All entries, of a journal that is too long the last. A line that is none is passed over: a power cut may
/// have torn it.
pub fn read(fs: &impl Fs) -> io::Result<Vec<Entry>> {
    let bytes = fs.tail(JOURNAL, READ_MAX)?.unwrap_or_default();
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// Rewrites a journal that ends in a torn line, or is too long.
pub fn mend(fs: &mut impl Fs) -> io::Result<()> {
    let bytes = fs.tail(JOURNAL, READ_MAX)?.unwrap_or_default();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole == bytes.len() && bytes.len() <= LENGTH_MAX {
        return Ok(());
    }
    let from = if whole > LENGTH_MAX {
        let half = whole - LENGTH_MAX / 2;
        half + bytes[half..whole].iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1)
    } else {
        0
    };
    fs::replace(fs, JOURNAL, &bytes[from..whole])
}

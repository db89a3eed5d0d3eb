//! What this host knows of the fastest ramps, on its disk.

use std::path::{Path, PathBuf};

use sensor_content::{
    fleet::Ramps,
    store::{Directory, read_sealed},
};

/// Its file.
pub const FILE: &str = "ramps";

/// Where it is, below the directory of generations.
pub fn place(state: &Path) -> PathBuf {
    state.join("repository")
}

/// What was written last; nothing, where there is nothing. A file that is damaged is none: the host counts anew.
pub fn read(state: &Path) -> Ramps {
    let place = place(state);
    if !place.join(FILE).exists() {
        return Ramps::default();
    }
    Directory::open(place).and_then(|directory| read_sealed(&directory, FILE)).ok().flatten().unwrap_or_default()
}

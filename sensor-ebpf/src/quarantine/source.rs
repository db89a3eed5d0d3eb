//! What is read from, as far as it can be in quarantine.

use sensor_common::maps::ObjectKey;

use super::socket;
use crate::{kernel::Struct, object::File};

/// The key of what is read from `file`, where that can be in quarantine.
#[inline(always)]
pub fn source(file: Struct) -> Option<ObjectKey> {
    File::pipe(file).map(|(file, _)| file.key()).or_else(|| socket::of_file(file))
}

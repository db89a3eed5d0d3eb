//! All that a run of the demonstration measures.

use std::time::Duration;

use super::{contrast::Contrast, row::Row};
use crate::simulate::Brief;

/// Virtual hosts of the simulations that are shown: seconds, not a minute.
pub const HOSTS: u32 = 500_000;

/// All that was measured.
pub struct Measured {
    /// Its release, as `uname -r` prints it.
    pub kernel: String,
    /// In order.
    pub rows: Vec<Row>,
    /// The VM whose kernel goes down; `None` where it was left out.
    pub contrast: Option<Contrast>,
    /// The bad release on virtual hosts.
    pub july: Brief,
    /// The same by who stole the online key.
    pub stolen: Brief,
    /// The whole run.
    pub took: Duration,
}

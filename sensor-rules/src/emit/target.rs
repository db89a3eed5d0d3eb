//! What programs are compiled for, and the names of the maps that only they have.

use sensor_common::event::Mode;

/// Name of the map (array of one [`Record`](sensor_common::record::Record)) that programs for
/// [`Target::SocketFilter`] judge.
pub const RECORD_MAP: &str = "RECORD";

/// What programs are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The sensor's hooks, as they are attached in this mode: one object per hook that has rules, one program
    /// per event in it, and for some events an early one. A program finds the record of its task in
    /// `RECORDS`, writes the verdict into it, and calls finish.
    Hook(Mode),
    /// Test runs: the same judgement in a socket filter, on the record in the map [`RECORD_MAP`].
    SocketFilter,
}

/// Name of the array (of programs) through which the programs of one object call each other. The loader puts
/// each program whose [`chained`](super::Program::chained) says so into it.
pub const PARTS_MAP: &str = "PARTS";

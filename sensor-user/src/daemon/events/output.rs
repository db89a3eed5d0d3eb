//! What a sink writes to: an event file, or lines on standard output.

use std::{io, sync::Arc};

use super::lines::Lines;

/// What a sink writes to.
pub trait Output: Send {
    /// Writes lines, without their ends, each whole or not at all; how many, and why not all.
    fn write(&mut self, lines: &[Arc<str>]) -> (usize, io::Result<()>);

    /// Writes the first line after some that are missing; `say` says that they are, once there is room for this
    /// one and before it can be read.
    ///
    /// # Errors
    /// When the line cannot be written; they may have been said to be missing then.
    fn write_after_gap(&mut self, line: &str, say: &mut dyn FnMut()) -> io::Result<()>;

    /// Opens anew what has a name; what was open stays so where that cannot be.
    ///
    /// # Errors
    /// Why it cannot.
    fn reopen(&mut self) -> io::Result<()>;
}

impl Output for Lines {
    fn write(&mut self, lines: &[Arc<str>]) -> (usize, io::Result<()>) {
        Self::write(self, lines)
    }

    fn write_after_gap(&mut self, line: &str, say: &mut dyn FnMut()) -> io::Result<()> {
        Self::write_after_gap(self, line, say)
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! What a sink writes to: an event file, or lines on standard output.

use std::{io, sync::Arc};

use super::lines::Lines;

/// What a sink writes to.
pub trait Output: Send {
    /// Writes lines, without their ends, each whole or not at all; how many, and why not all.
    fn write(&mut self, lines: &[Arc<str>]) -> (usize, io::Result<()>);

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

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! The same by the system calls of 32-bit programs, where the kernel has them.
//!
//! | Module | Holds |
//! |---|---|
//! | `entry` | the way into the kernel, and memory that it can name |
//! | `files`, `sockets`, `sysv`, `process` | the steps |

pub(crate) mod entry;
mod files;
mod process;
mod sockets;
mod sysv;

use std::rc::Rc;

use anyhow::Result;

use super::plan::Plan;
use entry::Low;

pub use entry::is_there;

/// Adds the steps of this file to the plan.
pub fn plan(plan: &mut Plan) -> Result<()> {
    if !is_there()? {
        plan.absent("every system call of 32-bit programs");
        return Ok(());
    }
    plan.plain = false;
    let low = Rc::new(Low::new()?);
    files::plan(plan, &low)?;
    sockets::plan(plan, &low)?;
    sysv::plan(plan, &low)?;
    process::plan(plan, &low)
}

//! The brakes, as far as they live in user space.
//!
//! | File | Holds |
//! |---|---|
//! | [`monitor`] | reports what the brakes hold back |
//! | [`heartbeat`] | periodic work: the sign of life, counters swept, the lifeline checked |
//! | [`switch`], [`off_file`] | whether verdicts are carried out: by command, by a file |
//! | [`lifeline`] | the executables that are never blocked |
//! | `names`, `file_key` | every name of one program, and what the kernel knows it by |
//! | [`process_scan`] | the thread that still sees other users' processes |

mod file_key;
pub mod heartbeat;
pub mod lifeline;
pub mod monitor;
mod names;
pub mod off_file;
pub mod process_scan;
pub mod switch;

//! What the actor finds when it begins, and who it is.

use std::path::{Path, PathBuf};

/// Where everything lies that has a path.
pub const DIRECTORY: &str = "/tmp/conformance";
/// The cgroup of the actor.
pub const CGROUP: &str = "/sys/fs/cgroup/conformance/actors";
/// What is written and sent.
pub const PAYLOAD: &[u8] = b"a known payload";
/// Its length, as calls with 32 bits take it.
#[expect(clippy::cast_possible_truncation, reason = "15")]
pub const PAYLOAD_LENGTH: u32 = PAYLOAD.len() as u32;
/// Who starts the actor.
pub const PARENT_USER: u32 = 1001;
/// The real user of the actor.
pub const USER: u32 = 1002;
/// Its effective user.
pub const EFFECTIVE_USER: u32 = 1003;
/// Whose the files are.
pub const OWNER: u32 = 1004;
/// Who logged in.
pub const LOGIN_USER: u32 = 1005;
/// `CAP_KILL`, `CAP_SYS_PTRACE`, `CAP_SYS_ADMIN`: what the plan takes.
pub const CAPABILITIES: u64 = 1 << 5 | 1 << 19 | 1 << 21;

/// A path in the directory.
pub fn at(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

//! Who may ask the daemon for what: decided by the kernel's word on the peer, whatever the socket's mode says.

use std::{io, mem::size_of, os::fd::AsRawFd};

use tokio::net::UnixStream;

/// Who may talk to the daemon.
#[derive(Clone, Debug, Default)]
pub struct Admitted {
    users: Vec<u32>,
    readers: Option<u32>,
}

/// What a peer may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    Full,
    /// What runs; nothing that changes it, and no events, which hold what others' processes are called with.
    Status,
}

impl Admitted {
    /// These user ids may ask for everything.
    pub fn users(users: impl IntoIterator<Item = u32>) -> Self {
        Self { users: users.into_iter().collect(), readers: None }
    }

    /// Members of this group may read the status.
    #[must_use]
    pub fn readers(self, group: Option<u32>) -> Self {
        Self { readers: group, ..self }
    }

    /// What the process at the other end may ask for.
    ///
    /// # Errors
    /// In words for that process: it may ask for nothing, or the kernel does not tell who it is.
    pub fn access(&self, stream: &UnixStream) -> Result<Access, String> {
        let unknown = |error| format!("who you are cannot be found out: {error}");
        let peer = stream.peer_cred().map_err(unknown)?;
        if self.users.contains(&peer.uid()) {
            return Ok(Access::Full);
        }
        if let Some(readers) = self.readers
            && (peer.gid() == readers || supplementary_groups(stream).map_err(unknown)?.contains(&readers))
        {
            return Ok(Access::Status);
        }
        Err(format!("user {} may not talk to the daemon: only root may; try with sudo", peer.uid()))
    }
}

/// The supplementary groups that the peer had when it connected: `SO_PEERGROUPS` of unix(7), since Linux 4.13.
fn supplementary_groups(stream: &UnixStream) -> io::Result<Vec<libc::gid_t>> {
    // The kernel's limit: NGROUPS_MAX.
    let mut groups = vec![0; 65536];
    let mut size = libc::socklen_t::try_from(groups.len() * size_of::<libc::gid_t>()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `size` bytes to `groups`, which is that long, and their number to `size`.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    groups.truncate(size as usize / size_of::<libc::gid_t>());
    Ok(groups)
}

/// The id of the group called `name`, or numbered so, as /etc/group (the text `groups`) has it.
///
/// # Errors
/// In words, when there is none.
pub fn group_id(groups: &str, name: &str) -> Result<u32, String> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    groups
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find_map(|parts| (parts.len() == 4 && parts[0] == name).then(|| parts[2].parse().ok()).flatten())
        .ok_or_else(|| format!("there is no group {name:?} in /etc/group: make it with `groupadd --system {name}`"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_and_number() {
        let file = "root:x:0:\nbroken\ncreance:x:997:ada,bob\nodd:x:many:\n";
        assert_eq!(group_id(file, "creance"), Ok(997));
        assert_eq!(group_id(file, "42"), Ok(42));
        for absent in ["creanc", "ada", "odd", "broken", ""] {
            assert!(group_id(file, absent).is_err(), "{absent}");
        }
    }

    #[tokio::test]
    async fn supplementary_groups_are_those_of_the_peer() {
        let (here, _there) = UnixStream::pair().unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let own = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        let own: Vec<u32> = own.split_whitespace().map(|group| group.parse().unwrap()).collect();
        assert_eq!(supplementary_groups(&here).unwrap(), own);
    }
}

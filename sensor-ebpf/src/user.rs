//! For which user of this host a process acts: his own, or in a user namespace whoever made that, for there
//! he may have other ids.

use crate::kernel::{
    CRED_UID, CRED_USER_NS, NSPROXY_PID_NS, PID_NS_LEVEL, Ptr, Struct, TASK_NSPROXY, USER_NS_LEVEL, USER_NS_OWNER,
    USER_NS_PARENT, member, probe,
};

pub const ROOT: u32 = 0;

/// How deep the kernel lets user namespaces be nested.
const NAMESPACES: u32 = 33;

/// From [`owner_of`]: this is the host's own.
const HOST: u32 = u32::MAX;

/// The user for whom a process with this `struct cred` acts.
#[inline(always)]
pub fn of(cred: Struct) -> u32 {
    let owner = owner_of(cred.get::<u64>(&CRED_USER_NS) as Ptr);
    // A namespace that root made has ids of its own for those in it.
    if owner == ROOT || owner == HOST { cred.get(&CRED_UID) } else { owner }
}

/// Whether a task is in a pid namespace of its own, as in a container, or in none any more.
#[inline(always)]
pub fn is_in_container(task: Struct) -> bool {
    let namespace = task.to(&TASK_NSPROXY).and_then(|all| all.to(&NSPROXY_PID_NS));
    namespace.is_none_or(|namespace| namespace.get::<u32>(&PID_NS_LEVEL) != 0)
}

/// Whether these credentials are of the host's own user namespace.
#[inline(always)]
pub fn is_of_host(cred: Struct) -> bool {
    is_host(cred.get::<u64>(&CRED_USER_NS) as Ptr)
}

/// Whether a user namespace is the host's own.
#[inline(always)]
pub fn is_host(namespace: Ptr) -> bool {
    probe::<u32>(member(namespace, &USER_NS_LEVEL)) == Some(0)
}

/// Which user made a user namespace, or the one around it that is in the host's own.
#[inline(always)]
fn owner_of(namespace: Ptr) -> u32 {
    let mut namespace = Struct::probed(namespace);
    for _ in 0..NAMESPACES {
        match namespace.get::<u32>(&USER_NS_LEVEL) {
            0 => return HOST,
            1 => return namespace.get(&USER_NS_OWNER),
            _ => namespace = namespace.follow(&USER_NS_PARENT),
        }
    }
    HOST
}

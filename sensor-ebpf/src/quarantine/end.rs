//! What is no more is not in quarantine: its number or address may be another's next.

use sensor_common::maps::ObjectKey;

use super::QUARANTINE;
use crate::{
    hook::{Context, lsm_guard},
    kernel::{INODE_I_INO, INODE_I_MODE, Ptr, Struct},
    object,
};

#[inline(always)]
fn forget(key: &ObjectKey) {
    // Most of what ends has no mark.
    let _ = QUARANTINE.remove(key);
}

#[inline(always)]
fn inode_ends<C: Context>(ctx: &C) -> i32 {
    let inode = Struct::typed(ctx.arg(0));
    if object::is_fifo(inode.get(&INODE_I_MODE)) {
        forget(&ObjectKey::pipe(inode.base as u64, inode.get(&INODE_I_INO)));
    }
    0
}

lsm_guard! {
    /// `void inode_free_security(struct inode *inode)`: nobody has it open any more, so its content is gone.
    quarantine_inode_end, "inode_free_security", inode_ends
}

#[inline(always)]
fn sock_ends<C: Context>(ctx: &C) -> i32 {
    let sk: Ptr = ctx.arg(0);
    forget(&ObjectKey::socket(sk as u64));
    0
}

lsm_guard! {
    /// `void sk_free_security(struct sock *sk)`: nobody holds it any more.
    quarantine_sock_end, "sk_free_security", sock_ends
}

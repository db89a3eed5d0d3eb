//! What is no more is not in quarantine: its number or address may be another's next.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use sensor_common::maps::ObjectKey;

use super::QUARANTINE;
use crate::{
    kernel::{INODE_I_INO, INODE_I_MODE, INODE_I_SB, Ptr, SB_S_DEV, Struct},
    object,
};

#[inline(always)]
fn forget(key: &ObjectKey) {
    // Most of what ends has no mark.
    let _ = QUARANTINE.remove(key);
}

/// `void inode_free_security(struct inode *inode)`: nobody has it open any more, so its content is gone.
#[lsm(hook = "inode_free_security")]
pub fn quarantine_inode_end(ctx: LsmContext) -> i32 {
    let inode = Struct::typed(ctx.arg(0));
    if object::is_fifo(inode.get(&INODE_I_MODE)) {
        let device = inode.follow(&INODE_I_SB).get(&SB_S_DEV);
        forget(&ObjectKey::pipe(inode.get(&INODE_I_INO), device));
    }
    0
}

/// `void sk_free_security(struct sock *sk)`: nobody holds it any more.
#[lsm(hook = "sk_free_security")]
pub fn quarantine_sock_end(ctx: LsmContext) -> i32 {
    let sk: Ptr = ctx.arg(0);
    forget(&ObjectKey::socket(sk as u64));
    0
}

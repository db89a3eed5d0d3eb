//! The path of a cgroup: names from the leaf up, as [`path`](crate::path) does it with directories.

use sensor_common::record::{TEXT_MAX, Text};

use crate::{
    kernel::{CGROUP_KN, CSS_SET_DFL_CGRP, KN_NAME, KN_PARENT, Ptr, Struct, TASK_CGROUPS, member, probe_ptr},
    maps::SCRATCH,
    path,
    scratch::Scratch,
};

/// Most levels of cgroups that are followed up.
const DEPTH: u32 = 16;

/// Writes the path of the cgroup of `task` in the unified hierarchy.
#[inline(always)]
pub fn fill(text: &mut Text<TEXT_MAX>, scratch: &mut Scratch, task: Struct) {
    text.len = 0;
    text.full = 0;
    let Some(cgroup) = task.to(&TASK_CGROUPS).and_then(|set| set.to(&CSS_SET_DFL_CGRP)) else { return };
    scratch.dentry.set(cgroup.get(&CGROUP_KN));
    walk_cgroup(scratch.slot());
    path::keep(text, scratch);
}

/// Builds the path in the scratch area of this slot: a global function to the verifier, as
/// [`path::fill`](crate::path::fill) has one.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_cgroup(slot: u32) -> u32 {
    if let Some(scratch) = SCRATCH.get_ptr_mut(slot) {
        // SAFETY: a live map value; whoever calls holds the slot.
        walk(unsafe { &mut *scratch });
    }
    0
}

#[inline(always)]
fn walk(scratch: &mut Scratch) {
    path::begin(scratch);
    for _ in 0..DEPTH {
        let node = scratch.dentry.get() as Ptr;
        let Some(parent) = probe_ptr(member(node, &KN_PARENT)) else { return };
        if parent.is_null() {
            path::end(scratch);
            return;
        }
        let Some(name) = probe_ptr(member(node, &KN_NAME)) else { return };
        if !path::put_string(scratch, name) {
            return;
        }
        scratch.dentry.set(parent as u64);
    }
}

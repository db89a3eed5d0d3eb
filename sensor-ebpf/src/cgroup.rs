//! The path of a cgroup: names from the leaf up, as [`path`](crate::path) does it with directories.

use sensor_common::record::{TEXT_MAX, Text};

use crate::{
    kernel::{CGROUP_KN, CSS_SET_DFL_CGRP, KN_NAME, KN_PARENT, Ptr, Struct, TASK_CGROUPS, member, probe_ptr},
    maps::SCRATCH,
    path,
    scratch::Scratch,
    text,
};

/// Levels of cgroups that the verifier goes through at once.
const STEPS: u32 = 16;

/// Writes the path of the cgroup of `task` in the unified hierarchy.
#[inline(always)]
pub fn fill(text: &mut Text<TEXT_MAX>, scratch: &mut Scratch, task: Struct) {
    text::empty(text);
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
    let Some(scratch) = SCRATCH.get_ptr_mut(slot) else { return 0 };
    // SAFETY: a live map value; whoever calls holds the slot.
    path::begin(unsafe { &mut *scratch });
    for _ in 0..path::ROUNDS {
        if walk_cgroup_on(slot) == 0 {
            break;
        }
    }
    0
}

/// Goes [`STEPS`] up; 0 where there is nothing more to do.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_cgroup_on(slot: u32) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot) else { return 0 };
    // SAFETY: as above.
    let scratch = unsafe { &mut *scratch };
    for _ in 0..STEPS {
        if !step(scratch) {
            return 0;
        }
    }
    1
}

/// Puts the name of a cgroup in front of the path, and goes to its parent; false at the root, or where that
/// cannot be done.
#[inline(always)]
fn step(scratch: &mut Scratch) -> bool {
    let node = scratch.dentry.get() as Ptr;
    let Some(parent) = probe_ptr(member(node, &KN_PARENT)) else { return false };
    if parent.is_null() {
        path::end(scratch);
        return false;
    }
    scratch.dentry.set(parent as u64);
    probe_ptr(member(node, &KN_NAME)).is_some_and(|name| path::put_string(scratch, name))
}

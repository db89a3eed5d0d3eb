//! Counts by actor what matched: what one user causes alone takes no rule away from others.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::generated::bpf_get_current_cgroup_id, macros::map, maps::LruHashMap};
use sensor_common::noise::{EVERY, NOISE_MAX, NoiseKey, Role, actor};

use crate::{
    asm,
    kernel::{Struct, TASK_REAL_CRED},
    user,
};

#[map]
static NOISE: LruHashMap<NoiseKey, u64> = LruHashMap::with_max_entries(NOISE_MAX, 0);

/// Counts an event of the current process for a rule of the generation in force.
#[inline(always)]
pub fn count(generation: u64, rule: u32) {
    count_noise(generation, rule, Role::InForce as u32);
}

/// The same for all rules of the generation together.
#[inline(always)]
pub fn count_every(generation: u64) {
    count(generation, EVERY);
}

/// Counts an event that a candidate judges too, for a rule of either generation or for [`EVERY`].
#[inline(always)]
pub fn compare(generation: u64, rule: u32) {
    count_noise(generation, rule, Role::Compared as u32);
}

/// The [actor](sensor_common::actor) that the current process is. The user is the real one: a program that
/// runs with its owner's rights is still its caller's doing.
#[inline(always)]
pub fn current() -> u64 {
    let user = Struct::current_task().to(&TASK_REAL_CRED).map_or(user::ROOT, user::of);
    // SAFETY: the helper takes nothing and always succeeds.
    actor(user, unsafe { bpf_get_current_cgroup_id() })
}

/// A global function, which the verifier goes through once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn count_noise(generation: u64, rule: u32, role: u32) -> u32 {
    let key = NoiseKey { generation, actor: current(), rule, role };
    if NOISE.get_ptr(&key).is_none() {
        // Whoever comes second finds the entry of the first; one that finds no room is not counted.
        let _ = NOISE.insert(&key, 0, u64::from(BPF_NOEXIST));
    }
    if let Some(events) = NOISE.get_ptr_mut(&key) {
        // SAFETY: a live map value, aligned to 8 bytes, which is added to atomically.
        unsafe { asm::add(events, 1) };
    }
    0
}

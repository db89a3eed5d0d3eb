//! Who makes rules match, as a number: a user's id, or with the bit [`CGROUP`] that of a cgroup, of users
//! that many services share.

/// In an actor: the rest is the id of a cgroup.
pub const CGROUP: u64 = 1 << 63;
/// In a [`witness`]: the rest are the upper 16 bits of a user id.
const RANGE: u64 = 1 << 62;
/// The first user id that is no system user's (`UID_MIN` of `login.defs`).
pub const FIRST_USER: u32 = 1000;

/// As whom an actor bears witness against a rule. The ids that a user has besides his own (`/etc/subuid`) lie
/// side by side, 65536 of them, and he can be each: such are one witness, or two.
pub const fn witness(actor: u64) -> u64 {
    let range = actor >> 16;
    if actor & CGROUP == 0 && range != 0 { RANGE | range } else { actor }
}

/// What a witness weighs: more where root of the host or one of its system users acts, in no container (`of_host`).
pub const fn weight(of_host: bool) -> u64 {
    if of_host { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brakes::CROWD;

    #[test]
    fn all_ids_that_one_user_has_are_too_few_witnesses() {
        // 100000 to 165535, as `useradd` gives them.
        let witnesses: [u64; 3] = [witness(1000), witness(100_000), witness(165_535)];
        for id in 100_000..165_536 {
            assert!(witnesses.contains(&witness(id)), "{id}");
        }
        let service = weight(true);
        assert!(witnesses.len() as u64 * weight(false) + service < CROWD);
        assert_ne!(witness(33), witness(34));
        assert_ne!(witness(CGROUP | 1 << 40), witness(CGROUP | 2 << 40));
    }
}

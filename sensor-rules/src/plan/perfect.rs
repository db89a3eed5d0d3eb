//! Perfect hashes: a place of its own for each of what is known, found by two loads whatever is asked for.
//!
//! The hash of an edge names a bucket; the bucket's displacement, mixed into the hash, names a slot that no
//! other edge has.

/// The multiplier of the hash: 2^64 divided by the golden ratio.
pub const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Displacements and slots.
pub struct Perfect {
    /// Displacement of each bucket; 2 to the power of `buckets_log`.
    pub displacements: Vec<u16>,
    /// Whose each slot is, if it is anyone's: index among the hashes.
    pub owners: Vec<Option<usize>>,
    pub buckets_log: u32,
}

impl Perfect {
    /// Places for all `hashes` in 2 to the power of `slots_log` slots; `None` where they are too few, or two
    /// hashes are the same.
    pub fn new(hashes: &[u64], slots_log: u32) -> Option<Self> {
        let buckets_log = hashes.len().div_ceil(2).next_power_of_two().trailing_zeros().max(1);
        let mut buckets: Vec<(usize, Vec<(u64, usize)>)> =
            (0..1 << buckets_log).map(|bucket| (bucket, Vec::new())).collect();
        for (index, hash) in hashes.iter().enumerate() {
            buckets[usize::try_from(hash >> (64 - buckets_log)).ok()?].1.push((*hash, index));
        }
        // The fullest first, while there is room.
        buckets.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
        let mut owners = vec![None; 1 << slots_log];
        let mut displacements = vec![0; 1 << buckets_log];
        for (bucket, members) in buckets {
            displacements[bucket] = displace(&members, slots_log, &mut owners)?;
        }
        Some(Self { displacements, owners, buckets_log })
    }
}

/// The hash of an edge: of its word, and of the identity of the node that it leaves.
pub const fn hash(word: u64, from: u32) -> u64 {
    (word ^ from as u64).wrapping_mul(MULTIPLIER)
}

/// A displacement with which all members of a bucket fall into free slots, which they take.
fn displace(members: &[(u64, usize)], slots_log: u32, owners: &mut [Option<usize>]) -> Option<u16> {
    'next: for displacement in 0..=u16::MAX {
        let mut taken = Vec::with_capacity(members.len());
        for (hash, _) in members {
            let place = place(*hash, displacement, slots_log)?;
            if owners[place].is_some() || taken.contains(&place) {
                continue 'next;
            }
            taken.push(place);
        }
        for (place, (_, index)) in taken.into_iter().zip(members) {
            owners[place] = Some(*index);
        }
        return Some(displacement);
    }
    None
}

/// The slot of a hash in a bucket of that displacement.
pub fn place(hash: u64, displacement: u16, slots_log: u32) -> Option<usize> {
    usize::try_from((hash ^ u64::from(displacement)).wrapping_mul(MULTIPLIER) >> (64 - slots_log)).ok()
}

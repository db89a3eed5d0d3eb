//! The edges of a trie as a table in memory: a [perfect hash](super::perfect), so that a step costs two loads
//! whether it finds an edge or not.

use super::{
    perfect::{Perfect, hash},
    trie::{Edge, Trie},
};

/// Where the members of a slot are, bytes. The word is 64 bits, the others 32.
pub mod slot {
    pub const WORD: i16 = 0;
    /// Identity of the node that the edge leaves.
    pub const FROM: i16 = 8;
    /// Identity of the node that it leads to.
    pub const TO: i16 = 12;
    /// Where the row of that node is: bytes behind the first row.
    pub const ROW: i16 = 16;
    /// How far its words are shifted: 64 less their bits.
    pub const SHIFT: i16 = 20;
    /// Where its words end, or [`NOWHERE`](super::NOWHERE).
    pub const END: i16 = 24;
    /// Size as a power of two.
    pub const SIZE_LOG: u32 = 5;
}
/// The end of the words of a node without edges: behind that of every string.
pub const NOWHERE: u32 = i32::MAX.cast_unsigned();

/// How often a table is made larger and hashed anew before it is given up.
const ATTEMPTS: u32 = 12;

/// The table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Displacement of each bucket; 2 to the power of `buckets_log`.
    pub displacements: Vec<u16>,
    /// The slots; 2 to the power of `slots_log`.
    pub slots: Vec<u8>,
    pub buckets_log: u32,
    pub slots_log: u32,
    /// Identity of the root.
    pub root: u32,
}

impl Table {
    /// The table of a trie of which the row of each node is at `rows`, or `None` where no hash serves.
    pub fn new(trie: &Trie, rows: &[u32]) -> Option<Self> {
        (0..ATTEMPTS).find_map(|attempt| Self::attempt(trie, rows, attempt))
    }

    fn attempt(trie: &Trie, rows: &[u32], attempt: u32) -> Option<Self> {
        let slots_log = (2 * trie.edges.len().max(1)).next_power_of_two().trailing_zeros() + attempt / 4;
        let identity = |node: usize| identity(node, attempt);
        let hashes: Vec<_> = trie.edges.iter().map(|edge| hash(edge.word, identity(edge.from))).collect();
        let Perfect { displacements, owners, buckets_log } = Perfect::new(&hashes, slots_log)?;
        let slots = owners.iter().flat_map(|owner| {
            owner.map_or([0; 1 << slot::SIZE_LOG], |index| encoded(trie, rows, &trie.edges[index], &identity))
        });
        Some(Self { displacements, slots: slots.collect(), buckets_log, slots_log, root: identity(0) })
    }
}

/// Never 0, so that an empty slot belongs to no node; differs from node to node (a product with an odd
/// number), in all bits.
fn identity(node: usize, attempt: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "there are fewer nodes than bytes of rules")]
    let number = node as u32 + 1;
    number.wrapping_mul(0x9e37_79b1_u32.wrapping_add(2 * attempt))
}

fn encoded(trie: &Trie, rows: &[u32], edge: &Edge, identity: &impl Fn(usize) -> u32) -> [u8; 1 << slot::SIZE_LOG] {
    let node = &trie.nodes[edge.to];
    let end = if node.step == 0 { NOWHERE } else { u32::try_from(node.end).unwrap_or(NOWHERE) };
    let mut bytes = [0; 1 << slot::SIZE_LOG];
    bytes[..8].copy_from_slice(&edge.word.to_le_bytes());
    let members = [identity(edge.from), identity(edge.to), rows[edge.to], shift(node.step), end];
    for (place, member) in bytes[8..].chunks_exact_mut(4).zip(members) {
        place.copy_from_slice(&member.to_le_bytes());
    }
    bytes
}

/// How far a loaded word is shifted so that `step` of its bytes are left.
pub fn shift(step: usize) -> u32 {
    u32::try_from(64 - 8 * step.clamp(1, 8)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            perfect::{MULTIPLIER, place},
            trie::Side,
        },
        *,
    };

    /// What the emitted code does: the node that a walk over `text` ends at.
    fn walk(trie: &Trie, table: &Table, text: &[u8]) -> u32 {
        let (mut node, mut row) = (table.root, 0);
        let (mut end, mut bits) = (trie.nodes[0].end, shift(trie.nodes[0].step));
        while end <= text.len() {
            let before: Vec<u8> = [&[0; 8], &text[..end]].concat();
            let word = u64::from_le_bytes(*before.last_chunk().unwrap()) >> bits;
            let hash = (word ^ u64::from(node)).wrapping_mul(MULTIPLIER);
            let displacement = table.displacements[usize::try_from(hash >> (64 - table.buckets_log)).unwrap()];
            let place = place(hash, displacement, table.slots_log).unwrap() << slot::SIZE_LOG;
            let member = |at: i16| {
                let at = place + usize::try_from(at).unwrap();
                u32::from_le_bytes(table.slots[at..at + 4].try_into().unwrap())
            };
            if table.slots[place..place + 8] != word.to_le_bytes() || member(slot::FROM) != node {
                break;
            }
            (node, row) = (member(slot::TO), member(slot::ROW));
            (end, bits) = (member(slot::END) as usize, member(slot::SHIFT));
        }
        row
    }

    #[test]
    fn every_literal_is_found_and_nothing_else() {
        let literals: Vec<Vec<u8>> =
            (0..5000).map(|number| format!("/opt/{number}/{}", number % 7).into_bytes()).collect();
        let literals: Vec<&[u8]> = literals.iter().map(Vec::as_slice).collect();
        let trie = Trie::new(&literals, Side::Start);
        assert!(trie.whole.iter().all(|whole| *whole));
        // The row of a node is here the number of the literal that holds there, from 1 on.
        let found = |node: &super::super::trie::Node| node.found.first().map_or(0, |literal| literal + 1);
        let rows: Vec<u32> = trie.nodes.iter().map(|node| u32::try_from(found(node)).unwrap()).collect();
        let table = Table::new(&trie, &rows).unwrap();
        for (number, literal) in (1..).zip(&literals) {
            assert_eq!(walk(&trie, &table, literal), number);
            assert_eq!(walk(&trie, &table, &[b"/", *literal].concat()), 0);
        }
        assert_eq!(walk(&trie, &table, b""), 0);
    }
}

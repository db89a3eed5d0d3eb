//! A long list as a table: whether a string is in it is found in as many steps as the string has words of 8
//! bytes, however long the list is.
//!
//! ```text
//! length ─► (first word) ─► ○ ─► (second word) ─► ○ ─► … ─► (last word, of what is left) ─► in the list
//! ```
//!
//! Strings of one length share a root, so that each word but the last has 8 bytes, at a place that is known
//! beforehand. An integer is a string of one word. The edges are in a [perfect hash](super::perfect).

use std::collections::{BTreeSet, HashMap};

use super::perfect::{Perfect, hash};

/// Bytes of a word.
pub const WORD: usize = 8;

/// Where the members of a slot are, bytes. The word is 64 bits, the others 32.
pub mod slot {
    pub const WORD: i16 = 0;
    /// Identity of the node that the edge leaves.
    pub const FROM: i16 = 8;
    /// Identity of the node that it leads to.
    pub const TO: i16 = 12;
    /// Size as a power of two.
    pub const SIZE_LOG: u32 = 4;
}

/// How often a table is made larger and hashed anew before it is given up.
const ATTEMPTS: u32 = 12;
/// The numbers of nodes that are no roots begin here: a root's number is the length of its strings.
const INNER: u32 = 1 << 16;

/// The table of a list.
pub struct Set {
    /// Displacement of each bucket; 2 to the power of `buckets_log`.
    pub displacements: Vec<u16>,
    /// The slots; 2 to the power of `slots_log`.
    pub slots: Vec<u8>,
    pub buckets_log: u32,
    pub slots_log: u32,
    /// The identity of a node is its number times this, 32 bits.
    pub multiplier: u32,
    /// How many words the longest member has.
    pub words: usize,
}

/// Number of a node, a word, and the number of the node that it leads to.
type Edge = (u32, u64, u32);

impl Set {
    /// The set of `members`, strings of at most [`INNER`] bytes, of which an empty one is left out; `None`
    /// where no hash serves.
    pub fn new<'a>(members: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let members: BTreeSet<_> = members.into_iter().filter(|member| !member.is_empty()).collect();
        let words = members.iter().map(|member| member.len().div_ceil(WORD)).max().unwrap_or(0);
        let edges = edges(members)?;
        (0..ATTEMPTS).find_map(|attempt| Self::attempt(&edges, words, attempt))
    }

    /// Identity of the root for strings of so many bytes.
    pub fn root(&self, length: usize) -> u32 {
        u32::try_from(length).unwrap_or(0).wrapping_mul(self.multiplier)
    }

    fn attempt(edges: &[Edge], words: usize, attempt: u32) -> Option<Self> {
        let multiplier = 0x9e37_79b1_u32.wrapping_add(2 * attempt);
        let identity = |node: u32| node.wrapping_mul(multiplier);
        let slots_log = (edges.len() + edges.len() / 4).max(2).next_power_of_two().trailing_zeros() + attempt / 4;
        let hashes: Vec<_> = edges.iter().map(|(from, word, _)| hash(*word, identity(*from))).collect();
        let Perfect { displacements, owners, buckets_log } = Perfect::new(&hashes, slots_log)?;
        // An empty slot belongs to no node: the identity of none is 0.
        let slots = owners.into_iter().flat_map(|owner| {
            let (from, word, to) = owner.map_or((0, 0, 0), |index| edges[index]);
            let [from, to] = [from, to].map(|node| identity(node).to_le_bytes());
            word.to_le_bytes().into_iter().chain(from).chain(to)
        });
        Some(Self { displacements, slots: slots.collect(), buckets_log, slots_log, multiplier, words })
    }
}

/// The edges of all members; `None` where there are more than have numbers.
fn edges(members: BTreeSet<&[u8]>) -> Option<Vec<Edge>> {
    let mut known: HashMap<(u32, u64), u32> = HashMap::new();
    let mut edges = Vec::new();
    for member in members {
        let mut node = u32::try_from(member.len()).ok().filter(|length| *length < INNER)?;
        for chunk in member.chunks(WORD) {
            let word = word(chunk);
            let to = INNER + u32::try_from(edges.len()).ok().filter(|count| *count < u32::MAX - INNER)?;
            node = *known.entry((node, word)).or_insert_with_key(|(from, word)| {
                edges.push((*from, *word, to));
                to
            });
        }
    }
    Some(edges)
}

/// Up to 8 bytes as they are loaded from memory; those behind them are 0.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::{super::perfect::place, *};

    /// What the emitted code does.
    fn holds(set: &Set, text: &[u8]) -> bool {
        let mut node = set.root(text.len());
        text.chunks(WORD).all(|chunk| {
            let hash = hash(word(chunk), node);
            let displacement = set.displacements[usize::try_from(hash >> (64 - set.buckets_log)).unwrap()];
            let at = place(hash, displacement, set.slots_log).unwrap() << slot::SIZE_LOG;
            let member = |place: i16| {
                let at = at + usize::try_from(place).unwrap();
                u32::from_le_bytes(set.slots[at..at + 4].try_into().unwrap())
            };
            let found = set.slots[at..at + 8] == word(chunk).to_le_bytes() && member(slot::FROM) == node;
            node = member(slot::TO);
            found
        })
    }

    #[test]
    fn what_is_in_it_is_found_and_nothing_else() {
        let members: Vec<Vec<u8>> =
            (0..20_000_u32).map(|number| format!("/opt/{number}/{}", number.pow(2) % 1009).into_bytes()).collect();
        let set = Set::new(members.iter().map(Vec::as_slice)).unwrap();
        for member in &members {
            assert!(holds(&set, member));
            for other in [&[b"/", member.as_slice()].concat(), &member[1..], &[member, &b"/"[..]].concat(), b"a"] {
                assert!(!holds(&set, other), "{other:?}");
            }
        }
    }

    #[test]
    fn as_many_integers_as_a_condition_holds_take_two_mebibytes() {
        let members: Vec<_> = (0..65_536_u64).map(|number| (number * number).to_le_bytes()).collect();
        let set = Set::new(members.iter().map(<[u8; 8]>::as_slice)).unwrap();
        assert!(members.iter().all(|member| holds(&set, member)));
        assert!(!holds(&set, &2_u64.to_le_bytes()));
        assert_eq!((set.slots.len(), set.words), (2 << 20, 1));
    }

    #[test]
    fn an_empty_list_holds_nothing() {
        let set = Set::new([&b""[..]]).unwrap();
        assert!(!holds(&set, b"a") && !holds(&set, &[0; 8]) && set.words == 0);
    }
}

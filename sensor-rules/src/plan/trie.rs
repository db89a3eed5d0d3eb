//! Literals as a trie whose edges are words of up to 8 bytes, so that looking a string up takes a few steps and not one
//! per literal.
//!
//! ```text
//! "/tmp/f" "/tmp/g" "/tmp/tmp.1"      ("/tmp/f") ─► ○ f
//!                                 ○ ─► ("/tmp/g") ─► ○ g
//!                                      ("/tmp/t") ─► ○ ─► ("mp.1") ─► ○ tmp.1
//! ```
//!
//! All edges of a node are of one length: the longest that no literal is shorter than. Where literals are
//! told apart by how they end, both they and their words are read from the end.

use std::collections::BTreeMap;

/// Longest word of an edge, bytes.
const WORD: usize = 8;
/// Longest way through a trie, edges. Of a longer literal only the beginning is looked up.
const DEPTH_MAX: usize = 10;

/// From which side literals are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// From the first byte on.
    Start,
    /// From the last byte back.
    End,
}

/// A node: what was found when one is there, and what to look at next.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Where the words of its edges end, counted from where the string was begun to be read, bytes. 0 for a leaf.
    pub end: usize,
    /// Length of those words, bytes.
    pub step: usize,
    /// The literals that hold here: their numbers.
    pub found: Vec<usize>,
}

/// An edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The node it leaves.
    pub from: usize,
    /// Its word, as loaded from memory.
    pub word: u64,
    /// The node it leads to.
    pub to: usize,
}

/// The trie. Its root is node 0.
#[derive(Clone, Debug)]
pub struct Trie {
    /// The nodes; each stands behind the one it is reached from.
    pub nodes: Vec<Node>,
    /// The edges.
    pub edges: Vec<Edge>,
    /// Length of the longest way, edges.
    pub depth: usize,
    /// Whether each literal is looked up to its end; where not, to be found means only to be possible.
    pub whole: Vec<bool>,
}

impl Trie {
    /// The trie of `literals`, none of them empty; duplicates are found both.
    pub fn new(literals: &[&[u8]], side: Side) -> Self {
        let mut trie =
            Self { nodes: vec![Node::default()], edges: Vec::new(), depth: 0, whole: vec![true; literals.len()] };
        let mut open = vec![(0, 0, (0..literals.len()).collect::<Vec<_>>())];
        while let Some((node, depth, members)) = open.pop() {
            open.extend(trie.grow(literals, side, node, depth, &members));
        }
        trie
    }

    /// Gives a node its edges: those of `members`, literals that are read up to this node.
    fn grow(
        &mut self,
        literals: &[&[u8]],
        side: Side,
        node: usize,
        depth: usize,
        members: &[usize],
    ) -> Vec<(usize, usize, Vec<usize>)> {
        let start = self.nodes[node].end;
        let rest = |member: &usize| literals[*member].len() - start;
        let Some(step) = members.iter().map(rest).min().map(|shortest| shortest.min(WORD)) else { return Vec::new() };
        self.depth = self.depth.max(depth + 1);
        let mut words: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for member in members {
            words.entry(word(literals[*member], side, start, step)).or_default().push(*member);
        }
        (self.nodes[node].end, self.nodes[node].step) = (start + step, step);
        let mut open = Vec::new();
        for (word, members) in words {
            let to = self.nodes.len();
            self.edges.push(Edge { from: node, word, to });
            let (ends, goes_on): (Vec<_>, Vec<_>) =
                members.into_iter().partition(|member| literals[*member].len() == start + step);
            let cut = depth + 1 == DEPTH_MAX;
            if cut {
                for member in &goes_on {
                    self.whole[*member] = false;
                }
            }
            let found = if cut { [ends, goes_on.clone()].concat() } else { ends };
            // Until it grows, a node's end is where it starts to look.
            self.nodes.push(Node { end: if cut || goes_on.is_empty() { 0 } else { start + step }, step: 0, found });
            if !cut && !goes_on.is_empty() {
                open.push((to, depth + 1, goes_on));
            }
        }
        open
    }
}

/// The `step` bytes behind the first `start` (or before the last `start`), the first of them lowest.
fn word(literal: &[u8], side: Side, start: usize, step: usize) -> u64 {
    let from = match side {
        Side::Start => start,
        Side::End => literal.len() - start - step,
    };
    literal[from..from + step].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

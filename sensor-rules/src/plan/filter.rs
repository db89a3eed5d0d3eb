//! What a search looks at first: most places of a string need no look, since no literal can start there.
//!
//! ```text
//! text      … j o b   c o n t r o l   o f f …        span: 7, the shortest literal's length
//! window        └───────────┘                        its last bytes are hashed
//! filter[hash]    how far the window can move on; or that a literal may start here
//! ```
//!
//! Method: S. Wu and U. Manber, "A Fast Algorithm for Multi-pattern Searching", University of Arizona TR-94-17
//! (1994), with one table: what is found by it is then looked up in the trie.

/// Multiplier of the hash: 2^32 divided by the golden ratio.
pub const MULTIPLIER: u32 = 0x9e37_79b1;
/// The content of the filter where a literal may start at this place. Anything smaller is how many places to pass
/// over besides this one.
pub const CANDIDATE: u8 = 0x80;
/// Of the words of two bytes, about so many occur in texts.
const PAIRS: usize = 9_000;
/// Least and most bytes of a filter, as powers of two.
const SIZE_LOG: (u32, u32) = (8, 15);

/// A filter: a byte per hash.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Its size, as a power of two.
    pub size_log: u32,
    /// How many bytes are hashed: 1, 2 or 4.
    pub hashed: usize,
    /// How many bytes the window has: as many as the shortest literal.
    pub span: usize,
    /// How many places a step passes in everyday strings: an estimate, at least 1.
    pub step: f64,
}

impl Filter {
    /// The filter for `literals`, none of them empty, and its content.
    pub fn new(literals: &[&[u8]]) -> (Self, Vec<u8>) {
        let span = literals.iter().map(|literal| literal.len()).min().unwrap_or(1).max(1);
        let filters = [1, 2, 4].into_iter().filter(|hashed| *hashed <= span && (*hashed > 1 || span == 1));
        let filters = filters.map(|hashed| Self::of(literals.len(), span, hashed));
        let best = filters.max_by(|one, other| one.step.total_cmp(&other.step));
        let filter = best.unwrap_or_else(|| Self::of(literals.len(), span, 1));
        let content = filter.content(literals);
        (filter, content)
    }

    #[expect(clippy::cast_precision_loss, reason = "literals are counted in thousands")]
    fn of(literals: usize, span: usize, hashed: usize) -> Self {
        let words = literals * (span - hashed + 1);
        let size_log = (16 * words).next_power_of_two().trailing_zeros().clamp(SIZE_LOG.0, SIZE_LOG.1);
        let space = if hashed == 4 { 1 << size_log } else { PAIRS.min(1 << size_log) };
        let taken = (words as f64 / space as f64).min(1.0);
        // Words that occur in literals let the window move half as far in the mean, or not at all.
        let farthest = (span - hashed + 1) as f64;
        let step = (1.0 - taken) * farthest + taken * (farthest / 2.0).min(1.0);
        Self { size_log, hashed, span, step: step.max(1.0) }
    }

    fn content(&self, literals: &[&[u8]]) -> Vec<u8> {
        let farthest = self.span - self.hashed + 1;
        let entry = |steps: usize| match steps.checked_sub(1) {
            None => CANDIDATE,
            Some(more) => u8::try_from(more).unwrap_or(u8::MAX).min(CANDIDATE - 1),
        };
        let mut content = vec![entry(farthest); 1 << self.size_log];
        for literal in literals {
            for (start, word) in literal.windows(self.hashed).take(farthest).enumerate() {
                let place = &mut content[self.hash(word)];
                let entry = entry(farthest - 1 - start);
                if *place != CANDIDATE && (entry == CANDIDATE || entry < *place) {
                    *place = entry;
                }
            }
        }
        content
    }

    /// The place of a word in the filter.
    fn hash(&self, word: &[u8]) -> usize {
        let word = word.iter().rev().fold(0, |word: u32, byte| word << 8 | u32::from(*byte));
        (word.wrapping_mul(MULTIPLIER) >> (32 - self.size_log)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the emitted code does: the places at which it looks for a literal, and how many windows it saw.
    fn candidates(filter: &Filter, content: &[u8], text: &[u8]) -> (Vec<usize>, usize) {
        let (mut places, mut windows, mut start) = (Vec::new(), 0, 0);
        while start + filter.span <= text.len() {
            windows += 1;
            let end = start + filter.span;
            let entry = content[filter.hash(&text[end - filter.hashed..end])];
            if entry == CANDIDATE {
                places.push(start);
            } else {
                start += usize::from(entry);
            }
            start += 1;
        }
        (places, windows)
    }

    #[test]
    fn no_place_of_a_literal_is_passed_over() {
        let texts: [&[u8]; 4] = [
            b"no job control in this shell, no job control",
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
            b"\0\xff\0\xff\0\xff\0\xff\0\xff\0\xff\xff",
            b"x",
        ];
        for text in texts {
            // All that occurs, of each length, alone and beside what does not.
            for length in 1..=text.len() {
                for (place, literal) in text.windows(length).enumerate() {
                    for beside in [&b"no such thing here"[..], b"aab", b"zz", b"\0"] {
                        let (filter, content) = Filter::new(&[literal, beside]);
                        let (places, _) = candidates(&filter, &content, text);
                        assert!(places.contains(&place), "{literal:?} at {place} of {text:?}: {filter:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_literal_lets_most_places_be_passed_over() {
        let (filter, content) = Filter::new(&[b"no job control in this shell", b"job control turned off and more"]);
        let text = b"the quick brown fox jumps over the lazy dog. ".repeat(6);
        let (places, windows) = candidates(&filter, &content, &text);
        assert!(places.is_empty());
        assert!(windows < text.len() / 15, "{windows} windows of {} bytes: {filter:?}", text.len());
    }

    #[test]
    fn a_thousand_literals_still_do() {
        let literals: Vec<_> = (0..1000).map(|number| format!("{:08x}", number * 7919)).collect();
        let literals: Vec<_> = literals.iter().map(String::as_bytes).collect();
        let (filter, content) = Filter::new(&literals);
        let text = b"the quick brown fox jumps over the lazy dog. ".repeat(6);
        let (_, windows) = candidates(&filter, &content, &text);
        assert!(windows < text.len() / 2, "{windows} windows of {} bytes: {filter:?}", text.len());
    }
}

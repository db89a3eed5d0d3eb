//! The memory of look-ups: rows of marks, the tables that lead to them, and the filters of searches.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    blocks::Block,
    filter::Filter,
    key::{How, Key, Look},
    table::{Table, shift},
    trie::{Side, Trie},
    union::Union,
};
use crate::pattern::{Pattern, Syntax};

/// Rows of one width. The first is what every event wakes, and wakes no more than that.
#[derive(Clone, Debug)]
pub struct Area {
    /// Where it starts in the memory, bytes.
    pub start: usize,
    /// Where its last row starts, bytes behind its start.
    pub last: u32,
    /// Which word of the marks each word of a row goes to.
    pub words: Vec<usize>,
}

/// One look-up.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Of what.
    pub look: Look,
    /// How many literals it finds.
    pub literals: usize,
    /// Most steps.
    pub depth: usize,
    /// Where the words at the root end, bytes.
    pub end: usize,
    /// How far they are shifted.
    pub shift: u32,
    /// Its table; the bytes of it are in the memory.
    pub table: Table,
    /// Where the table's displacements and slots are in the memory, bytes.
    pub displacements: usize,
    pub slots: usize,
    /// Its rows.
    pub area: Area,
    /// The filter of a search, and where its content is in the memory, bytes.
    pub filter: Option<(Filter, usize)>,
}

/// A walk for patterns of one field.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Where the field is in the record, bytes.
    pub offset: usize,
    /// The automaton. What is found in a state is told by where its row is, bytes behind the first.
    pub union: Union,
    /// Its rows.
    pub area: Area,
}

/// A pattern in a field: the field's offset in the record, and what is written.
pub type Walked = (usize, Syntax, String);

/// The memory under construction.
pub struct MemoryBuilder {
    pub bytes: Vec<u8>,
    /// Row by which every event starts: a word about the others, then one bit per block.
    always: Vec<u64>,
    /// Words of marks in use, and most of them.
    pub words: usize,
    words_max: usize,
    /// Where the answers to searches are: which of the marks.
    pub searched: BTreeMap<Key, usize>,
    /// Where it is said whether a field has a pattern: which of the marks.
    pub walked: BTreeMap<Walked, usize>,
    /// How many searches are found exactly, whether there is room for their answers or not.
    pub searches: usize,
}

impl MemoryBuilder {
    /// The memory for rules in `blocks`, with room for `words_max` words of marks.
    pub fn new(blocks: &[Block], words_max: usize) -> Self {
        let words = 1 + blocks.len().div_ceil(64);
        let mut always = vec![0; words];
        for (block, _) in blocks.iter().enumerate().filter(|(_, block)| block.always) {
            wake(&mut always, block);
        }
        // A word without a mark behind it: by that, the answers to searches start.
        let bytes = always.iter().copied().chain([0]).flat_map(u64::to_le_bytes).collect();
        Self { bytes, always, words, words_max, searched: BTreeMap::new(), walked: BTreeMap::new(), searches: 0 }
    }

    /// A look-up of `keys`, each with the blocks that it wakes; of those in `asked` rules want to know
    /// whether they were found. `None` where no hash is found for them.
    pub fn lookup(&mut self, look: Look, keys: &[(&Key, &BTreeSet<usize>)], asked: &BTreeSet<Key>) -> Option<Lookup> {
        let literals: Vec<&[u8]> = keys.iter().map(|(key, _)| key.bytes.as_slice()).collect();
        let trie = Trie::new(&literals, if matches!(look.how, How::End(_)) { Side::End } else { Side::Start });
        let answers = self.answers(look, keys, asked, &trie);
        let (area, rows) = self.rows(keys, &trie, &answers);
        let table = Table::new(&trie, &rows)?;
        let displacements = self.append(table.displacements.iter().flat_map(|value| value.to_le_bytes()));
        let slots = self.append(table.slots.iter().copied());
        let filter = matches!(look.how, How::Anywhere(_)).then(|| {
            let (filter, content) = Filter::new(&literals);
            (filter, self.append(content))
        });
        let root = trie.nodes.first()?;
        let (end, shift) = (root.end, shift(root.step));
        Some(Lookup {
            look,
            literals: keys.len(),
            depth: trie.depth,
            end,
            shift,
            table,
            displacements,
            slots,
            area,
            filter,
        })
    }

    /// Walks for `patterns` of the field at `offset`: for all for whose answers there is room, and that go
    /// together with others.
    pub fn walks(&mut self, offset: usize, patterns: &[&Pattern]) -> Vec<Walk> {
        let room = 64 * (self.words_max - self.words);
        let patterns = &patterns[..patterns.len().min(room)];
        let unions = Union::all(patterns).into_iter().map_while(|mut union| {
            let own = self.words;
            let words: Vec<_> = (own..own + union.patterns.len().div_ceil(64)).collect();
            if words.last().is_some_and(|last| *last >= self.words_max) {
                return None;
            }
            self.words += words.len();
            for (mark, index) in (64 * own..).zip(&union.patterns) {
                let pattern = patterns.get(*index)?;
                self.walked.insert((offset, pattern.syntax, pattern.text.clone()), mark);
            }
            // One that finds nothing is the first.
            let mut rows = vec![vec![0_u64; words.len()]];
            rows.extend(union.found.iter().map(|found| {
                let mut row = vec![0; words.len()];
                for place in found {
                    row[place / 64] |= 1 << (place % 64);
                }
                row
            }));
            let size = 8 * words.len();
            let width = usize::from(union.end) + 2;
            for cell in union.cells.iter_mut().skip(width - 1).step_by(width) {
                *cell = (*cell + 1) * u32::try_from(size).unwrap_or(0);
            }
            let last = u32::try_from(size * (rows.len() - 1)).ok()?;
            let start = self.append(rows.concat().into_iter().flat_map(u64::to_le_bytes));
            Some(Walk { offset, union, area: Area { start, last, words } })
        });
        unions.collect()
    }

    /// Gives each literal that is asked for and found exactly a mark for its answer, while there is room.
    fn answers(
        &mut self,
        look: Look,
        keys: &[(&Key, &BTreeSet<usize>)],
        asked: &BTreeSet<Key>,
        trie: &Trie,
    ) -> HashMap<usize, usize> {
        if !matches!(look.how, How::Anywhere(_)) {
            return HashMap::new();
        }
        let room = 64 * (self.words_max - self.words);
        let whole: Vec<_> =
            (0..keys.len()).filter(|literal| trie.whole[*literal] && asked.contains(keys[*literal].0)).collect();
        self.searches += whole.len();
        let answers: HashMap<_, _> = whole.into_iter().take(room).zip(64 * self.words..).collect();
        self.searched.extend(answers.iter().map(|(literal, mark)| (keys[*literal].0.clone(), *mark)));
        self.words += answers.len().div_ceil(64);
        answers
    }

    /// Appends the rows of all nodes; returns where each is.
    fn rows(
        &mut self,
        keys: &[(&Key, &BTreeSet<usize>)],
        trie: &Trie,
        answers: &HashMap<usize, usize>,
    ) -> (Area, Vec<u32>) {
        let own = self.words - answers.len().div_ceil(64);
        let words: Vec<_> = (0..self.always.len()).chain(own..self.words).collect();
        let mut base = self.always.clone();
        base.resize(words.len(), 0);
        let mut reached = vec![base.clone(); trie.nodes.len()];
        for edge in &trie.edges {
            let mut row = reached[edge.from].clone();
            for literal in &trie.nodes[edge.to].found {
                keys[*literal].1.iter().for_each(|block| wake(&mut row, *block));
                if let Some(mark) = answers.get(literal) {
                    row[self.always.len() + mark / 64 - own] |= 1 << (mark % 64);
                }
            }
            reached[edge.to] = row;
        }
        let mut distinct: HashMap<&[u64], u32> = HashMap::from([(base.as_slice(), 0)]);
        let mut order = vec![base.as_slice()];
        let size = u32::try_from(8 * words.len()).unwrap_or(0);
        let offsets = reached.iter().map(|row| {
            let next = size * u32::try_from(order.len()).unwrap_or(0);
            *distinct.entry(row).or_insert_with(|| {
                order.push(row);
                next
            })
        });
        let offsets: Vec<_> = offsets.collect();
        let last = size * u32::try_from(order.len() - 1).unwrap_or(0);
        let bytes: Vec<u8> = order.concat().into_iter().flat_map(u64::to_le_bytes).collect();
        (Area { start: self.append(bytes), last, words }, offsets)
    }

    /// Appends to the memory; returns where, a multiple of 32.
    fn append(&mut self, bytes: impl IntoIterator<Item = u8>) -> usize {
        let start = self.bytes.len().next_multiple_of(32);
        self.bytes.resize(start, 0);
        self.bytes.extend(bytes);
        start
    }
}

/// Marks a block in a row.
fn wake(row: &mut [u64], block: usize) {
    row[0] |= 1 << (block / 32);
    row[1 + block / 64] |= 1 << (block % 64);
}

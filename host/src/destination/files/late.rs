//! Rows that were staged and rejected afterwards. Their records are left out when the file is made whole.

use std::collections::BTreeMap;

/// Rows that share one word of bits.
const WORD: u32 = 64;
/// Words that are kept together.
const WORDS: usize = 64;

/// A set of rows, at no more than one bit a row where they lie close together.
#[derive(Debug, Default)]
pub(in crate::destination) struct Rows(BTreeMap<(u32, u32), Box<[u64; WORDS]>>);

impl Rows {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn insert(&mut self, table: u32, row: u32) {
        let (page, word, bit) = split(row);
        self.0.entry((table, page)).or_insert_with(|| Box::new([0; WORDS]))[word] |= bit;
    }

    pub fn contains(&self, table: u32, row: u32) -> bool {
        let (page, word, bit) = split(row);
        self.0.get(&(table, page)).is_some_and(|words| words[word] & bit != 0)
    }
}

fn split(row: u32) -> (u32, usize, u64) {
    let word = row / WORD;
    (word / WORDS as u32, word as usize % WORDS, 1 << (row % WORD))
}

//! Gives repeated texts one number each, in bounded memory.
//!
//! A file of a million usage rows has few accounts; matching each account once instead of each row saves most of the
//! work. The interner remembers what it can: a text that it forgot gets a second number, which costs a row and
//! changes nothing.

use std::hash::{BuildHasher, RandomState};

/// How many texts are remembered at most; a power of two.
const SLOTS: usize = 1 << 15;

/// A longer key is not remembered, so that the memory is bounded by `SLOTS` times this.
const LONGEST: usize = 128;

/// A number for each text, each of which the caller stores when it is new.
pub(in crate::destination) struct Interner {
    hasher: RandomState,
    slots: Vec<Option<(Box<[u8]>, i64)>>,
    next: i64,
}

/// A text's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::destination) enum Interned {
    /// It was stored under this number.
    Known(i64),
    /// It is to be stored under this number.
    New(i64),
}

impl Interner {
    /// Numbers begin with 1.
    pub(in crate::destination) fn new() -> Self {
        Self { hasher: RandomState::new(), slots: Vec::new(), next: 1 }
    }

    pub(in crate::destination) fn intern(&mut self, key: &[u8]) -> Interned {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, None);
        }
        let number = self.next;
        if key.len() <= LONGEST {
            let index = self.hasher.hash_one(key) as usize & (SLOTS - 1);
            if let Some(slot) = self.slots.get_mut(index) {
                match slot {
                    Some((known, number)) if **known == *key => return Interned::Known(*number),
                    Some((known, kept)) if known.len() == key.len() => {
                        known.copy_from_slice(key);
                        *kept = number;
                    }
                    _ => *slot = Some((key.into(), number)),
                }
            }
        }
        self.next += 1;
        Interned::New(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_number_and_different_texts_never_share_one() {
        let mut interner = Interner::new();
        let mut stored = std::collections::HashMap::new();
        let mut known = 0;
        for round in 0..3 {
            for text in 0..50_000_u32 {
                match interner.intern(&text.to_le_bytes()) {
                    Interned::New(number) => assert!(stored.insert(number, text).is_none()),
                    Interned::Known(number) => {
                        assert_eq!(stored[&number], text);
                        known += 1;
                    }
                }
                assert!(round > 0 || stored.len() == text as usize + 1);
            }
        }
        assert!(known > 10_000);
        assert_eq!(interner.intern(&[7; LONGEST + 1]), Interned::New(stored.len() as i64 + 1));
    }
}

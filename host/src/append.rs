//! Appending short texts to a buffer, of which a row takes dozens.
//!
//! A copy of a size known to the compiler is a few instructions, one of any size is a call. So a short text is copied
//! together with what stands behind it, and the surplus is cut off again. This module uses no other.

/// Bytes that are copied at once.
const BLOCK: usize = 32;

/// Appends a part of a text. `start` and `end` lie within it, in this order.
#[inline]
pub(crate) fn append_part(buffer: &mut Vec<u8>, text: &[u8], start: usize, end: usize) {
    let length = end - start;
    match text.get(start..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        Some(block) if length <= BLOCK => {
            let used = buffer.len();
            buffer.extend_from_slice(block);
            buffer.truncate(used + length);
        }
        _ => buffer.extend_from_slice(&text[start..end]),
    }
}

/// A text that is appended over and over.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// The text, and blanks up to whole blocks.
    padded: Vec<u8>,
    length: usize,
}

impl Piece {
    pub(crate) fn new(mut text: Vec<u8>) -> Self {
        let length = text.len();
        text.resize(length.next_multiple_of(BLOCK), b' ');
        Self { padded: text, length }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.padded[..self.length]
    }

    #[inline]
    pub(crate) fn append_to(&self, buffer: &mut Vec<u8>) {
        let used = buffer.len();
        let (blocks, _) = self.padded.as_chunks::<BLOCK>();
        for block in blocks {
            buffer.extend_from_slice(block);
        }
        buffer.truncate(used + self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_every_length_arrive_whole() {
        let text: Vec<u8> = (0..=99).collect();
        for start in 0..100 {
            for end in start..=100 {
                let mut buffer = b"before".to_vec();
                append_part(&mut buffer, &text, start, end);
                assert_eq!(buffer, [b"before", &text[start..end]].concat());
            }
        }
    }

    #[test]
    fn pieces_of_every_length_arrive_whole() {
        for length in 0..100 {
            let piece = Piece::new(vec![b'x'; length]);
            let mut buffer = b"before".to_vec();
            piece.append_to(&mut buffer);
            assert_eq!(buffer, [b"before".as_slice(), &vec![b'x'; length]].concat());
            assert_eq!(piece.as_bytes().len(), length);
        }
    }
}

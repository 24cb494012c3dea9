//! Eight bytes of a cell at a time, in one 64-bit number whose lowest byte is the first of them.
//!
//! A guest pays for every turn of a loop, because it may be interrupted at each: fewer turns are worth some arithmetic.

/// A byte in all eight places.
const fn all(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Not 0 where some byte is 0; the lowest bit then stands in the first such byte.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(all(1)) & !word & all(0x80)
}

/// Whether some byte is a blank or a control character of ASCII.
#[inline]
const fn has_blank_or_control(word: u64) -> bool {
    let below_0x21 = word.wrapping_sub(all(0x21)) & !word & all(0x80);
    below_0x21 | zero_bytes(word ^ all(0x7f)) != 0
}

/// Whether there is a blank or a control character of ASCII in a text.
#[inline]
pub(super) fn is_broken_up(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    if words.iter().any(|word| has_blank_or_control(u64::from_le_bytes(*word))) {
        return true;
    }
    match text.last_chunk::<8>() {
        // The last eight bytes, some of them for the second time.
        Some(last) => !rest.is_empty() && has_blank_or_control(u64::from_le_bytes(*last)),
        None => text.iter().any(|byte| byte.is_ascii_control() || *byte == b' '),
    }
}

/// Digits with perhaps a point among them, at most eight characters: what they come to without the point, and how many
/// stand behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digits {
    pub(super) value: u64,
    /// None without a point.
    pub(super) decimals: Option<usize>,
}

/// Reads one to eight characters; none when they are anything else.
#[inline]
pub(super) fn digits(text: &[u8], point: u8) -> Option<Digits> {
    let word = with_zeros_in_front(text)?;
    let found = zero_bytes(word ^ all(point));
    if found == 0 {
        return are_digits(word).then(|| Digits { value: value(word), decimals: None });
    }
    let place = found.trailing_zeros() & !7;
    // The characters in front of the point move into its place; a zero comes in front of them.
    let in_front = word & ((1 << place) - 1);
    let behind = word & !(u64::MAX >> (56 - place));
    let word = in_front << 8 | behind | u64::from(b'0');
    are_digits(word).then(|| Digits { value: value(word), decimals: Some(7 - place as usize / 8) })
}

/// One to eight characters, the last of them in the highest byte.
#[inline]
fn with_zeros_in_front(text: &[u8]) -> Option<u64> {
    let length = text.len();
    let word = match length {
        8 => u64::from_le_bytes(*text.first_chunk()?),
        // Two parts of a fixed size, which may overlap.
        4..=7 => {
            let (first, last) = (u32::from_le_bytes(*text.first_chunk()?), u32::from_le_bytes(*text.last_chunk()?));
            u64::from(first) | u64::from(last) << (8 * (length - 4))
        }
        2..=3 => {
            let (first, last) = (u16::from_le_bytes(*text.first_chunk()?), u16::from_le_bytes(*text.last_chunk()?));
            u64::from(first) | u64::from(last) << (8 * (length - 2))
        }
        1 => u64::from(*text.first()?),
        _ => return None,
    };
    let free = 8 * (8 - length);
    Some(word << free | all(b'0') & ((1 << free) - 1))
}

#[inline]
const fn are_digits(word: u64) -> bool {
    (word & all(0xf0)) | (word.wrapping_add(all(6)) & all(0xf0)) >> 4 == all(0x33)
}

/// What eight digits come to: neighbours are joined to pairs, pairs to fours, and these to the whole.
#[inline]
const fn value(word: u64) -> u64 {
    let pairs = (word & all(0x0f)).wrapping_mul(10 << 8 | 1) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(100 << 16 | 1) >> 16;
    (fours & 0x0000_ffff_0000_ffff).wrapping_mul(10_000 << 32 | 1) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_up_by_any_blank_or_control_character_wherever_it_stands() {
        for length in 0..40 {
            let text = vec![b'x'; length];
            assert!(!is_broken_up(&text), "{length}");
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = text.clone();
                    text[place] = byte;
                    let expected = byte.is_ascii_control() || byte == b' ';
                    assert_eq!(is_broken_up(&text), expected, "{byte} at {place} of {length}");
                }
            }
        }
    }

    #[test]
    fn every_number_of_up_to_eight_characters_is_read() {
        for number in (0..=99_999_999_u64).step_by(9_973).chain(0..1_000) {
            let text = number.to_string();
            let read = |text: &str| digits(text.as_bytes(), b'.');
            assert_eq!(read(&text), Some(Digits { value: number, decimals: None }), "{text}");
            for place in 0..=text.len().min(7 - usize::from(text.len() == 8)) {
                let (whole, decimals) = text.split_at(text.len().min(place));
                let pointed = format!("{whole}.{decimals}");
                if pointed.len() <= 8 {
                    assert_eq!(
                        read(&pointed),
                        Some(Digits { value: number, decimals: Some(decimals.len()) }),
                        "{pointed}"
                    );
                }
            }
        }
    }

    #[test]
    fn whatever_else_stands_there_is_no_number() {
        assert_eq!(digits(b"", b'.'), None);
        assert_eq!(digits(b"123456789", b'.'), None);
        for length in 1..=8 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'7'; length];
                    text[place] = byte;
                    let is_one = byte.is_ascii_digit() || byte == b',';
                    assert_eq!(digits(&text, b',').is_some(), is_one, "{byte} at {place} of {length}");
                }
            }
        }
        for text in ["1.2.3", "..", "1..2"] {
            assert_eq!(digits(text.as_bytes(), b'.'), None, "{text}");
        }
    }
}

//! Text from a component as it may stand in a log line, a reject file or on a terminal.

use std::borrow::Cow;

/// At most `most` bytes of a text, with everything escaped that could drive a terminal or reorder a line. A text that
/// was cut ends in `…`.
pub(super) fn escaped(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most && !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len().min(most));
    for character in text.chars() {
        let kept = safe.len();
        if is_unsafe(character) {
            safe.extend(character.escape_default())
        } else {
            safe.push(character)
        }
        if safe.len() > most {
            safe.truncate(kept);
            while safe.len() + '…'.len_utf8() > most && safe.pop().is_some() {}
            safe.push('…');
            break;
        }
    }
    Cow::Owned(safe)
}

/// Control characters, line separators, and the marks that change the direction of text.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_length_is_capped() {
        let check = |text: &str, most, expected: &str| assert_eq!(escaped(text, most), expected);
        check("plain ü", 100, "plain ü");
        check("\u{1b}[31mred\n", 100, "\\u{1b}[31mred\\n");
        check("a\u{202e}b", 100, "a\\u{202e}b");
        check("abcdefgh", 8, "abcdefgh");
        check("abcdefghi", 8, "abcde…");
        check("üüüüü", 8, "üü…");
        check("abc\u{1b}", 8, "abc…");
    }
}

//! Asking for a secret on a terminal, without showing what is typed.

use std::io::{self, Write};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use secrecy::zeroize::Zeroizing;

use crate::secrets::MAX_BYTES;

/// What was typed, without the line end; none when it was given up with Ctrl-C or Ctrl-D.
///
/// The terminal passes on each byte as it comes. By lines it would cut off what is longer than 4,095 bytes, and say
/// nothing.
pub fn ask_hidden(question: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let stdin = io::stdin();
    let _hidden = Hidden::begin()?;
    let mut out = io::stderr().lock();
    write!(out, "{question}")?;
    out.flush()?;
    let mut typed = Typed::default();
    let ended = loop {
        let mut byte = [0];
        // Past the standard library's buffer, which nobody would wipe.
        let step = match rustix::io::retry_on_intr(|| rustix::io::read(&stdin, &mut byte))? {
            0 => Step::GivenUp,
            _ => typed.take(byte[0]),
        };
        match step {
            Step::More => {}
            Step::Done => break Some(typed.0),
            Step::GivenUp => break None,
        }
    };
    writeln!(out)?;
    // A paste of several lines would lose all but the first.
    if ended.is_some() && rustix::io::ioctl_fionread(&stdin)? > 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more than one line was typed"));
    }
    Ok(ended)
}

/// A terminal that shows nothing, until this is dropped. What was typed and not read is forgotten then.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing is left to be done where it fails.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// A line as it is typed.
struct Typed(Zeroizing<Vec<u8>>);

#[derive(Debug, PartialEq, Eq)]
enum Step {
    More,
    Done,
    GivenUp,
}

impl Default for Typed {
    /// With room for everything from the start: a buffer that grew would leave copies behind.
    fn default() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1)))
    }
}

impl Typed {
    fn take(&mut self, byte: u8) -> Step {
        match byte {
            b'\r' | b'\n' => return Step::Done,
            // Ctrl-C, and Ctrl-D where nothing was typed.
            0x03 => return Step::GivenUp,
            0x04 if self.0.is_empty() => return Step::GivenUp,
            0x04 => return Step::Done,
            // Backspace takes a whole character, Ctrl-U the line.
            0x08 | 0x7f => while self.0.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            0x15 => self.0.clear(),
            // One byte more than may be is enough to be refused.
            byte if self.0.len() <= MAX_BYTES => self.0.push(byte),
            _ => {}
        }
        Step::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_typed(keys: &str, line: Option<&str>) {
        let mut typed = Typed::default();
        let last = keys.bytes().map(|byte| typed.take(byte)).find(|step| *step != Step::More);
        let found = (last == Some(Step::Done)).then(|| std::str::from_utf8(&typed.0).unwrap());
        assert_eq!(found, line, "{keys:?}");
    }

    #[test]
    fn a_line_can_be_mended_and_given_up() {
        check_typed("abc\n", Some("abc"));
        check_typed("abc\rdef\r", Some("abc"));
        check_typed("abx\u{7f}c\n", Some("abc"));
        check_typed("a\u{fc}\u{20ac}\u{7f}\u{7f}\u{7f}\u{7f}b\n", Some("b"));
        check_typed("wrong\u{15}right\n", Some("right"));
        check_typed("abc\u{4}", Some("abc"));
        check_typed("\u{4}", None);
        check_typed("abc\u{3}\n", None);
    }

    #[test]
    fn what_is_too_long_stays_too_long_and_bounded() {
        let mut typed = Typed::default();
        for _ in 0..2 * MAX_BYTES {
            typed.take(b'x');
        }
        assert_eq!(typed.0.len(), MAX_BYTES + 1);
    }
}

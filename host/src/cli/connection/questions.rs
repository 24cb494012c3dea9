//! Questions to a person at a terminal.

use std::io::{BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::zeroize::Zeroizing;

use crate::cli::{Failed, USAGE};
use crate::secrets::{MAX_BYTES, SecretString};

/// Asks on one stream and reads the answers from another.
pub(super) struct Questions<R, W> {
    input: R,
    output: W,
}

impl Questions<std::io::StdinLock<'static>, std::io::Stderr> {
    /// To whoever sits at the terminal; none where nobody does.
    pub(super) fn at_terminal() -> Option<Self> {
        let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        is_terminal.then(|| Self { input: std::io::stdin().lock(), output: std::io::stderr() })
    }

    /// Asks for what nobody may see; it is not shown while it is typed.
    pub(super) fn secret(&mut self, question: &str) -> Result<SecretString, Failed> {
        write!(self.output, "{question}: ")?;
        self.output.flush()?;
        let hidden = Hidden::begin();
        let line = secret_line(&mut self.input)?;
        drop(hidden);
        writeln!(self.output)?;
        Ok(line)
    }
}

impl<R: BufRead, W: Write> Questions<R, W> {
    #[cfg(test)]
    pub(super) fn of(input: R, output: W) -> Self {
        Self { input, output }
    }

    /// Asks until the answer is one.
    pub(super) fn ask<T>(
        &mut self,
        question: &str,
        mut read: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<T, Failed> {
        loop {
            write!(self.output, "{question}: ")?;
            self.output.flush()?;
            let mut line = String::new();
            if self.input.read_line(&mut line)? == 0 {
                return Err(Failed::new(USAGE, "the answers ended; nothing is written"));
            }
            match read(line.trim()) {
                Ok(answer) => return Ok(answer),
                Err(why) => writeln!(self.output, "  {why}")?,
            }
        }
    }

    /// Asks for a text, which may not be empty.
    pub(super) fn text(&mut self, question: &str) -> Result<String, Failed> {
        self.ask(question, |line| match line {
            "" => Err("something is expected here".to_owned()),
            line => Ok(line.to_owned()),
        })
    }

    /// Asks for a text; none where the answer is empty.
    pub(super) fn optional(&mut self, question: &str) -> Result<Option<String>, Failed> {
        self.ask(question, |line| Ok(Some(line.to_owned()).filter(|line| !line.is_empty())))
    }
}

/// Reads a line that is a secret, less its end. What it is read into is wiped.
pub(super) fn secret_line(input: impl BufRead) -> Result<SecretString, Failed> {
    // Room for everything from the start: a buffer that grew would leave copies of the value behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    for byte in input.bytes() {
        match byte? {
            b'\n' => break,
            byte if bytes.len() < MAX_BYTES => bytes.push(byte),
            _ => return Err(Failed::new(USAGE, format!("a secret of at most {MAX_BYTES} bytes is expected"))),
        }
    }
    let line = std::str::from_utf8(&bytes).map_err(|_| Failed::new(USAGE, "a secret in UTF-8 is expected"))?;
    Ok(SecretString::from(line.strip_suffix('\r').unwrap_or(line)))
}

/// While it is there, the terminal does not show what is typed.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(mut now) = before.clone() {
            now.local_modes.remove(LocalModes::ECHO);
            // A terminal that cannot hide is still better than none.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &now);
        }
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

//! A file as a stream of checked UTF-8, whatever its encoding.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::options::Encoding;

/// Bytes of text that are held at most.
const CAPACITY: usize = 256 * 1024;

/// The text of a file, a piece at a time.
pub(super) struct Text {
    file: File,
    encoding: &'static encoding_rs::Encoding,
    byte_order_mark: bool,
    /// None where the file is UTF-8 already: its bytes are checked where they are.
    decoder: Option<encoding_rs::Decoder>,
    /// Undecoded bytes, where there is a decoder.
    raw: Vec<u8>,
    raw_start: usize,
    raw_end: usize,
    /// `start..checked` is text not consumed yet; `checked..filled` the first bytes of a character cut in two.
    buffer: Vec<u8>,
    start: usize,
    checked: usize,
    filled: usize,
    at_end: bool,
    /// What stands after the checked text.
    broken: Option<Broken>,
}

/// Why text does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// Bytes that mean nothing in the encoding.
    Undecodable,
    /// A NUL byte.
    Nul,
}

/// What a filling brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// More text.
    More,
    /// The end of the file.
    End,
    /// Bytes that are not text.
    Broken(Broken),
}

impl Text {
    /// The text of a file positioned at its start. A byte order mark beats the encoding asked for.
    pub(super) fn open(mut file: File, encoding: Encoding) -> io::Result<Self> {
        let mut mark = [0; 3];
        let read = read_fully(&mut file, &mut mark)?;
        let found = encoding_rs::Encoding::for_bom(&mark[..read]);
        file.seek(SeekFrom::Start(found.map_or(0, |(_, length)| length as u64)))?;
        let encoding = found.map_or(encoding.get(), |(encoding, _)| encoding);
        let decoder = (encoding != encoding_rs::UTF_8).then(|| encoding.new_decoder_without_bom_handling());
        Ok(Self {
            file,
            encoding,
            byte_order_mark: found.is_some(),
            raw: vec![0; if decoder.is_some() { CAPACITY / 4 } else { 0 }],
            decoder,
            raw_start: 0,
            raw_end: 0,
            buffer: vec![0; CAPACITY],
            start: 0,
            checked: 0,
            filled: 0,
            at_end: false,
            broken: None,
        })
    }

    /// The text at hand.
    pub(super) fn available(&self) -> &[u8] {
        &self.buffer[self.start..self.checked]
    }

    /// Lets go of the first bytes at hand; `count` is at most their number.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.checked);
    }

    /// Gets more text behind what is at hand. `More` may be told without more where the buffer is full.
    pub(super) fn fill(&mut self) -> io::Result<Filled> {
        self.buffer.copy_within(self.start..self.filled, 0);
        self.checked -= self.start;
        self.filled -= self.start;
        self.start = 0;
        loop {
            if let Some(broken) = self.broken {
                return Ok(Filled::Broken(broken));
            }
            if self.at_end {
                return Ok(Filled::End);
            }
            if self.filled == self.buffer.len() {
                return Ok(Filled::More);
            }
            let before = self.checked;
            match self.decoder {
                Some(_) => self.decode()?,
                None => self.check()?,
            }
            if let Some(nul) = memchr::memchr(0, &self.buffer[before..self.checked]) {
                self.checked = before + nul;
                self.broken = Some(Broken::Nul);
            }
            if self.checked > before {
                return Ok(Filled::More);
            }
        }
    }

    /// The encoding's name, in lower case.
    pub(super) fn encoding(&self) -> String {
        self.encoding.name().to_ascii_lowercase()
    }

    /// Whether the file begins with a byte order mark.
    pub(super) fn byte_order_mark(&self) -> bool {
        self.byte_order_mark
    }

    /// Reads UTF-8 and checks it.
    fn check(&mut self) -> io::Result<()> {
        let read = read_some(&mut self.file, &mut self.buffer[self.filled..])?;
        self.filled += read;
        self.at_end = read == 0;
        match std::str::from_utf8(&self.buffer[self.checked..self.filled]) {
            Ok(_) => self.checked = self.filled,
            Err(error) => {
                self.checked += error.valid_up_to();
                if error.error_len().is_some() || self.at_end {
                    self.broken = Some(Broken::Undecodable);
                }
            }
        }
        Ok(())
    }

    /// Reads another encoding and turns it into UTF-8.
    fn decode(&mut self) -> io::Result<()> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(());
        };
        if self.raw_start == self.raw_end {
            self.raw_start = 0;
            self.raw_end = read_some(&mut self.file, &mut self.raw)?;
        }
        let last = self.raw_end == 0;
        let raw = &self.raw[self.raw_start..self.raw_end];
        let (result, read, written) =
            decoder.decode_to_utf8_without_replacement(raw, &mut self.buffer[self.filled..], last);
        self.raw_start += read;
        self.filled += written;
        self.checked = self.filled;
        match result {
            encoding_rs::DecoderResult::InputEmpty => self.at_end = last,
            encoding_rs::DecoderResult::OutputFull => {
                // Less room than one character needs: the caller consumes first.
                if written == 0 && read == 0 {
                    self.buffer.resize(self.buffer.len() + 16, 0);
                }
            }
            encoding_rs::DecoderResult::Malformed(..) => self.broken = Some(Broken::Undecodable),
        }
        Ok(())
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text").field("encoding", &self.encoding.name()).finish_non_exhaustive()
    }
}

fn read_some(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Fills the buffer as far as the file goes.
pub(super) fn read_fully(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_some(file, &mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

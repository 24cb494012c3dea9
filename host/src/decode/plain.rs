//! Rows of CSV text in which nothing needs undoing, found 64 bytes at a time.
//!
//! A row is *plain* when its cells stand in the text as they are: none is quoted, or those that are hold no quote
//! themselves. Nearly all rows of nearly all files are, and their cells go from the text to their columns in one copy.
//! Everything else is left to `csv-core`, row by row; what a plain row means is what `csv-core` would make of it.

/// The characters that end or enclose cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    pub(super) delimiter: u8,
    /// None where a quote is an ordinary character.
    pub(super) quote: Option<u8>,
    /// A row with it is never plain.
    pub(super) escape: Option<u8>,
}

/// Where a cell stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A plain row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlainRow {
    /// Where the next row begins.
    pub(super) next: usize,
    /// Line feeds it takes up, its own end among them.
    pub(super) lines: u64,
}

/// Walks a text that begins where a row does.
#[derive(Debug)]
pub(super) struct PlainRows<'t> {
    text: &'t [u8],
    marks: Marks,
    /// Where the 64 bytes begin that are looked at, and which of them are marks not taken yet.
    block: usize,
    found: u64,
    /// Where the next row begins.
    next: usize,
}

impl<'t> PlainRows<'t> {
    pub(super) fn new(text: &'t [u8], marks: Marks) -> Self {
        let mut rows = Self { text, marks, block: 0, found: 0, next: 0 };
        rows.found = rows.look();
        rows
    }

    /// The next row and its cells; none where it is not plain, or does not end within the text. Then the walk is over.
    pub(super) fn next(&mut self, cells: &mut Vec<Span>) -> Option<PlainRow> {
        cells.clear();
        let mut start = self.next;
        let mut lines = 1;
        loop {
            let mut place = self.mark()?;
            let mut byte = *self.text.get(place)?;
            let mut span = Span { start, end: place };
            if Some(byte) == self.marks.quote {
                if place != start {
                    return None;
                }
                (span, lines) = self.quoted(place + 1, lines)?;
                // A second quote, or anything else behind the first, needs undoing.
                place = self.mark().filter(|next| *next == span.end + 1)?;
                byte = *self.text.get(place)?;
            }
            if Some(byte) == self.marks.quote || Some(byte) == self.marks.escape {
                return None;
            }
            cells.push(span);
            if byte == self.marks.delimiter {
                start = place + 1;
                continue;
            }
            if byte == b'\r' {
                place = self.mark().filter(|next| *next == place + 1)?;
                if self.text.get(place) != Some(&b'\n') {
                    return None;
                }
            }
            self.next = place + 1;
            return Some(PlainRow { next: self.next, lines });
        }
    }

    /// What stands before the next quote, and the line feeds so far.
    fn quoted(&mut self, start: usize, mut lines: u64) -> Option<(Span, u64)> {
        loop {
            let end = self.mark()?;
            let byte = *self.text.get(end)?;
            if Some(byte) == self.marks.quote {
                return Some((Span { start, end }, lines));
            }
            if Some(byte) == self.marks.escape {
                return None;
            }
            lines += u64::from(byte == b'\n');
        }
    }

    /// The next mark's place.
    #[inline]
    fn mark(&mut self) -> Option<usize> {
        while self.found == 0 {
            self.block += 64;
            if self.block >= self.text.len() {
                return None;
            }
            self.found = self.look();
        }
        let place = self.block + self.found.trailing_zeros() as usize;
        self.found &= self.found - 1;
        Some(place)
    }

    /// One bit for each of the 64 bytes that is a mark.
    #[inline]
    fn look(&self) -> u64 {
        let rest = self.text.get(self.block..).unwrap_or_default();
        match rest.first_chunk() {
            Some(whole) => self.marks.among(whole),
            None => {
                let mut padded = [0; 64];
                padded[..rest.len()].copy_from_slice(rest);
                // A mark may be any character but NUL, which no text holds.
                self.marks.among(&padded)
            }
        }
    }
}

impl Marks {
    /// Written so that the compiler makes vector instructions of it.
    #[inline]
    fn among(self, block: &[u8; 64]) -> u64 {
        let Self { delimiter, quote, escape } = self;
        let (quote, escape) = (quote.unwrap_or(delimiter), escape.unwrap_or(delimiter));
        let mut are_marks = [0_u8; 64];
        for (is_mark, byte) in are_marks.iter_mut().zip(block) {
            let byte = *byte;
            let ends_or_encloses = (byte == delimiter) | (byte == quote) | (byte == b'\n') | (byte == b'\r');
            *is_mark = u8::from(ends_or_encloses | (byte == escape));
        }
        // Multiplied, eight bytes of 0 or 1 meet as the eight bits of the topmost byte.
        let (eights, _) = are_marks.as_chunks::<8>();
        let bits = eights.iter().map(|eight| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56);
        bits.rev().fold(0, |all, bits| all << 8 | bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { delimiter: b',', quote: Some(b'"'), escape: None };

    /// The plain rows at the beginning of a text, and where they stop.
    fn read(text: &str, marks: Marks) -> (Vec<Vec<&str>>, usize) {
        let mut rows = PlainRows::new(text.as_bytes(), marks);
        let (mut read, mut cells, mut end) = (Vec::new(), Vec::new(), 0);
        while let Some(row) = rows.next(&mut cells) {
            read.push(cells.iter().map(|cell| &text[cell.start..cell.end]).collect());
            end = row.next;
        }
        (read, end)
    }

    fn check(text: &str, expected: &[&[&str]]) {
        assert_eq!(read(text, MARKS).0, expected, "{text:?}");
    }

    #[test]
    fn a_row_is_plain_until_a_quote_needs_undoing() {
        check("a,b\nc,d\n", &[&["a", "b"], &["c", "d"]]);
        check("a,b\r\n,\r\n", &[&["a", "b"], &["", ""]]);
        check("\"a\",\"b,\r\nc\"\n\"\",x\r\n", &[&["a", "b,\r\nc"], &["", "x"]]);
        check("a\n\"b\"\"c\"\nd\n", &[&["a"]]);
        check("a\nb\"c\nd\n", &[&["a"]]);
        check("a\n\"b\" \nd\n", &[&["a"]]);
        check("a\n\"b\"x\"\nd\n", &[&["a"]]);
        check("a\rb\n", &[]);
        check("a\nb", &[&["a"]]);
        check("a\nb\r", &[&["a"]]);
        check("a\n\"b", &[&["a"]]);
        check("a\n\"b\"", &[&["a"]]);
        check("", &[]);
    }

    #[test]
    fn without_quoting_a_quote_is_a_character() {
        let marks = Marks { delimiter: b';', quote: None, escape: None };
        assert_eq!(read("\"a\";b\"\nc", marks), (vec![vec!["\"a\"", "b\""]], 7));
    }

    #[test]
    fn a_row_with_an_escape_character_is_not_plain() {
        let marks = Marks { escape: Some(b'\\'), ..MARKS };
        assert_eq!(read("a\n\"b\\\",\"c\"\nd\n", marks).1, 2);
        assert_eq!(read("a\nb\\\nd\n", marks).1, 2);
    }

    /// Random texts, held against another reader of CSV.
    #[test]
    fn plain_rows_are_what_another_reader_makes_of_them() {
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut plain = 0;
        for _ in 0..20_000 {
            let pieces = ["a", "bc", ",", ",", "\n", "\r\n", "\"", "\",\"", "\"x\"", "ü", "some longer text of a cell"];
            let text: String = (0..random(40)).map(|_| pieces[random(pieces.len() as u64) as usize]).collect();
            let (rows, _) = read(&text, MARKS);
            plain += rows.len();
            let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let theirs: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
            // The other reader passes over empty lines.
            let ours: Vec<&Vec<&str>> = rows.iter().filter(|row| ***row != [""]).collect();
            for (ours, theirs) in ours.iter().zip(theirs.iter().filter(|record| *record != vec![""])) {
                assert_eq!(**ours, theirs.iter().collect::<Vec<_>>(), "{text:?}");
            }
            assert!(ours.len() <= theirs.len(), "{text:?}");
        }
        assert!(plain > 10_000, "{plain}");
    }
}

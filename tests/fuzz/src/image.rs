//! Images of a guest's memory with outputs in them that are right in most places, in the canonical ABI.

use gristmill::batch::{AccountLayout, Identifier, UsageLayout, ValueType};

/// The input as choices. Once it is used up, every choice is the first, and nothing is wrong any more.
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// As many bytes as the next two say, or as there are.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(u16::from_le_bytes([self.byte(), self.byte()]));
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn errs(&mut self) -> bool {
        self.byte() >= 0xf0
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// A number: this one, or once in a while any.
    fn near(&mut self, number: usize) -> u32 {
        if self.errs() { self.word() } else { number as u32 }
    }
}

/// What an output is made for: the rows it may name, the columns of the header, and how many records it is meant to have.
pub struct Shape {
    pub first_row: u32,
    pub rows: usize,
    pub columns: usize,
    pub records: usize,
}

/// Texts, some of which a terminal would obey, or nobody can read.
const WORDS: [&str; 8] =
    ["", "a", "acme", "ü", "bad-date", "\u{1b}[31m", "\u{202e}x", "0123456789abcdef0123456789abcdef"];

/// Bytes of what stands before an image's outputs: see `guest.wat`.
const HEAD: usize = 20;

/// A value in the canonical ABI, as it stands inside a larger one; aligned to 4.
type Flat = Vec<u8>;

/// An image being written.
pub struct Image<'s, 'a> {
    script: &'s mut Script<'a>,
    bytes: Vec<u8>,
}

impl<'s, 'a> Image<'s, 'a> {
    pub fn new(script: &'s mut Script<'a>) -> Self {
        Self { script, bytes: vec![0; HEAD] }
    }

    /// The whole image. What is returned stands last; the same again is what `finish` returns, or something else.
    pub fn end(mut self, returned: Flat, finished: Flat) -> Vec<u8> {
        let returned = self.put(4, &returned);
        let finished = self.put(4, &finished);
        self.set(0, returned);
        self.set(4, finished);
        if self.script.errs() {
            let (level, [text, length]) = (self.script.near(1), self.string());
            self.set(8, level);
            self.set(12, text);
            self.set(16, length);
        }
        self.bytes
    }

    fn set(&mut self, at: usize, word: u32) {
        self.bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    fn put(&mut self, align: usize, value: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        at
    }

    fn pair(&mut self, align: usize, count: usize, items: &[u8]) -> [u32; 2] {
        let at = self.put(align, items) as usize;
        [self.script.near(at), self.script.near(count)]
    }

    fn list<T>(&mut self, items: &[T], align: usize, flat: impl Fn(&T) -> Flat) -> Flat {
        let bytes: Vec<u8> = items.iter().flat_map(flat).collect();
        words(&self.pair(align, items.len(), &bytes))
    }

    fn flat_list(&mut self, items: &[Flat]) -> Flat {
        self.list(items, 4, Clone::clone)
    }

    fn byte_list(&mut self, items: &[u8]) -> Flat {
        self.list(items, 1, |item| vec![*item])
    }

    fn numbers(&mut self, items: &[u32]) -> Flat {
        self.list(items, 4, |item| item.to_le_bytes().to_vec())
    }

    fn long_numbers(&mut self, items: &[i64]) -> Flat {
        self.list(items, 8, |item| item.to_le_bytes().to_vec())
    }

    /// A list's length: the one that is meant, or once in a while another.
    fn length(&mut self, meant: usize) -> usize {
        if self.script.errs() { self.script.below(9) } else { meant }
    }

    fn string(&mut self) -> [u32; 2] {
        let word = WORDS[1 + self.script.below(WORDS.len() - 1)];
        self.pair(1, word.len(), word.as_bytes())
    }

    /// A name that differs from the others, in most cases.
    fn name(&mut self, number: usize) -> Flat {
        let words_of = match self.script.errs() {
            true => self.string(),
            false => self.pair(1, 2, format!("n{number}").as_bytes()),
        };
        words(&words_of)
    }

    fn option(&mut self, value: Option<Flat>, size: usize) -> Flat {
        let case = self.script.near(usize::from(value.is_some()));
        [words(&[case]), value.unwrap_or_else(|| vec![0; size])].concat()
    }

    fn optional_name(&mut self) -> Flat {
        let name = (self.script.below(4) == 1).then(|| self.name(7));
        self.option(name, 8)
    }

    fn text_of(&mut self, rows: usize, words_of: &[&str]) -> Flat {
        let (mut offsets, mut bytes) = (vec![0], Vec::new());
        for _ in 0..rows {
            bytes.extend_from_slice(words_of[self.script.below(words_of.len())].as_bytes());
            offsets.push(bytes.len() as u32);
        }
        if self.script.errs() {
            let at = self.script.below(offsets.len());
            offsets[at] = self.script.word();
        }
        if self.script.errs() && !bytes.is_empty() {
            let at = self.script.below(bytes.len());
            bytes[at] = self.script.byte();
        }
        [self.numbers(&offsets), self.byte_list(&bytes)].concat()
    }

    fn text(&mut self, meant: usize) -> Flat {
        let rows = self.length(meant);
        self.text_of(rows, &WORDS)
    }

    fn bits(&mut self, meant: usize) -> Flat {
        let length = self.length(meant.div_ceil(8));
        let bytes: Vec<u8> = (0..length).map(|_| self.script.byte()).collect();
        self.byte_list(&bytes)
    }

    fn optional_bits(&mut self, meant: usize) -> Flat {
        let bits = (self.script.below(3) == 1).then(|| self.bits(meant));
        self.option(bits, 8)
    }

    fn text_column(&mut self, records: usize) -> Flat {
        [self.text(records), self.optional_bits(records)].concat()
    }

    fn values(&mut self, value_type: ValueType, records: usize) -> Flat {
        let case = match value_type {
            ValueType::Text => 0,
            ValueType::Integer => 1,
            ValueType::Float => 2,
            ValueType::Decimal(_) => 3,
            ValueType::Boolean => 4,
            ValueType::Date => 5,
            ValueType::Timestamp => 6,
            ValueType::TextList => 7,
        };
        let case = if self.script.errs() { self.script.below(9) } else { case };
        let count = self.length(records);
        let mut payload = match case {
            0 => self.text(records),
            1 | 2 | 3 | 6 => {
                let numbers: Vec<i64> = (0..count).map(|_| self.long_number()).collect();
                self.long_numbers(&numbers)
            }
            4 => self.bits(records),
            5 => {
                let days: Vec<u32> = (0..count).map(|_| self.script.near(20_000)).collect();
                self.numbers(&days)
            }
            _ => {
                let items = self.script.below(6);
                let mut offsets: Vec<u32> = (0..count).map(|_| self.script.below(items + 1) as u32).collect();
                offsets.push(0);
                offsets.sort_unstable();
                if self.script.errs() {
                    let at = self.script.below(offsets.len());
                    offsets[at] = self.script.word();
                }
                [self.numbers(&offsets), self.text(items)].concat()
            }
        };
        payload.resize(24, 0);
        [words(&[case as u32]), payload].concat()
    }

    fn long_number(&mut self) -> i64 {
        let [low, high] = [self.script.near(7), if self.script.errs() { self.script.word() } else { 0 }];
        (u64::from(high) << 32 | u64::from(low)).cast_signed()
    }

    fn column(&mut self, value_type: ValueType, records: usize) -> Flat {
        [self.values(value_type, records), self.optional_bits(records)].concat()
    }

    fn value_type(&mut self) -> [u8; 2] {
        let case = if self.script.errs() { self.script.byte() } else { self.script.below(8) as u8 };
        [case, if self.script.errs() { self.script.byte() } else { 2 }]
    }

    /// Rows in the range, in any order.
    fn rows(&mut self, shape: &Shape, count: usize) -> Flat {
        let count = self.length(count);
        let row = |_| {
            let row = shape.first_row as usize + self.script.below(shape.rows.max(1));
            self.script.near(row)
        };
        let rows: Vec<u32> = (0..count).map(row).collect();
        self.numbers(&rows)
    }

    fn issues(&mut self, shape: &Shape) -> Flat {
        let count = if shape.rows == 0 { 0 } else { self.script.below(4) };
        let rows = self.rows(shape, count);
        let columns: Vec<u32> = (0..count)
            .map(|_| {
                let column = self.script.below(shape.columns + 1).wrapping_sub(1);
                self.script.near(column)
            })
            .collect();
        let columns = self.numbers(&columns);
        let rejects = self.bits(count);
        let codes = self.text_of(count, &["bad-date", "a"]);
        [rows, columns, rejects, codes, self.text(count)].concat()
    }

    fn identifiers(&mut self) -> Flat {
        let strategies = 1 + self.script.below(3);
        let strategy = |_| {
            let keys = 1 + self.script.below(2);
            let key = |_| {
                let case = self.script.below(5);
                let case = self.script.near(case);
                [words(&[case]), self.name(1)].concat()
            };
            let keys: Vec<Flat> = (0..keys).map(key).collect();
            self.flat_list(&keys)
        };
        let strategies: Vec<Flat> = (0..strategies).map(strategy).collect();
        self.flat_list(&strategies)
    }

    fn wanted(&mut self, columns: usize) -> Flat {
        let more = self.script.below(3);
        let wanted = |_| {
            let column = self.script.below(columns);
            self.script.near(column)
        };
        let wanted: Vec<u32> = std::iter::once(0).chain((0..more).map(wanted)).collect();
        self.numbers(&wanted)
    }

    /// A result: this, or once in a while a fault.
    fn result(&mut self, good: Flat) -> Flat {
        if !self.script.errs() {
            return [words(&[0]), good].concat();
        }
        let [code, message] = [self.string(), self.string()];
        let [row, column] = [self.script.near(1), self.script.near(0)];
        words(&[1, code[0], code[1], message[0], message[1], row, 3, column, 1])
    }

    pub fn account_layout(&mut self, columns: usize) -> Flat {
        let count = self.script.below(10);
        let field = |number| {
            let (name, [value_type, scale]) = (self.name(number), self.value_type());
            let semantic = self.script.below(8) as u8;
            let unit = self.optional_name();
            let mode = if value_type == 7 { self.script.below(4) } else { self.script.below(2) };
            [name, vec![value_type, scale, semantic, 0], unit, words(&[mode as u32])].concat()
        };
        let fields: Vec<Flat> = (0..count).map(field).collect();
        let layout = [self.wanted(columns), self.identifiers(), self.flat_list(&fields)].concat();
        self.result(layout)
    }

    pub fn usage_layout(&mut self, columns: usize) -> Flat {
        let user = [self.script.below(2) as u8, self.script.below(4) as u8, 0, 0];
        let layout = [self.wanted(columns), self.identifiers(), user.to_vec()].concat();
        self.result(layout)
    }

    fn identifier_columns(&mut self, identifiers: &[Identifier], records: usize) -> Flat {
        let count = self.length(identifiers.iter().map(Vec::len).sum());
        let columns: Vec<Flat> = (0..count).map(|_| self.text_column(records)).collect();
        self.flat_list(&columns)
    }

    pub fn account_batch(&mut self, shape: &Shape, layout: &AccountLayout) -> Flat {
        let rows = self.rows(shape, shape.records);
        let identifiers = self.identifier_columns(&layout.identifiers, shape.records);
        let count = self.length(layout.fields.len()).min(layout.fields.len());
        let column = |index: usize| {
            let column = self.column(layout.fields[index].value_type, shape.records);
            [column, self.optional_bits(shape.records)].concat()
        };
        let fields: Vec<Flat> = (0..count).map(column).collect();
        let batch = [rows, identifiers, self.flat_list(&fields), self.issues(shape)].concat();
        self.result(batch)
    }

    /// `announced` has the types of the series so far.
    pub fn usage_batch(&mut self, shape: &Shape, layout: &UsageLayout, announced: &[ValueType]) -> Flat {
        let rows = self.rows(shape, shape.records);
        let identifiers = self.identifier_columns(&layout.identifiers, shape.records);
        let has_user = layout.user.is_some() != self.script.errs();
        let user = has_user.then(|| self.text_column(shape.records));
        let user = self.option(user, 28);
        let mut days = || {
            let count = self.length(shape.records);
            let days: Vec<u32> = (0..count).map(|_| self.script.near(20_000)).collect();
            self.numbers(&days)
        };
        let days = [days(), days()].concat();
        let mut types = announced.to_vec();
        let count = self.script.below(4);
        let series = |number| {
            let [value_type, scale] = self.value_type();
            types.push(type_of(value_type, scale));
            let names = [self.name(number), self.name(number), self.optional_name()].concat();
            let (aggregate, period) = (self.script.below(7) as u8, self.script.below(8) as u32);
            let period = [words(&[period]), self.name(3)].concat();
            [names, vec![value_type, scale, aggregate, 0], period, words(&[self.script.below(2) as u32])].concat()
        };
        let series: Vec<Flat> = (0..count).map(series).collect();
        let series = self.flat_list(&series);
        let blocks = if types.is_empty() { 0 } else { self.script.below(4) };
        let block = |_| {
            let (count, series) = (self.script.below(6), self.script.below(types.len()));
            let entry = |_| {
                let entry = self.script.below(shape.records.max(1));
                self.script.near(entry)
            };
            let entries: Vec<u32> = (0..count).map(entry).collect();
            let entries = self.numbers(&entries);
            let named: Vec<u32> = (0..count).map(|_| self.script.near(series)).collect();
            [entries, self.numbers(&named), self.column(types[series], count)].concat()
        };
        let blocks: Vec<Flat> = (0..blocks).map(block).collect();
        let batch = [rows, identifiers, user, days, series, self.flat_list(&blocks), self.issues(shape)].concat();
        self.result(batch)
    }
}

fn words(words: &[u32]) -> Flat {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn type_of(case: u8, scale: u8) -> ValueType {
    match case {
        1 => ValueType::Integer,
        2 => ValueType::Float,
        3 => ValueType::Decimal(scale),
        4 => ValueType::Boolean,
        5 => ValueType::Date,
        6 => ValueType::Timestamp,
        7 => ValueType::TextList,
        _ => ValueType::Text,
    }
}

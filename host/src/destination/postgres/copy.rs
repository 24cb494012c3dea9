//! Rows on their way into a staging table, in the binary form of COPY: numbers as they are in memory, no quoting.
//!
//! A connection takes one COPY at a time, and the rows of one object go to several tables, so they are gathered here and
//! sent a bundle at a time.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::destination::DestinationError;

use super::session::Session;

/// How many bytes are gathered before they are sent.
const BUNDLE: usize = 256 * 1024;

/// Days from 1970-01-01 to 2000-01-01, which PostgreSQL counts from.
const EPOCH: i32 = 10_957;

/// The object identifier of the type `text`.
const TEXT: i32 = 25;

/// Rows for one table.
pub(super) struct CopyRows {
    what: &'static str,
    sql: &'static str,
    columns: i16,
    bytes: BytesMut,
}

impl CopyRows {
    /// `sql` copies so many columns from standard input in binary.
    pub(super) fn new(what: &'static str, sql: &'static str, columns: i16) -> Self {
        Self { what, sql, columns, bytes: BytesMut::new() }
    }

    /// Begins a row, whose columns follow in their order.
    pub(super) fn row(&mut self) -> &mut Self {
        if self.bytes.is_empty() {
            self.bytes.put_slice(b"PGCOPY\n\xff\r\n\0");
            // No flags, and no more header.
            self.bytes.put_i64(0);
        }
        self.bytes.put_i16(self.columns);
        self
    }

    pub(super) fn null(&mut self) -> &mut Self {
        self.bytes.put_i32(-1);
        self
    }

    pub(super) fn bigint(&mut self, value: i64) -> &mut Self {
        self.bytes.put_i32(8);
        self.bytes.put_i64(value);
        self
    }

    pub(super) fn integer(&mut self, value: i32) -> &mut Self {
        self.bytes.put_i32(4);
        self.bytes.put_i32(value);
        self
    }

    pub(super) fn double(&mut self, value: f64) -> &mut Self {
        self.bytes.put_i32(8);
        self.bytes.put_f64(value);
        self
    }

    /// A date, in days since 1970-01-01.
    pub(super) fn date(&mut self, days: i32) -> &mut Self {
        self.integer(days.saturating_sub(EPOCH))
    }

    /// A text. U+0000, which PostgreSQL cannot hold, becomes U+FFFD.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        let length = self.begin();
        let mut parts = text.split('\0');
        self.bytes.put_slice(parts.next().unwrap_or_default().as_bytes());
        for part in parts {
            self.bytes.put_slice("\u{fffd}".as_bytes());
            self.bytes.put_slice(part.as_bytes());
        }
        self.end(length);
        self
    }

    pub(super) fn optional_text(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.null(),
        }
    }

    /// An array of so many texts.
    pub(super) fn texts<T: AsRef<str>>(&mut self, count: usize, texts: impl Iterator<Item = Option<T>>) -> &mut Self {
        let length = self.begin();
        // One dimension that may hold nulls, numbered from 1.
        self.bytes.put_i32(1);
        self.bytes.put_i32(1);
        self.bytes.put_i32(TEXT);
        self.bytes.put_i32(count as i32);
        self.bytes.put_i32(1);
        for text in texts {
            self.optional_text(text.as_ref().map(AsRef::as_ref));
        }
        self.end(length);
        self
    }

    /// Leaves room for a length that is not known yet.
    fn begin(&mut self) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.put_i32(0);
        start..self.bytes.len()
    }

    fn end(&mut self, length: Range<usize>) {
        let written = (self.bytes.len() - length.end) as i32;
        self.bytes[length].copy_from_slice(&written.to_be_bytes());
    }

    /// Sends a full bundle.
    pub(super) fn send_bundle(&mut self, session: &Session) -> Result<(), DestinationError> {
        if self.bytes.len() >= BUNDLE { self.send(session) } else { Ok(()) }
    }

    /// Sends what was gathered.
    pub(super) fn send(&mut self, session: &Session) -> Result<(), DestinationError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        self.bytes.put_i16(-1);
        let rows: Bytes = self.bytes.split().freeze();
        session.copy(self.what, self.sql, rows)
    }
}

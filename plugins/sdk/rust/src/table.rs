//! What is known of a table before its rows, and what a mapper asks of it.

use crate::issue::Fault;
use crate::row::Columns;

/// The object that a table comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The integration that took it.
    pub integration: String,
    /// The connection it came over.
    pub connection: String,
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// Its ETag.
    pub etag: String,
    /// Bytes.
    pub size: u64,
    /// When it was stored last, in microseconds since 1970-01-01T00:00:00Z.
    pub last_modified: i64,
    /// The sheet's name, in a workbook.
    pub sheet: Option<String>,
    /// The integration's time zone, an IANA name.
    pub timezone: String,
    /// The day on which it was stored last, in that time zone. A mapper has no clock, and a file that is mapped again years
    /// later has to come to the same.
    pub today: crate::Date,
}

/// What an identifier's value is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// The account's id in the customer relationship system.
    CrmId,
    /// A domain of the account.
    Domain,
    /// The account's name.
    Name,
    /// The account's id in the destination.
    Id,
    /// A custom account field, by its key.
    Field(String),
}

/// A column that was asked for: `row[column]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its place among the wanted columns.
    pub(crate) place: u32,
}

/// A table that is being opened.
#[derive(Debug)]
pub struct Table<'a> {
    source: &'a Source,
    header: &'a [String],
    pub(crate) wanted: Vec<u32>,
    pub(crate) identifiers: Vec<Vec<Match>>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(source: &'a Source, header: &'a [String]) -> Self {
        Self { source, header, wanted: Vec::new(), identifiers: Vec::new() }
    }

    /// The object that it comes from.
    pub fn source(&self) -> &'a Source {
        self.source
    }

    /// The names of all columns.
    pub fn header(&self) -> &'a [String] {
        self.header
    }

    /// Asks for a column.
    ///
    /// # Errors
    /// `missing_column`.
    pub fn column(&mut self, name: &str) -> Result<Column, Fault> {
        let missing = || Fault::new("missing_column", format!("the table has no column `{name}`"));
        self.column_if_any(name).ok_or_else(missing)
    }

    /// Asks for a column that may be missing.
    pub fn column_if_any(&mut self, name: &str) -> Option<Column> {
        let index = self.header.iter().position(|column| column == name)?;
        Some(self.want(index))
    }

    /// Asks for all columns, in the order of the header.
    pub fn all_columns(&mut self) -> Vec<Column> {
        (0..self.header.len()).map(|index| self.want(index)).collect()
    }

    fn want(&mut self, index: usize) -> Column {
        let index = index as u32;
        let place = self.wanted.iter().position(|wanted| *wanted == index).unwrap_or_else(|| {
            self.wanted.push(index);
            self.wanted.len() - 1
        });
        Column { place: place as u32 }
    }

    /// Adds a way to find the account of a record: what all its keys match. Several are tried in their order.
    pub fn identify(&mut self, keys: impl IntoIterator<Item = Match>) {
        self.identifiers.push(keys.into_iter().collect());
    }

    /// How many values name an account.
    pub(crate) fn keys(&self) -> usize {
        self.identifiers.iter().map(Vec::len).sum()
    }

    pub(crate) fn columns(&self) -> Columns {
        Columns::new(self.header, &self.wanted)
    }
}

//! A file on its way to batches, whether it is an ordinary one or a mended reject file.
//!
//! A CSV file whose header has the column `_gristmill_origin` is a mended reject file. It is read in the dialect in which
//! reject files are written, whatever the integration's is; where a spreadsheet wrote it anew in the integration's, in
//! that. Its own columns are moved behind the original ones, so that those have the same numbers as in a file without
//! them, and mappers see them alone.

use std::fs::File;
use std::os::unix::fs::FileExt;

use memchr::memmem;

use super::{Failure, Recipe, format_of};
use crate::batch::{Batch, TableHead};
use crate::decode::{self, CsvOptions, DecodeError, DecodeOptions, Decoder, Dialect, Format, Header};
use crate::object::{IntegrationName, Object};
use crate::rejects::{COLUMNS, Former, ORIGIN};

/// The first bytes of a file in which the header of a mended reject file is looked for.
const LOOKED_AT: usize = 256 << 10;

/// A decoder, and where the open table's columns stand in the file.
#[derive(Debug)]
pub struct Reader {
    decoder: Decoder,
    mended: Option<MendedColumns>,
    /// The file's column of each column, where they are not the same.
    places: Option<Vec<usize>>,
    /// The integration's name now, and what it was known by before.
    name: IntegrationName,
    former: Former,
}

/// The columns of a mended reject file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MendedColumns {
    /// So many are the original ones; they come first.
    pub original: usize,
    /// The one that says where rows come from.
    pub origin: usize,
}

impl Reader {
    /// Opens a file, positioned at its start.
    pub fn open(recipe: &Recipe, object: &Object, file: File) -> Result<Self, Failure> {
        let format = format_of(object)?;
        let options = match format {
            Format::Csv => as_reject_file(recipe, &file)?,
            Format::Xlsx | Format::Xls | Format::Ndjson => None,
        };
        let options = options.as_ref().unwrap_or(&recipe.decode);
        Ok(Self {
            decoder: decode::open(file, format, options, &recipe.launcher)?,
            mended: None,
            places: None,
            name: recipe.integration.clone(),
            former: recipe.former.clone(),
        })
    }

    /// The next table, as [`Decoder::next_table`] gives it.
    pub fn next_table(&mut self) -> Result<Option<TableHead>, DecodeError> {
        let Some(mut head) = self.decoder.next_table()? else { return Ok(None) };
        (self.mended, self.places) = (None, None);
        if !head.header.iter().any(|name| name == ORIGIN) {
            return Ok(Some(head));
        }
        let is_ours = |place: &usize| head.header.get(*place).is_some_and(|name| COLUMNS.contains(&name.as_str()));
        let (ours, mut places): (Vec<usize>, Vec<usize>) = (0..head.header.len()).partition(is_ours);
        let original = places.len();
        places.extend(ours);
        let header: Vec<String> = places.iter().filter_map(|place| head.header.get(*place)).cloned().collect();
        let origin = header.iter().position(|name| name == ORIGIN).unwrap_or_default();
        head.header = header;
        self.mended = Some(MendedColumns { original, origin });
        self.places = (!places.is_sorted()).then_some(places);
        Ok(Some(head))
    }

    /// The columns of the open table, where it is that of a mended reject file.
    pub fn mended(&self) -> Option<MendedColumns> {
        self.mended
    }

    /// Which columns the next batches hold, as [`Decoder::want`] takes them; that of the origin is always among them.
    pub fn want(&mut self, columns: &[u32]) {
        let wanted = columns.iter().map(|column| *column as usize).chain(self.mended.map(|mended| mended.origin));
        let in_file = |column: usize| match &self.places {
            Some(places) => places.get(column).copied().unwrap_or(usize::MAX),
            None => column,
        };
        let wanted: Vec<u32> = wanted.filter_map(|column| u32::try_from(in_file(column)).ok()).collect();
        self.decoder.want(&wanted);
    }

    /// The next rows of the open table.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, DecodeError> {
        let Some(mut batch) = self.decoder.next_batch()? else { return Ok(None) };
        if let Some(places) = &self.places {
            let mut columns = batch.columns;
            batch.columns = places.iter().map(|place| columns.get_mut(*place).and_then(Option::take)).collect();
            for column in &mut batch.issues.columns {
                let moved = usize::try_from(*column).ok().and_then(|column| places.iter().position(|at| *at == column));
                *column = moved.and_then(|column| i32::try_from(column).ok()).unwrap_or(-1);
            }
        }
        if let Some(mended) = &self.mended
            && let Some(Some(origins)) = batch.columns.get_mut(mended.origin)
            && let Some(named_anew) = self.former.named_anew(&origins.text, &self.name)
        {
            origins.text = named_anew;
        }
        Ok(Some(batch))
    }

    /// What is known by now about how the file is written.
    pub fn dialect(&self) -> Dialect {
        self.decoder.dialect()
    }
}

/// How a CSV file is to be read that has the header of a reject file: as we write it, or as a spreadsheet wrote it again
/// that has the integration's delimiter and encoding. Leaves the file at any place, like opening it.
fn as_reject_file(recipe: &Recipe, file: &File) -> Result<Option<DecodeOptions>, Failure> {
    let mut start = vec![0; LOOKED_AT];
    let mut read = 0;
    loop {
        match file.read_at(start.get_mut(read..).unwrap_or_default(), read as u64).map_err(DecodeError::from)? {
            0 => break,
            more => read += more,
        }
    }
    // A file that does not have the word costs no more than this.
    if memmem::find(start.get(..read).unwrap_or_default(), ORIGIN.as_bytes()).is_none() {
        return Ok(None);
    }
    let written_again = CsvOptions {
        header: Header::Row,
        skip_rows: 0,
        skip_after_header: 0,
        footer_rows: 0,
        ..recipe.decode.csv.clone()
    };
    for csv in [CsvOptions::default(), written_again] {
        let options = DecodeOptions { csv, ..recipe.decode.clone() };
        let copy = file.try_clone().map_err(DecodeError::from)?;
        let head = decode::open(copy, Format::Csv, &options, &recipe.launcher);
        // What cannot be read so is not ours; why not is said of the dialect that it is read in.
        if let Ok(Some(head)) = head.and_then(|mut decoder| decoder.next_table())
            && head.header.iter().any(|name| name == ORIGIN)
        {
            return Ok(Some(options));
        }
    }
    Ok(None)
}

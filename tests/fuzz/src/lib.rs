//! All that lies between a guest's memory and our arrays, fed with bytes that nobody chose: the engine lifts what a guest
//! returns, the host checks it.
//!
//! The guest (`guest.wat`) returns what it is told to: an image of its memory, made of the input. Either the input's bytes
//! are the image, or they are choices by which one is made that is right in most places. A table is opened, two batches of
//! it are mapped and it is ended, as a file's are, through the public functions of the library.
//!
//! # What must hold, whatever a guest returns
//!
//! - Nothing panics.
//! - No call takes more memory than a few times what its output may weigh.
//! - An array that is accepted passes Arrow's full validation and has the length and the type that it should have.
//! - Every row, column, entry and series that is named exists.
//! - An error is the mapper's or the file's, is short, and cannot drive a terminal; after one the guest is not entered again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, StringArray};
use gristmill::batch::{
    AccountBatch, AccountLayout, Batch, Cells, Identifier, Issues, UsageBatch, UsageLayout, ValueType,
};
use gristmill::mapper::{
    Blame, Fault, FieldMapping, FileBudget, Limits, Mapper, MapperError, MapperHost, Source, UsageMapping,
};
use gristmill::worker::Launcher;
use tempfile::TempDir;

mod image;

use image::{Image, Script, Shape};

/// Columns of the header.
const COLUMNS: usize = 3;
/// Rows of the two batches of a table.
const BATCHES: [Range<u32>; 2] = [0..4, 4..7];
/// Bytes of an image: what the guest has room for below its heap.
const IMAGE: usize = 16 << 10;
/// Bytes of an error's text.
const ERROR: usize = 8 << 10;

/// The allocator of a process in which memory is counted, by thread.
pub struct Counted;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn count(freed: usize, taken: usize) {
    // A thread that ends has nothing left to count with.
    let _ = LIVE.try_with(|live| {
        live.set(live.get().saturating_sub(freed).saturating_add(taken));
        PEAK.set(PEAK.get().max(live.get()));
    });
}

// SAFETY: everything is the system's allocator; numbers are added up beside it.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// A host with the guest in it.
pub struct Lift {
    mapper: Arc<Mapper>,
    _host: MapperHost,
    _cache: TempDir,
}

impl Lift {
    /// Compiles the guest, by the program that the launcher starts.
    pub fn new(launcher: Launcher) -> Self {
        let cache = TempDir::new().unwrap();
        let host = MapperHost::start(cache.path().to_owned(), launcher).unwrap();
        let mapper = host.try_out("guest", &guest(), Limits::default()).unwrap();
        Self { mapper, _host: host, _cache: cache }
    }

    /// Takes one input through the guest, and says how many outputs were accepted.
    pub fn run(&self, input: &[u8]) -> usize {
        let mut script = Script::new(input);
        match script.below(3) {
            0 => self.fields(script),
            1 => self.usage(script),
            _ => self.check(script),
        }
    }

    fn check(&self, mut script: Script<'_>) -> usize {
        let settings = text_of(script.bytes());
        let faults = bounded(output_limit(settings.len(), 0), || self.mapper.check_fields(&settings));
        let faults = accepted(faults);
        faults.iter().flatten().for_each(assert_fault);
        usize::from(faults.is_some())
    }

    fn fields(&self, mut script: Script<'_>) -> usize {
        let mut fields = self.mapper.fields(FileBudget { bytes: 0 }, Arc::new(|_| ())).unwrap();
        let image = image(&mut script, |image| image.account_layout(COLUMNS));
        let Some(layout) = open_fields(&mut fields, &image) else { return 0 };
        for (number, rows) in BATCHES.into_iter().enumerate() {
            let shape = shape(&rows, &mut script);
            let image = self::image(&mut script, |image| image.account_batch(&shape, &layout));
            let Some(()) = map_fields(&mut fields, &layout, rows, &image) else { return 1 + number };
        }
        1 + BATCHES.len() + usize::from(finish_fields(&mut fields, &layout).is_some())
    }

    fn usage(&self, mut script: Script<'_>) -> usize {
        let mut usage = self.mapper.usage(FileBudget { bytes: 0 }, Arc::new(|_| ())).unwrap();
        let image = image(&mut script, |image| image.usage_layout(COLUMNS));
        let Some(layout) = open_usage(&mut usage, &image) else { return 0 };
        let mut announced = Vec::new();
        for (number, rows) in BATCHES.into_iter().enumerate() {
            let shape = shape(&rows, &mut script);
            let image = self::image(&mut script, |image| image.usage_batch(&shape, &layout, &announced));
            let Some(()) = map_usage(&mut usage, &layout, &mut announced, rows, &image) else { return 1 + number };
        }
        1 + BATCHES.len() + usize::from(finish_usage(&mut usage, &layout, &mut announced).is_some())
    }
}

/// The guest as a component.
fn guest() -> Vec<u8> {
    let mut module = wat::parse_str(include_str!("guest.wat")).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("mapper.wit", include_str!("../../../wit/0.1.0/mapper.wit")).unwrap();
    let world = resolve.select_world(&[package], Some("mapper")).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8).unwrap();
    wit_component::ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

/// An image: one whose outputs `write` makes, what the call returns and the same anew for the table's end, or the next
/// bytes as they are.
fn image<'a>(script: &mut Script<'a>, write: impl Fn(&mut Image<'_, 'a>) -> Vec<u8>) -> Vec<u8> {
    if script.below(2) == 1 {
        return script.bytes().to_vec();
    }
    let mut image = Image::new(script);
    let (returned, finished) = (write(&mut image), write(&mut image));
    image.end(returned, finished)
}

fn shape(rows: &Range<u32>, script: &mut Script<'_>) -> Shape {
    Shape { first_row: rows.start, rows: rows.len(), columns: COLUMNS, records: script.below(5) }
}

/// An image as text: two characters a byte.
fn text_of(image: &[u8]) -> String {
    let digits = |byte: &u8| [char::from(b'a' + (byte >> 4)), char::from(b'a' + (byte & 15))];
    image.iter().take(IMAGE).flat_map(digits).collect()
}

fn source() -> Source {
    Source {
        integration: "acme".into(),
        connection: "acme".into(),
        bucket: "exports".into(),
        key: "a.csv".into(),
        etag: "0".into(),
        size: 1,
        last_modified: 0,
        sheet: None,
        timezone: "UTC".into(),
        today: 20_000,
    }
}

fn header() -> Vec<String> {
    vec!["a".into(), "b".into(), "c".into()]
}

/// A batch whose first column holds an image.
fn batch(rows: Range<u32>, image: &[u8]) -> Batch {
    let image = text_of(image);
    let first = std::iter::once(image.as_str());
    let first = StringArray::from_iter_values(first.chain(std::iter::repeat_n("", rows.len() - 1)));
    let others = StringArray::from_iter_values(std::iter::repeat_n("x", rows.len()));
    let cells = |text: &StringArray| Some(Cells { text: text.clone(), typed: None });
    Batch {
        first_row: rows.start,
        lines: rows.map(u64::from).collect(),
        columns: vec![cells(&first), cells(&others), cells(&others)],
        issues: Issues::none(),
    }
}

/// What a call may return, in bytes: as the product's limits have it.
fn output_limit(input: usize, rows: usize) -> usize {
    4 * input + rows * 1024 + (1 << 20)
}

/// Does something whose output may have this many bytes. What is lifted is counted against that; beside it there may be its
/// copy while a list grows, and messages in which one byte became six.
fn bounded<T>(output: usize, work: impl FnOnce() -> T) -> T {
    let before = LIVE.get();
    PEAK.set(before);
    let done = work();
    let taken = PEAK.get().saturating_sub(before);
    assert!(taken <= 8 * output, "{taken} bytes were taken where the output may have {output}");
    done
}

/// The result, unless it is an error, which must be one of those that a guest can bring about.
fn accepted<T>(result: Result<T, MapperError>) -> Option<T> {
    let error = match result {
        Ok(accepted) => return Some(accepted),
        Err(error) => error,
    };
    assert!(matches!(error.blame(), Blame::Mapper | Blame::File), "{error:?}");
    assert_plain(&error.to_string());
    assert!(!error.code().is_empty() && error.code().len() <= 64, "{error:?}");
    if let MapperError::Fault(fault) = &error {
        assert_fault(fault);
    }
    None
}

fn assert_plain(text: &str) {
    assert!(text.len() <= ERROR && !text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
}

fn assert_fault(fault: &Fault) {
    assert_plain(&fault.message);
    assert!(!fault.code.is_empty() && fault.code.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)));
}

fn open_fields(fields: &mut FieldMapping, image: &[u8]) -> Option<AccountLayout> {
    let settings = text_of(image);
    let opened = bounded(output_limit(settings.len() + 3, 0), || fields.open(&source(), &header(), &settings));
    let failed = opened.is_err();
    let layout = accepted(opened);
    if failed {
        assert_eq!(fields.open(&source(), &header(), "").unwrap_err().code(), "mapper-input");
    }
    let layout = layout?;
    assert!(layout.wanted.iter().all(|column| (*column as usize) < COLUMNS));
    assert_identifiers(&layout.identifiers);
    let names: std::collections::HashSet<&str> = layout.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names.len(), layout.fields.len(), "a name stands twice");
    for field in &layout.fields {
        assert_name(&field.name);
        field.unit.iter().for_each(|unit| assert_name(unit));
        assert_type(field.value_type);
    }
    Some(layout)
}

fn open_usage(usage: &mut UsageMapping, image: &[u8]) -> Option<UsageLayout> {
    let settings = text_of(image);
    let opened = bounded(output_limit(settings.len() + 3, 0), || usage.open(&source(), &header(), &settings));
    let failed = opened.is_err();
    let layout = accepted(opened);
    if failed {
        assert_eq!(usage.open(&source(), &header(), "").unwrap_err().code(), "mapper-input");
    }
    let layout = layout?;
    assert!(layout.wanted.iter().all(|column| (*column as usize) < COLUMNS));
    assert_identifiers(&layout.identifiers);
    Some(layout)
}

/// How much a batch weighs that the guest gets: one column for each that it wants.
fn input_of(wanted: &[u32], rows: usize, image: &[u8]) -> usize {
    wanted.iter().map(|column| 4 * (rows + 1) + if *column == 0 { 2 * image.len() } else { rows }).sum()
}

fn map_fields(fields: &mut FieldMapping, layout: &AccountLayout, rows: Range<u32>, image: &[u8]) -> Option<()> {
    let output = output_limit(input_of(&layout.wanted, rows.len(), image), rows.len());
    let batch = batch(rows.clone(), image);
    let mapped = bounded(output, || fields.map_batch(&batch));
    if mapped.is_err() {
        assert_eq!(fields.map_batch(&self::batch(1000..1001, &[])).unwrap_err().code(), "mapper-input");
    }
    accepted(mapped).map(|records| assert_accounts(&records, layout, rows))
}

fn finish_fields(fields: &mut FieldMapping, layout: &AccountLayout) -> Option<()> {
    let finished = bounded(output_limit(Limits::default().memory / 4, 0), || fields.finish());
    accepted(finished).map(|records| assert_accounts(&records, layout, 0..BATCHES[1].end))
}

fn map_usage(
    usage: &mut UsageMapping,
    layout: &UsageLayout,
    announced: &mut Vec<ValueType>,
    rows: Range<u32>,
    image: &[u8],
) -> Option<()> {
    let output = output_limit(input_of(&layout.wanted, rows.len(), image), rows.len());
    let batch = batch(rows.clone(), image);
    let mapped = bounded(output, || usage.map_batch(&batch));
    if mapped.is_err() {
        assert_eq!(usage.map_batch(&self::batch(1000..1001, &[])).unwrap_err().code(), "mapper-input");
    }
    accepted(mapped).map(|records| assert_usage(&records, layout, announced, rows))
}

fn finish_usage(usage: &mut UsageMapping, layout: &UsageLayout, announced: &mut Vec<ValueType>) -> Option<()> {
    let finished = bounded(output_limit(Limits::default().memory / 4, 0), || usage.finish());
    accepted(finished).map(|records| assert_usage(&records, layout, announced, 0..BATCHES[1].end))
}

fn assert_identifiers(identifiers: &[Identifier]) {
    assert!(!identifiers.is_empty() && identifiers.iter().all(|keys| !keys.is_empty()));
}

fn assert_name(name: &str) {
    assert!(!name.is_empty() && name.len() <= 256);
    assert_plain(name);
}

fn assert_type(value_type: ValueType) {
    assert!(!matches!(value_type, ValueType::Decimal(19..)));
}

/// That an array is whole, and as long as it should be.
fn assert_array(array: &dyn Array, length: usize) {
    array.to_data().validate_full().unwrap();
    assert_eq!(array.len(), length);
}

fn assert_values(array: &dyn Array, value_type: ValueType, length: usize) {
    assert_array(array, length);
    assert_eq!(array.data_type(), &value_type.arrow());
}

fn assert_rows(found: &[u32], rows: &Range<u32>) {
    assert!(found.iter().all(|row| rows.contains(row)), "{found:?} of {rows:?}");
}

fn assert_identifier_columns(columns: &[StringArray], identifiers: &[Identifier], length: usize) {
    assert_eq!(columns.len(), identifiers.iter().map(Vec::len).sum::<usize>());
    columns.iter().for_each(|column| assert_array(column, length));
}

fn assert_accounts(records: &AccountBatch, layout: &AccountLayout, rows: Range<u32>) {
    assert_rows(&records.rows, &rows);
    assert_identifier_columns(&records.identifiers, &layout.identifiers, records.len());
    assert_eq!(records.fields.len(), layout.fields.len());
    for (column, field) in records.fields.iter().zip(&layout.fields) {
        assert_values(&column.values, field.value_type, records.len());
        assert!(column.clear.as_ref().is_none_or(|clear| clear.len() == records.len()));
    }
    assert_issues(&records.issues, &rows);
}

fn assert_usage(records: &UsageBatch, layout: &UsageLayout, announced: &mut Vec<ValueType>, rows: Range<u32>) {
    assert_rows(&records.rows, &rows);
    let entries = records.rows.len();
    assert_identifier_columns(&records.identifiers, &layout.identifiers, entries);
    assert_eq!(records.user.is_some(), layout.user.is_some());
    records.user.iter().for_each(|user| assert_array(user, entries));
    assert_array(&records.dates, entries);
    assert_array(&records.period_starts, entries);
    for series in &records.announced {
        assert_name(&series.product);
        assert_name(&series.metric);
        assert_type(series.value_type);
        announced.push(series.value_type);
    }
    for block in &records.blocks {
        assert!(block.entry_of.iter().all(|entry| (*entry as usize) < entries));
        let value_type = announced[block.series_of[0] as usize];
        assert!(block.series_of.iter().all(|series| announced[*series as usize] == value_type));
        assert_eq!(block.series_of.len(), block.entry_of.len());
        assert_values(&block.values, value_type, block.entry_of.len());
    }
    assert_issues(&records.issues, &rows);
}

fn assert_issues(issues: &Issues, rows: &Range<u32>) {
    assert_rows(&issues.rows, rows);
    assert!(issues.columns.iter().all(|column| (-1..COLUMNS as i32).contains(column)));
    assert_eq!((issues.columns.len(), issues.rejects.len()), (issues.len(), issues.len()));
    assert_array(&issues.codes, issues.len());
    assert_array(&issues.messages, issues.len());
    issues.messages.iter().flatten().for_each(assert_plain);
}

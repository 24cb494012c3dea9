//! Every way in which a guest's output can be wrong, and that no way panics.

use arrow_array::cast::AsArray;

use super::*;
use crate::batch::{AccountLayout, OutputField, Semantic, UsageLayout, UserKey, WriteMode};
use crate::mapper::bindings::columns::{Column, TextColumn, TextList, TextResult, Values};
use crate::mapper::bindings::{field_mapping as accounts_raw, product_usage as usage_raw};

fn text(rows: &[&str]) -> TextResult {
    let mut offsets = vec![0];
    let mut bytes = Vec::new();
    for row in rows {
        bytes.extend_from_slice(row.as_bytes());
        offsets.push(bytes.len() as i32);
    }
    TextResult { offsets, bytes }
}

fn raw_text(offsets: &[i32], bytes: &[u8]) -> TextResult {
    TextResult { offsets: offsets.to_vec(), bytes: bytes.to_vec() }
}

fn column(values: Values) -> Column {
    Column { values, validity: None }
}

fn scope() -> Scope {
    Scope { rows: 10..12, columns: 3 }
}

fn no_issues() -> types::Issues {
    types::Issues { rows: vec![], columns: vec![], rejects: vec![], codes: text(&[]), messages: text(&[]) }
}

fn one_issue() -> types::Issues {
    types::Issues {
        rows: vec![11],
        columns: vec![2],
        rejects: vec![1],
        codes: text(&["bad-date"]),
        messages: text(&["`x` is no date"]),
    }
}

#[test]
fn text_must_be_whole() {
    let check = |raw: TextResult, rows, expected: Option<&str>| {
        let found = strings(raw, rows, None).err().map(|Bad(what)| what);
        assert_eq!(found.as_deref(), expected);
    };
    check(text(&["a", "", "ü"]), 3, None);
    check(text(&[]), 0, None);
    check(raw_text(&[], b""), 0, None);
    check(raw_text(&[], b""), 1, Some("0 offsets for 1 rows"));
    check(raw_text(&[0], b""), usize::MAX, Some("1 offsets for 18446744073709551615 rows"));
    check(raw_text(&[0, 1], b"abc"), 1, None);
    check(raw_text(&[0, 4], b"abc"), 1, Some("offsets that go beyond the 3 there are"));
    check(raw_text(&[1, 2], b"abc"), 1, Some("offsets that do not begin at 0, or that fall"));
    check(raw_text(&[0, 2, 1], b"abc"), 2, Some("offsets that do not begin at 0, or that fall"));
    check(raw_text(&[0, -1], b"abc"), 1, Some("offsets that do not begin at 0, or that fall"));
    check(raw_text(&[i32::MIN, 0], b"abc"), 1, Some("offsets that do not begin at 0, or that fall"));
    assert!(strings(raw_text(&[0, 1], &[0xff]), 1, None).is_err());
    // Whole together is not enough: each row is UTF-8 by itself.
    assert!(strings(raw_text(&[0, 1, 2], "ü".as_bytes()), 2, None).is_err());
}

#[test]
fn values_must_be_of_the_announced_type_and_length() {
    let check = |raw: Column, value_type, expected: Option<&str>| {
        let found = values(raw, value_type, 2);
        assert_eq!(found.as_ref().err().map(|Bad(what)| what.as_str()), expected);
        if let Ok(array) = found {
            assert_eq!((array.len(), array.data_type()), (2, &value_type.arrow()));
        }
    };
    let list =
        |offsets: &[i32]| Values::TextList(TextList { offsets: offsets.to_vec(), items: text(&["a", "b", "c"]) });
    check(column(Values::Text(text(&["a", "b"]))), ValueType::Text, None);
    check(column(Values::Integer(vec![1, 2])), ValueType::Integer, None);
    check(column(Values::Float(vec![1.0, f64::NAN])), ValueType::Float, None);
    check(column(Values::Decimal(vec![1, i64::MIN])), ValueType::Decimal(2), None);
    check(column(Values::Boolean(vec![0b10])), ValueType::Boolean, None);
    check(column(Values::Date(vec![-719_162, 2_932_896])), ValueType::Date, None);
    check(column(Values::Timestamp(vec![0, 253_402_300_799_999_999])), ValueType::Timestamp, None);
    check(column(list(&[0, 1, 3])), ValueType::TextList, None);

    check(column(Values::Integer(vec![1])), ValueType::Integer, Some("1 values for 2 rows"));
    check(column(Values::Integer(vec![1, 2])), ValueType::Date, Some("integer values where Date was announced"));
    check(
        column(Values::Integer(vec![1, 2])),
        ValueType::Decimal(0),
        Some("integer values where Decimal(0) was announced"),
    );
    check(column(Values::Boolean(vec![])), ValueType::Boolean, Some("the bitmap `values` has 0 bytes for 2 rows"));
    check(column(Values::Date(vec![0, 2_932_897])), ValueType::Date, Some("a date outside years 1 to 9999"));
    check(column(Values::Timestamp(vec![0, i64::MAX])), ValueType::Timestamp, Some("a date outside years 1 to 9999"));
    check(column(list(&[0, 1, 4])), ValueType::TextList, Some("offsets that go beyond the 3 there are"));
    check(column(list(&[0, 1])), ValueType::TextList, Some("2 offsets for 2 rows"));
    let validity = |values, bits: &[u8]| Column { values, validity: Some(bits.to_vec()) };
    check(validity(Values::Date(vec![0, i32::MAX]), &[0b01]), ValueType::Date, None);
    check(
        validity(Values::Integer(vec![1, 2]), &[]),
        ValueType::Integer,
        Some("the bitmap `validity` has 0 bytes for 2 rows"),
    );
}

#[test]
fn issues_must_name_rows_columns_and_codes() {
    let check = |change: fn(&mut types::Issues), expected: Option<&str>| {
        let mut raw = one_issue();
        change(&mut raw);
        let found = issues(raw, &scope()).err().map(|Bad(what)| what);
        assert_eq!(found.as_deref(), expected);
    };
    check(|_| (), None);
    check(|raw| raw.columns = vec![-1], None);
    check(|raw| raw.rows = vec![12], Some("issues: row 12 is not one of rows 10 to 12"));
    check(|raw| raw.rows = vec![9], Some("issues: row 9 is not one of rows 10 to 12"));
    check(|raw| raw.rows = vec![10; 129], Some("issues: 129 issues: 64 a row are the most"));
    check(|raw| raw.columns = vec![3], Some("issues: column 3 of a header of 3"));
    check(|raw| raw.columns = vec![-2], Some("issues: column -2 of a header of 3"));
    check(|raw| raw.columns = vec![], Some("issues: 0 columns for 1 rows"));
    check(|raw| raw.rejects = vec![], Some("issues: the bitmap `rejects` has 0 bytes for 1 rows"));
    check(|raw| raw.codes = text(&["a b"]), Some("issues: the code `a b`"));
    check(|raw| raw.codes = text(&[""]), Some("issues: the code ``"));
    check(|raw| raw.codes = text(&[]), Some("issues: codes: 1 offsets for 1 rows"));
    check(
        |raw| raw.messages = raw_text(&[0, 1], &[0x80]),
        Some(
            "issues: messages: Invalid argument error: Encountered non UTF-8 data: invalid utf-8 sequence of 1 bytes from index 0",
        ),
    );
}

#[test]
fn messages_are_capped_and_escaped() {
    let mut raw = one_issue();
    raw.messages = text(&[&format!("\u{1b}[31m{}", "x".repeat(5000))]);
    let issues = issues(raw, &scope()).map_err(|Bad(what)| what).unwrap();
    let message = issues.messages.value(0);
    assert!(message.len() <= MESSAGE && message.starts_with("\\u{1b}[31mx") && message.ends_with('…'));
    assert_eq!(issues.rejected_rows().collect::<Vec<_>>(), [11]);
}

fn raw_field(
    name: &str,
    value_type: columns::ValueType,
    write_mode: accounts_raw::WriteMode,
) -> accounts_raw::OutputField {
    accounts_raw::OutputField {
        name: name.into(),
        value_type,
        semantic: accounts_raw::Semantic::Plain,
        unit: None,
        write_mode,
    }
}

#[test]
fn an_account_layout_must_be_one() {
    let good = || accounts_raw::Layout {
        wanted: vec![0, 2],
        identifiers: vec![vec![types::MatchKey::CrmId]],
        fields: vec![raw_field("arr", columns::ValueType::Decimal(18), accounts_raw::WriteMode::Overwrite)],
    };
    let check = |change: fn(&mut accounts_raw::Layout), expected: Option<&str>| {
        let mut raw = good();
        change(&mut raw);
        let found = accounts::layout(raw, 3).err().map(|Bad(what)| what);
        assert_eq!(found.as_deref(), expected);
    };
    check(|_| (), None);
    check(|raw| raw.wanted = vec![3], Some("layout: column 3 is wanted of a header of 3"));
    check(|raw| raw.wanted = vec![0; 20_000], Some("layout: 20000 wanted columns: 16384 is the most"));
    let identifiers = Some("layout: a layout has 1 to 64 identifiers of 1 to 64 keys");
    check(|raw| raw.identifiers = vec![], identifiers);
    check(|raw| raw.identifiers = vec![vec![]], identifiers);
    check(|raw| raw.identifiers = vec![vec![types::MatchKey::Id; 65]], identifiers);
    check(
        |raw| raw.identifiers = vec![vec![types::MatchKey::Field(String::new())]],
        Some("layout: the match key is empty"),
    );
    check(|raw| raw.fields[0].name.clear(), Some("layout: the field name is empty"));
    check(
        |raw| raw.fields[0].name = "a\nb".into(),
        Some("layout: the field name `a\\nb` is too long or has control characters"),
    );
    check(
        |raw| raw.fields[0].value_type = columns::ValueType::Decimal(19),
        Some("layout: field `arr`: a decimal with scale 19: 18 is the most"),
    );
    check(
        |raw| raw.fields[0].write_mode = accounts_raw::WriteMode::Append,
        Some("layout: field `arr`: only lists can be appended to"),
    );
    check(|raw| raw.fields = vec![raw.fields[0].clone(); 2], Some("layout: field `arr` stands there twice"));
}

fn account_layout() -> AccountLayout {
    let field = |name: &str, value_type| OutputField {
        name: name.into(),
        value_type,
        semantic: Semantic::Plain,
        unit: None,
        write_mode: WriteMode::Overwrite,
    };
    AccountLayout {
        wanted: vec![0],
        identifiers: vec![vec![MatchKey::CrmId], vec![MatchKey::Name]],
        fields: vec![field("n", ValueType::Integer), field("tags", ValueType::TextList)],
    }
}

#[test]
fn an_account_batch_must_fit_its_layout() {
    let identifier = || TextColumn { text: text(&["a", "b"]), validity: None };
    let field = |values| accounts_raw::FieldColumn { column: column(values), clear: None };
    let good = || accounts_raw::AccountBatch {
        rows: vec![11, 10],
        identifiers: vec![identifier(), identifier()],
        fields: vec![
            field(Values::Integer(vec![1, 2])),
            field(Values::TextList(TextList { offsets: vec![0, 0, 0], items: text(&[]) })),
        ],
        issues: no_issues(),
    };
    let check = |change: fn(&mut accounts_raw::AccountBatch), expected: Option<&str>| {
        let mut raw = good();
        change(&mut raw);
        let found = accounts::batch(raw, &account_layout(), &scope()).err().map(|Bad(what)| what);
        assert_eq!(found.as_deref(), expected);
    };
    check(|_| (), None);
    check(|raw| raw.rows[0] = 12, Some("row 12 is not one of rows 10 to 12"));
    check(|raw| raw.rows = vec![10], Some("identifier column 0: 3 offsets for 1 rows"));
    check(|raw| drop(raw.identifiers.pop()), Some("1 identifier columns where the layout has 2 keys"));
    check(|raw| drop(raw.fields.pop()), Some("1 field columns where the layout has 2 fields"));
    check(|raw| raw.fields.swap(0, 1), Some("field `n`: text-list values where Integer was announced"));
    check(|raw| raw.fields[0].clear = Some(vec![]), Some("field `n`: the bitmap `clear` has 0 bytes for 2 rows"));
}

fn raw_series(value_type: columns::ValueType) -> usage_raw::Series {
    usage_raw::Series {
        product: "Core".into(),
        metric: "mau".into(),
        unit: None,
        value_type,
        aggregate: usage_raw::Aggregate::Sum,
        period: usage_raw::Period::Monthly,
        repeat: usage_raw::Repeat::Replace,
    }
}

fn usage_layout() -> UsageLayout {
    UsageLayout { wanted: vec![0], identifiers: vec![vec![MatchKey::CrmId]], user: Some(UserKey::Email) }
}

fn usage_batch() -> usage_raw::UsageBatch {
    let column_of_two = || TextColumn { text: text(&["a", "b"]), validity: None };
    usage_raw::UsageBatch {
        rows: vec![10, 11],
        identifiers: vec![column_of_two()],
        user: Some(column_of_two()),
        dates: vec![20_000, 20_001],
        period_starts: vec![20_000, 20_000],
        announced: vec![raw_series(columns::ValueType::Integer), raw_series(columns::ValueType::Float)],
        blocks: vec![
            usage_raw::ValueBlock {
                entry_of: vec![0, 1, 1],
                series_of: vec![1, 1, 1],
                values: column(Values::Integer(vec![1, 2, 3])),
            },
            usage_raw::ValueBlock { entry_of: vec![], series_of: vec![], values: column(Values::Text(text(&[]))) },
        ],
        issues: no_issues(),
    }
}

#[test]
fn a_usage_batch_must_fit_its_layout_and_its_series() {
    let check = |change: fn(&mut usage_raw::UsageBatch), expected: Option<&str>| {
        let mut raw = usage_batch();
        change(&mut raw);
        // The table has announced one series before.
        let found = usage::batch(raw, &usage_layout(), &mut vec![ValueType::Text], &scope());
        assert_eq!(found.err().map(|Bad(what)| what).as_deref(), expected);
    };
    check(|_| (), None);
    check(|raw| raw.user = None, Some("no user column where the layout has a user key"));
    check(|raw| raw.dates = vec![0], Some("1 dates for 2 rows"));
    check(|raw| raw.dates[0] = i32::MIN, Some("a date outside years 1 to 9999"));
    check(|raw| raw.period_starts.push(0), Some("3 period starts for 2 rows"));
    check(|raw| raw.announced[0].product.clear(), Some("the product is empty"));
    check(|raw| raw.announced = vec![raw.announced[0].clone(); 65_536], Some("more than 65536 series in one table"));
    check(|raw| raw.blocks[0].entry_of[2] = 2, Some("block 0: entry 2 of a batch of 2"));
    check(|raw| raw.blocks[0].series_of[0] = 3, Some("block 0: series 3 of 3 announced"));
    let other = "is not announced, or has another type than the block's first";
    check(|raw| raw.blocks[0].series_of[1] = 2, Some(&format!("block 0: series 2 {other}")));
    check(|raw| raw.blocks[0].series_of[1] = u32::MAX, Some(&format!("block 0: series 4294967295 {other}")));
    check(|raw| raw.blocks[0].series_of[0] = 0, Some(&format!("block 0: series 1 {other}")));
    check(|raw| raw.blocks[0].series_of = vec![0; 3], Some("block 0: integer values where Text was announced"));
    check(|raw| raw.blocks[0].series_of.truncate(2), Some("block 0: 2 series for 3 rows"));
    check(|raw| raw.blocks[0].values = column(Values::Integer(vec![1])), Some("block 0: 1 values for 3 rows"));
}

#[test]
fn a_block_without_values_is_left_out() {
    let batch = usage::batch(usage_batch(), &usage_layout(), &mut vec![ValueType::Text], &scope());
    let batch = batch.map_err(|Bad(what)| what).unwrap();
    assert_eq!((batch.blocks.len(), batch.values()), (1, 3));
    assert_eq!(batch.blocks[0].values.as_primitive::<arrow_array::types::Int64Type>().values(), &[1, 2, 3]);
}

/// A stream of outputs that are right in most places (SplitMix64).
struct Chance {
    state: u64,
    /// How many records the output is meant to have.
    records: u64,
}

impl Chance {
    fn new(state: u64) -> Self {
        Self { state, records: 0 }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Once in a while.
    fn errs(&mut self) -> bool {
        self.below(40) == 0
    }

    /// Begins an output.
    fn begin(&mut self) {
        self.records = self.below(4);
    }

    fn number(&mut self) -> i64 {
        match self.below(100) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => -1,
            3 => i64::from(i32::MAX),
            _ => self.below(2) as i64,
        }
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let length = if self.errs() { self.below(5) } else { self.records };
        (0..length).map(|_| item(self)).collect()
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| if self.errs() { 0xc3 } else { b'a' }).collect()
    }

    fn offsets(&mut self, end: i32) -> Vec<i32> {
        let mut offsets = vec![0];
        offsets.extend(self.list(|chance| chance.below(end as u64 + 1) as i32));
        offsets.sort_unstable();
        if self.errs() {
            let at = self.below(offsets.len() as u64) as usize;
            offsets[at] = self.next() as i32;
        }
        offsets
    }

    fn text(&mut self) -> TextResult {
        TextResult { offsets: self.offsets(3), bytes: self.bytes(3) }
    }

    fn bits(&mut self) -> Option<Vec<u8>> {
        let length = u64::from(!self.errs());
        (self.below(3) == 0).then(|| (0..length).map(|_| self.next() as u8).collect())
    }

    fn values(&mut self, case: u64) -> Values {
        match if self.errs() { self.below(8) } else { case } {
            0 => Values::Text(self.text()),
            1 => Values::Integer(self.list(Self::number)),
            2 => Values::Float(self.list(|chance| f64::from_bits(chance.next()))),
            3 => Values::Decimal(self.list(Self::number)),
            4 => Values::Boolean(self.list(|chance| chance.next() as u8)),
            5 => Values::Date(self.list(|chance| chance.number() as i32)),
            6 => Values::Timestamp(self.list(Self::number)),
            _ => Values::TextList(TextList { offsets: self.offsets(self.records as i32), items: self.text() }),
        }
    }

    fn column(&mut self, case: u64) -> Column {
        Column { values: self.values(case), validity: self.bits() }
    }

    fn text_column(&mut self) -> TextColumn {
        TextColumn { text: self.text(), validity: self.bits() }
    }

    fn rows(&mut self) -> Vec<u32> {
        self.list(|chance| if chance.errs() { chance.next() as u32 } else { 10 + chance.below(2) as u32 })
    }

    fn issues(&mut self) -> types::Issues {
        types::Issues {
            rows: self.rows(),
            columns: self.list(|chance| chance.number() as i32),
            rejects: self.list(|chance| chance.next() as u8),
            codes: TextResult { offsets: (0..=self.records as i32).collect(), bytes: self.bytes(4) },
            messages: self.text(),
        }
    }
}

/// Reads everything that other modules read of a batch.
fn read(array: &dyn Array) -> usize {
    let mut seen = 0;
    if let Some(strings) = array.as_string_opt::<i32>() {
        seen += strings.iter().flatten().map(|text| text.chars().count()).sum::<usize>();
    }
    if let Some(lists) = array.as_list_opt::<i32>() {
        seen += lists.iter().flatten().map(|list| read(&list)).sum::<usize>();
    }
    seen + (0..array.len()).filter(|row| array.is_valid(*row)).count()
}

#[test]
fn no_output_panics_and_what_passes_is_consistent() {
    let mut chance = Chance::new(1);
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..100_000 {
        chance.begin();
        let raw = accounts_raw::AccountBatch {
            rows: chance.rows(),
            identifiers: vec![chance.text_column(), chance.text_column()],
            fields: vec![
                accounts_raw::FieldColumn { column: chance.column(1), clear: chance.bits() },
                accounts_raw::FieldColumn { column: chance.column(7), clear: chance.bits() },
            ],
            issues: chance.issues(),
        };
        match accounts::batch(raw, &account_layout(), &scope()) {
            Err(_) => refused += 1,
            Ok(batch) => {
                passed += 1;
                assert!(batch.identifiers.iter().all(|column| column.len() == batch.len()));
                assert!(batch.fields.iter().all(|field| field.values.len() == batch.len()));
                assert!(batch.identifiers.iter().all(|column| read(column) >= column.len() - column.null_count()));
                assert!(
                    batch
                        .fields
                        .iter()
                        .all(|field| read(&field.values) >= field.values.len() - field.values.null_count())
                );
                assert!(batch.issues.rejected_rows().all(|row| scope().rows.contains(&row)));
            }
        }
    }
    assert!(passed > 1000 && refused > 1000, "{passed} passed, {refused} were refused");
}

#[test]
fn no_usage_panics_and_what_passes_is_consistent() {
    let mut chance = Chance::new(2);
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..100_000 {
        chance.begin();
        let raw = usage_raw::UsageBatch {
            rows: chance.rows(),
            identifiers: vec![chance.text_column()],
            user: Some(chance.text_column()),
            dates: chance.list(|chance| chance.below(3) as i32),
            period_starts: chance.list(|chance| chance.below(2) as i32),
            announced: vec![raw_series(columns::ValueType::Integer)],
            blocks: chance.list(|chance| usage_raw::ValueBlock {
                entry_of: chance.list(|chance| chance.number() as u32),
                series_of: chance.list(|chance| if chance.errs() { chance.below(3) as u32 } else { 1 }),
                values: chance.column(1),
            }),
            issues: chance.issues(),
        };
        match usage::batch(raw, &usage_layout(), &mut vec![ValueType::Text], &scope()) {
            Err(_) => refused += 1,
            Ok(batch) => {
                passed += 1;
                for block in &batch.blocks {
                    assert!(block.entry_of.iter().all(|entry| (*entry as usize) < batch.rows.len()));
                    assert_eq!(
                        (block.series_of.len(), block.values.len()),
                        (block.entry_of.len(), block.entry_of.len())
                    );
                    read(&block.values);
                }
            }
        }
    }
    assert!(passed > 1000 && refused > 1000, "{passed} passed, {refused} were refused");
}

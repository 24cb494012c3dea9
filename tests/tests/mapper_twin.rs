//! The component and its native twin agree: on what is wrong with settings, and on every value, issue and fault that
//! random tables under random settings come to. The seeds are fixed, so that a failure comes again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::BooleanBuffer;
use gristmill::batch::{Batch, Cells, Issues};
use gristmill::mapper::{FileBudget, Mapper, MapperError, MapperHost, Source};
use gristmill::worker::Launcher;
use gristmill_builtin::columns::{self, Column, Text, Values};
use gristmill_builtin::{FieldMapper, FileInfo, UsageMapper};
use gristmill_tests::process;

const HEADER: [&str; 6] = ["id", "a", "b", "c", "Day", "Events: x"];
const KEY: &str = "exports/2024-10.csv";
/// Another day in some of the zones below.
const LAST_MODIFIED: i64 = 1_729_035_000_000_000;
const ROWS: usize = 40;
const ROUNDS: u64 = 250;

/// What cells are made of: things that almost read as something, above all.
const CELLS: [&str; 40] = [
    "",
    " ",
    "1",
    "-1",
    "007",
    "1.5",
    "1,5",
    "1.234,56",
    "1,234.50",
    "(5)",
    "5-",
    "$5",
    "5 €",
    "12%",
    "12 %",
    "1e3",
    "99999999999999999999",
    "x",
    " Acme  Inc. ",
    "ÜMLAUT straße",
    "yes",
    "No",
    "n/a",
    "-",
    "a;b; c",
    "2024-10-15",
    "2024-10-15T12:00:00+02:00",
    "2024-03-31T02:30:00",
    "15.10.2024",
    "10/2024",
    "45580",
    "1728946800",
    "ada@acme.com",
    "https://www.Acme.com/x?y",
    "001A0000006Vm9u",
    "v12",
    "a/b/c",
    "GB",
    "\u{a0}\u{3000}",
    "日本",
];
const TYPES: [&str; 16] = [
    "text",
    "long_text",
    "integer",
    "float",
    "percent",
    "percent_ratio",
    "currency",
    "boolean",
    "date",
    "datetime",
    "picklist",
    "multi_picklist",
    "text_list",
    "url",
    "email",
    "lookup_user",
];
/// Options of a field, of which some fit together and some do not.
const OPTIONS: [&str; 36] = [
    r#""transforms":["trim"]"#,
    r#""transforms":["collapse_whitespace","title"]"#,
    r#""transforms":["upper",{"prefix":"<"},{"suffix":">"}]"#,
    r#""transforms":[{"replace":{"regex":"[0-9]+","with":"[$0]"}}]"#,
    r#""transforms":[{"replace":{"text":"a","with":""}},"lower"]"#,
    r#""transforms":[{"regex_extract":"([0-9]+)"}]"#,
    r#""transforms":[{"split":{"on":"/","take":-1}}]"#,
    r#""transforms":[{"concat":{"columns":["c"],"separator":"+"}}]"#,
    r#""transforms":[{"lookup":{"table":{"x":"1","yes":"true"},"missing":"keep"}}]"#,
    r#""transforms":[{"lookup":{"table":{"x":"1"}}}]"#,
    r#""transforms":[{"scale":"0.01"},{"round":1}]"#,
    r#""null_tokens":["N/A","-"]"#,
    r#""default":"1""#,
    r#""default":"x","on_invalid":"default""#,
    r#""default":"2024-01-01","default_on":"invalid""#,
    r#""on_blank":"clear""#,
    r#""clear_token":"x""#,
    r#""required":true"#,
    r#""on_invalid":"null_field""#,
    r#""on_invalid":"fail_file""#,
    r#""write":"append""#,
    r#""write":"if_empty""#,
    r#""min":"0""#,
    r#""max":"100""#,
    r#""min":"2024-01-01""#,
    r#""min_length":2,"max_length":5"#,
    r#""regex":"[a-z0-9 ]+""#,
    r#""allowed":["a","b","c","x"]"#,
    r#""number":{"decimal":",","group":"."}"#,
    r#""number":{"group":",","symbols":["$","€"],"parentheses":true,"trailing_minus":true}"#,
    r#""number":{"percent":"hundredth"}"#,
    r#""boolean":{"true":["x"],"false":["-"]}"#,
    r#""formats":["%d.%m.%Y","%m/%Y","excel_1900"]"#,
    r#""formats":["epoch_seconds"]"#,
    r#""separator":";""#,
    r#""round":true"#,
];
const SOURCES: [&str; 8] = [
    r#""column":"a""#,
    r#""column":"a""#,
    r#""column":"B","aliases":["b"]"#,
    r#""index":4"#,
    r#""template":"{a}-{b}""#,
    r#""coalesce":["a","b","c"]"#,
    r#""file":{"part":"key","regex":"([0-9]+)-"}"#,
    r#""file":{"part":"row"}"#,
];
const IDENTIFIERS: [&str; 5] = [
    r#"{"column":"id","match":"crm_id"}"#,
    r#"{"column":"id","match":"crm_id","normalize":["trim","sfdc18"]}"#,
    r#"{"column":"id","match":"id"},{"column":"b","match":"domain","normalize":["domain"]}"#,
    r#"{"columns":[{"column":"id","match":"id","normalize":["strip_leading_zeros"]},{"column":"c","match":"name","normalize":["casefold"]}]}"#,
    r#"{"column":"b","match":"domain","normalize":["email_domain"]},{"column":"id","match":"field:x","normalize":[{"regex":"^0+","replace":""}]}"#,
];
const USAGE: [&str; 9] = [
    r#"{"product":"P","period":"monthly","date":{"column":"Day"},"metrics":[{"column":"a","metric":"a"},{"column":"b","metric":"b","type":"text"}]}"#,
    r#"{"product":"P","period":"weekly","metrics":[{"column":"a","metric":"a","type":"integer","number":{"group":",","symbols":["$"]}}]}"#,
    r#"{"product":{"column":"c"},"period":"daily","metrics":[{"column":"a","metric":"a"}]}"#,
    r#"{"product":{"column":"c","allowed":["x","GB"],"on_unknown":"skip"},"period":"daily","metrics":[{"pattern":"^Events: (.+)$"}]}"#,
    r#"{"product":"P","period":"daily","long":{"metric":"c","value":"a","unit":"b","type":"text"}}"#,
    r#"{"product":"P","period":"quarterly","date":{"key":"([0-9]{4}-[0-9]{2})","formats":["%Y-%m"]},"user":{"column":"b","match":"name"},"metrics":[{"column":"a","metric":"a","type":"text"}]}"#,
    r#"{"product":"P","period":"daily","date":{"column":"Day","formats":["%d.%m.%Y"]},"max_days_back":30,"metrics":[{"column":"a","metric":"a","type":"boolean"}]}"#,
    r#"{"product":"P","period":"daily","zone":[[0,-36000],[1729034000,7200]],"metrics":[{"column":"a","metric":"a"}]}"#,
    r#"{"product":"P","period":"daily","zone":[],"date":{"column":"Day","formats":["epoch_seconds","%d.%m.%Y"]},"max_days_back":30,"metrics":[{"column":"a","metric":"a","type":"text"}]}"#,
];
const ZONE: &str = r#""zone":[[0,3600],[1711846800,7200],[1729990800,3600]]"#;

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn one_of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

fn settings(random: &mut Random) -> String {
    let field = |random: &mut Random, name: usize| {
        let mut parts = vec![format!(r#""field":"f{name}""#), random.one_of(&SOURCES).to_owned()];
        parts.push(format!(r#""type":"{}""#, random.one_of(&TYPES)));
        for _ in 0..random.below(4) {
            let option = random.one_of(&OPTIONS);
            let key = option.split(':').next().unwrap_or_default();
            // A key stands once; what does not fit the type is found out by both.
            if !parts.iter().any(|part| part.contains(key)) {
                parts.push(option.to_owned());
            }
        }
        format!("{{{}}}", parts.join(","))
    };
    // Of several candidates the first that is sound, so that most rounds map something.
    let fields = (0..4).map(|name| {
        let candidates: Vec<String> = (0..20).map(|_| field(random, name)).collect();
        let is_sound = |field: &&String| gristmill_builtin::check(&whole(IDENTIFIERS[0], field, "")).is_empty();
        let found = candidates.iter().find(is_sound).or(candidates.first()).cloned();
        found.unwrap_or_default()
    });
    let fields = fields.collect::<Vec<_>>().join(",");
    whole(random.one_of(&IDENTIFIERS), &fields, random.one_of(&USAGE))
}

fn whole(identifiers: &str, fields: &str, usage: &str) -> String {
    format!(r#"{{"identifiers":[{identifiers}],"fields":[{fields}],"usage":[{usage}],{ZONE}}}"#)
}

fn batch(random: &mut Random) -> Batch {
    let column = |place: usize, random: &mut Random| {
        let cells = (0..ROWS).map(|_| match (place, random.below(3)) {
            // Most rows belong to somebody.
            (0, 1..) => "0042",
            _ => random.one_of(&CELLS),
        });
        let text: StringArray = cells.collect::<Vec<_>>().into_iter().map(Some).collect();
        let typed: BooleanBuffer = (0..ROWS).map(|_| random.below(4) == 0).collect();
        Some(Cells { text, typed: (random.below(2) == 0).then_some(typed) })
    };
    Batch {
        first_row: random.below(1000) as u32,
        lines: (0..ROWS as u64).collect(),
        columns: (0..HEADER.len()).map(|place| column(place, random)).collect(),
        issues: Issues::none(),
    }
}

fn source() -> Source {
    Source {
        integration: "i".into(),
        connection: "c".into(),
        bucket: "b".into(),
        key: KEY.into(),
        etag: "e".into(),
        size: 1 << 20,
        last_modified: LAST_MODIFIED,
        sheet: None,
        timezone: "Europe/Berlin".into(),
        today: 20_011,
    }
}

const FILE: FileInfo<'static> = FileInfo { key: KEY, sheet: None, last_modified: LAST_MODIFIED, today: 20_011 };

/// What a side says, line by line; the first fault ends it.
type Said = Result<Vec<String>, String>;

fn failed(error: MapperError) -> String {
    match error {
        MapperError::Fault(fault) => format!("{} {}", fault.code, fault.message),
        other => panic!("{other}"),
    }
}

fn component_accounts(mapper: &Mapper, settings: &str, header: &[String], batch: &Batch) -> Said {
    let mut instance = mapper.fields(FileBudget { bytes: 1 << 30 }, Arc::new(|_| ())).unwrap();
    let layout = instance.open(&source(), header, settings).map_err(failed)?;
    let mapped = instance.map_batch(batch).map_err(failed)?;
    let mut said = vec![format!("{:?} {:?}", layout.wanted, mapped.rows)];
    said.extend(mapped.identifiers.iter().map(|column| format!("{:?}", texts(column))));
    for (field, column) in layout.fields.iter().zip(&mapped.fields) {
        let clear: Vec<bool> = column.clear.iter().flat_map(|bits| bits.iter()).collect();
        said.push(format!("{} {:?} {:?}", field.name, array(&column.values), clear));
    }
    said.push(issues(&mapped.issues));
    Ok(said)
}

fn native_accounts(settings: &str, header: &[String], batch: &Batch) -> Said {
    let mut mapper = FieldMapper::open(FILE, header, settings).map_err(|fault| format!("{} {fault}", fault.code))?;
    let layout = mapper.layout().clone();
    let cells = native_batch(batch, &layout.wanted);
    let mapped = mapper.map_batch(&cells).map_err(|fault| format!("{} {fault}", fault.code))?;
    let mut said = vec![format!("{:?} {:?}", layout.wanted, mapped.rows)];
    said.extend(mapped.identifiers.iter().map(|column| format!("{:?}", native_texts(column))));
    let rows = mapped.rows.len();
    for (field, column) in layout.fields.iter().zip(&mapped.fields) {
        let clear: Vec<bool> = column.clear.iter().flat_map(|bits| (0..rows).map(|row| bit(bits, row))).collect();
        said.push(format!("{} {:?} {:?}", field.name, native_column(&column.column, rows), clear));
    }
    said.push(native_issues(&mapped.issues));
    Ok(said)
}

fn component_usage(mapper: &Mapper, settings: &str, header: &[String], batch: &Batch) -> Said {
    let mut instance = mapper.usage(FileBudget { bytes: 1 << 30 }, Arc::new(|_| ())).unwrap();
    let layout = instance.open(&source(), header, settings).map_err(failed)?;
    let mapped = instance.map_batch(batch).map_err(failed)?;
    let mut said = vec![format!("{:?} {:?}", layout.wanted, mapped.rows)];
    said.extend(mapped.identifiers.iter().map(|column| format!("{:?}", texts(column))));
    said.push(format!("{:?}", mapped.user.as_ref().map(texts)));
    said.push(format!("{:?} {:?}", mapped.dates.values().to_vec(), mapped.period_starts.values().to_vec()));
    said.extend(
        mapped.announced.iter().map(|series| format!("{} {} {:?}", series.product, series.metric, series.unit)),
    );
    for block in &mapped.blocks {
        said.push(format!("{:?} {:?} {:?}", block.entry_of, block.series_of, array(&block.values)));
    }
    said.push(issues(&mapped.issues));
    Ok(said)
}

fn native_usage(settings: &str, header: &[String], batch: &Batch) -> Said {
    let mut mapper = UsageMapper::open(FILE, header, settings).map_err(|fault| format!("{} {fault}", fault.code))?;
    let wanted = mapper.layout().wanted.clone();
    let cells = native_batch(batch, &wanted);
    let mapped = mapper.map_batch(&cells).map_err(|fault| format!("{} {fault}", fault.code))?;
    let mut said = vec![format!("{wanted:?} {:?}", mapped.rows)];
    said.extend(mapped.identifiers.iter().map(|column| format!("{:?}", native_texts(column))));
    said.push(format!("{:?}", mapped.user.as_ref().map(native_texts)));
    said.push(format!("{:?} {:?}", mapped.dates, mapped.period_starts));
    said.extend(
        mapped.announced.iter().map(|series| format!("{} {} {:?}", series.product, series.metric, series.unit)),
    );
    for block in &mapped.blocks {
        let values = native_column(&block.values, block.entry_of.len());
        said.push(format!("{:?} {:?} {values:?}", block.entry_of, block.series_of));
    }
    said.push(native_issues(&mapped.issues));
    Ok(said)
}

fn native_batch<'a>(batch: &'a Batch, wanted: &[u32]) -> columns::Batch<'a> {
    let cells = |header: &u32| {
        let cells = batch.columns[*header as usize].as_ref().unwrap();
        let typed = cells.typed.as_ref().map(|bits| bits.values());
        columns::Cells::new(cells.text.value_offsets(), cells.text.value_data(), typed).unwrap()
    };
    columns::Batch::new(batch.first_row, ROWS as u32, wanted.iter().map(cells).collect()).unwrap()
}

fn bit(bits: &[u8], row: usize) -> bool {
    bits[row / 8] >> (row % 8) & 1 == 1
}

fn native_text(text: &Text, row: usize) -> String {
    let bytes = &text.bytes[text.offsets[row] as usize..text.offsets[row + 1] as usize];
    std::str::from_utf8(bytes).unwrap().to_owned()
}

fn native_texts(column: &columns::TextColumn) -> Vec<Option<String>> {
    let value =
        |row| column.validity.as_ref().is_none_or(|bits| bit(bits, row)).then(|| native_text(&column.text, row));
    (0..column.text.len()).map(value).collect()
}

fn native_column(column: &Column, rows: usize) -> Vec<Option<String>> {
    let value = |row: usize| match &column.values {
        Values::Text(text) => native_text(text, row),
        Values::Integer(values) | Values::Decimal(values) | Values::Timestamp(values) => values[row].to_string(),
        Values::Float(values) => format!("{:x}", values[row].to_bits()),
        Values::Boolean(bits) => bit(bits, row).to_string(),
        Values::Date(days) => days[row].to_string(),
        Values::TextList(lists) => {
            let items = lists.offsets[row]..lists.offsets[row + 1];
            format!("{:?}", items.map(|item| native_text(&lists.items, item as usize)).collect::<Vec<_>>())
        }
    };
    (0..rows).map(|row| column.validity.as_ref().is_none_or(|bits| bit(bits, row)).then(|| value(row))).collect()
}

fn texts(column: &StringArray) -> Vec<Option<String>> {
    column.iter().map(|value| value.map(str::to_owned)).collect()
}

fn array(values: &ArrayRef) -> Vec<Option<String>> {
    let value = |row: usize| {
        if let Some(values) = values.as_string_opt::<i32>() {
            values.value(row).to_owned()
        } else if let Some(values) = values.as_primitive_opt::<Int64Type>() {
            values.value(row).to_string()
        } else if let Some(values) = values.as_primitive_opt::<TimestampMicrosecondType>() {
            values.value(row).to_string()
        } else if let Some(values) = values.as_primitive_opt::<Float64Type>() {
            format!("{:x}", values.value(row).to_bits())
        } else if let Some(values) = values.as_primitive_opt::<Date32Type>() {
            values.value(row).to_string()
        } else if let Some(values) = values.as_boolean_opt() {
            values.value(row).to_string()
        } else {
            let items = values.as_list::<i32>().value(row);
            format!("{:?}", items.as_string::<i32>().iter().flatten().collect::<Vec<_>>())
        }
    };
    (0..values.len()).map(|row| values.is_valid(row).then(|| value(row))).collect()
}

fn issues(issues: &Issues) -> String {
    let rejects: Vec<bool> = issues.rejects.iter().collect();
    format!(
        "{:?} {:?} {rejects:?} {:?} {:?}",
        issues.rows,
        issues.columns,
        texts(&issues.codes),
        texts(&issues.messages)
    )
}

fn native_issues(issues: &columns::Issues) -> String {
    let rejects: Vec<bool> = (0..issues.len()).map(|place| bit(&issues.rejects, place)).collect();
    let texts = |text: &Text| (0..text.len()).map(|row| Some(native_text(text, row))).collect::<Vec<_>>();
    format!(
        "{:?} {:?} {rejects:?} {:?} {:?}",
        issues.rows,
        issues.columns,
        texts(&issues.codes),
        texts(&issues.messages)
    )
}

#[test]
fn the_component_and_its_native_twin_agree_on_random_tables_and_settings() {
    let cache = tempfile::tempdir().unwrap();
    let host = MapperHost::start(cache.path().join("mappers"), Launcher::at(process::binary())).unwrap();
    let mapper = host.built_in().unwrap();
    let header: Vec<String> = HEADER.map(str::to_owned).to_vec();
    let (mut records, mut refused) = (0, 0);
    for seed in 1..=ROUNDS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let settings = settings(&mut random);
        let found: Vec<String> =
            mapper.check_fields(&settings).unwrap().into_iter().map(|fault| fault.message).collect();
        let expected: Vec<String> =
            gristmill_builtin::check(&settings).into_iter().map(|fault| fault.message).collect();
        assert_eq!(found, expected, "seed {seed}: {settings}");
        let batch = batch(&mut random);
        let accounts = native_accounts(&settings, &header, &batch);
        assert_eq!(component_accounts(&mapper, &settings, &header, &batch), accounts, "seed {seed}: {settings}");
        let usage = native_usage(&settings, &header, &batch);
        assert_eq!(component_usage(&mapper, &settings, &header, &batch), usage, "seed {seed}: {settings}");
        match accounts {
            Ok(_) => records += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(records > ROUNDS / 2 && refused > 0, "{records} rounds mapped something, {refused} were refused");
}

//! A small mapper on the bare contract, column by column: an identifier, a text and a whole number, read as the SDK reads
//! them. `rows` is the same with the SDK. Columns that stay as they are go back as they came.

wit_bindgen::generate!({ path: "wit", world: "field-mapper" });

use exports::gristmill::mapper::field_mapping::*;
use gristmill::mapper::columns::{Text, Values};
use gristmill::mapper::types::MatchKey;

struct Columns;
export!(Columns);

impl Guest for Columns {
    fn check(_: String) -> Vec<Fault> {
        Vec::new()
    }

    fn open(_: Source, header: Vec<String>, _: String) -> Result<Layout, Fault> {
        let place = |name: &str| {
            let missing = || fault("missing_column", format!("the table has no column `{name}`"));
            header.iter().position(|column| column == name).map(|place| place as u32).ok_or_else(missing)
        };
        let field = |name: &str, value_type| OutputField {
            name: name.to_owned(),
            value_type,
            semantic: Semantic::Plain,
            unit: None,
            write_mode: WriteMode::Overwrite,
        };
        Ok(Layout {
            wanted: vec![place("Account ID")?, place("Plan")?, place("Users")?],
            identifiers: vec![vec![MatchKey::CrmId]],
            fields: vec![field("plan", ValueType::Text), field("users", ValueType::Integer)],
        })
    }

    fn map_batch(mut batch: Batch) -> Result<AccountBatch, Fault> {
        let users = batch.columns.remove(2).text;
        let plan = batch.columns.remove(1).text;
        let account = batch.columns.remove(0).text;
        let rows = batch.rows as usize;
        let mut numbers = Vec::with_capacity(rows);
        let mut validity = vec![0xff; rows.div_ceil(8)];
        for row in 0..rows {
            let cell = &users.bytes[users.offsets[row] as usize..users.offsets[row + 1] as usize];
            let cell = cell.trim_ascii();
            match integer(cell) {
                Some(number) => numbers.push(number),
                None if cell.is_empty() => {
                    numbers.push(0);
                    validity[row / 8] &= !(1 << (row % 8));
                }
                None => return Err(fault("not_an_integer", "a cell is not a whole number".to_owned())),
            }
        }
        let column = |values, validity| FieldColumn { column: Column { values, validity }, clear: None };
        Ok(AccountBatch {
            rows: (batch.first_row..batch.first_row + batch.rows).collect(),
            identifiers: vec![keys(account)],
            fields: vec![column(Values::Text(plan), None), column(Values::Integer(numbers), Some(validity))],
            issues: no_issues(),
        })
    }

    fn finish() -> Result<AccountBatch, Fault> {
        let column = |values| FieldColumn { column: Column { values, validity: None }, clear: None };
        Ok(AccountBatch {
            rows: Vec::new(),
            identifiers: vec![TextColumn { text: no_text(), validity: None }],
            fields: vec![column(Values::Text(no_text())), column(Values::Integer(Vec::new()))],
            issues: no_issues(),
        })
    }
}

/// A whole number with or without a sign.
fn integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let mut number = if digits.is_empty() { None } else { Some(0_i64) };
    for byte in digits {
        let digit = if byte.is_ascii_digit() { i64::from(byte - b'0') } else { return None };
        number = number?.checked_mul(10)?.checked_add(digit);
    }
    if is_negative { number?.checked_neg() } else { number }
}

/// The texts as keys: blanks around them go, and a blank one is none. Most columns have neither and stay as they are.
fn keys(text: Text) -> TextColumn {
    let cells = || text.offsets.windows(2).map(|ends| &text.bytes[ends[0] as usize..ends[1] as usize]);
    let is_key = |cell: &[u8]| matches!((cell.first(), cell.last()), (Some(b'!'..=b'~'), Some(b'!'..=b'~')));
    if cells().all(is_key) {
        return TextColumn { text, validity: None };
    }
    let mut keys = Text { offsets: vec![0], bytes: Vec::with_capacity(text.bytes.len()) };
    let mut validity = vec![0_u8; (text.offsets.len() - 1).div_ceil(8)];
    for (row, cell) in cells().enumerate() {
        let key = std::str::from_utf8(cell).unwrap_or_default().trim();
        keys.bytes.extend_from_slice(key.as_bytes());
        keys.offsets.push(keys.bytes.len() as i32);
        validity[row / 8] |= u8::from(!key.is_empty()) << (row % 8);
    }
    TextColumn { text: keys, validity: Some(validity) }
}

fn fault(code: &str, message: String) -> Fault {
    Fault { code: code.to_owned(), message, row: None, column: None }
}

fn no_text() -> Text {
    Text { offsets: vec![0], bytes: Vec::new() }
}

fn no_issues() -> Issues {
    Issues { rows: Vec::new(), columns: Vec::new(), rejects: Vec::new(), codes: no_text(), messages: no_text() }
}

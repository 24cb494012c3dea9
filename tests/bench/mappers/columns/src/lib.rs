//! A small mapper on the bare contract, column by column: an identifier, a text and a whole number. `rows` is the same with
//! the SDK. Columns that stay as they are go back as they came.

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
            let mut number = 0_i64;
            for byte in cell {
                match byte {
                    b'0'..=b'9' => number = number * 10 + i64::from(byte - b'0'),
                    _ => return Err(fault("not_an_integer", "a cell is not a whole number".to_owned())),
                }
            }
            if cell.is_empty() {
                validity[row / 8] &= !(1 << (row % 8));
            }
            numbers.push(number);
        }
        let column = |values, validity| FieldColumn { column: Column { values, validity }, clear: None };
        Ok(AccountBatch {
            rows: (batch.first_row..batch.first_row + batch.rows).collect(),
            identifiers: vec![TextColumn { text: account, validity: None }],
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

fn fault(code: &str, message: String) -> Fault {
    Fault { code: code.to_owned(), message, row: None, column: None }
}

fn no_text() -> Text {
    Text { offsets: vec![0], bytes: Vec::new() }
}

fn no_issues() -> Issues {
    Issues { rows: Vec::new(), columns: Vec::new(), rejects: Vec::new(), codes: no_text(), messages: no_text() }
}

//! A new integration's tables, as they are written.

use std::fmt::Write;

use toml_edit::{Array, InlineTable, Value};

use crate::decode::Encoding;
use crate::object::{BucketName, ConnectionKey, IntegrationName, TenantName};
use crate::proposal::{IdentifierProposal, NumberForm, Reading};

/// What is to be written.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub name: IntegrationName,
    pub connection: ConnectionKey,
    pub bucket: BucketName,
    pub prefix: String,
    pub tenant: Option<TenantName>,
    pub destinations: Vec<String>,
    pub delimiter: Option<char>,
    pub encoding: Option<Encoding>,
    pub on_no_match: Option<String>,
    pub identifiers: Vec<IdentifierProposal>,
    pub fields: Vec<Field>,
    pub usage: Option<Usage>,
}

/// A column and the account field that it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub column: String,
    pub field: String,
    pub reading: Reading,
}

/// A block of usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Usage {
    pub product: String,
    pub period: String,
    /// The column with the date, and how dates are written where it is not as ISO 8601 has it.
    pub date: Option<(String, Option<String>)>,
    pub metrics: Vec<Metric>,
}

/// A column and the metric that it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metric {
    pub column: String,
    pub metric: String,
    pub aggregate: Option<String>,
    pub number: Option<NumberForm>,
}

impl Draft {
    /// The tables.
    pub(super) fn text(&self) -> String {
        let table = format!("integrations.{}", self.name);
        let mut text = format!("[{table}]\n");
        let mut key = |key: &str, value: Value| line(&mut text, key, value);
        key("connection", self.connection.as_str().into());
        key("bucket", self.bucket.as_str().into());
        if !self.prefix.is_empty() {
            key("prefix", self.prefix.as_str().into());
        }
        if let Some(tenant) = &self.tenant {
            key("tenant", tenant.as_str().into());
        }
        match self.destinations.as_slice() {
            [] => {}
            [one] => key("destination", one.as_str().into()),
            several => key("destination", several.iter().map(String::as_str).collect::<Array>().into()),
        }
        if let Some(on_no_match) = &self.on_no_match {
            key("matching", [("on_no_match", on_no_match.as_str())].into_iter().collect::<InlineTable>().into());
        }
        if self.delimiter.is_some() || self.encoding.is_some() {
            let mut csv = InlineTable::new();
            csv.extend(self.delimiter.map(|delimiter| ("delimiter", Value::from(delimiter.to_string()))));
            csv.extend(self.encoding.map(|encoding| ("encoding", Value::from(String::from(encoding)))));
            key("csv", csv.into());
        }
        for identifier in &self.identifiers {
            let _ = write!(text, "\n[[{table}.identifiers]]\n");
            line(&mut text, "column", identifier.column.as_str().into());
            line(&mut text, "match", identifier.matches.as_str().into());
            if !identifier.normalize.is_empty() {
                line(&mut text, "normalize", identifier.normalize.iter().copied().collect::<Array>().into());
            }
        }
        for field in &self.fields {
            let _ = write!(text, "\n[[{table}.fields]]\n");
            line(&mut text, "column", field.column.as_str().into());
            line(&mut text, "field", field.field.as_str().into());
            line(&mut text, "type", field.reading.field_type.as_str().into());
            for (key, value) in written(&field.reading) {
                line(&mut text, key, value);
            }
            if let Some(unit) = field.reading.unit {
                line(&mut text, "unit", unit.into());
            }
        }
        if let Some(usage) = &self.usage {
            let _ = write!(text, "\n[[{table}.usage]]\n{}", usage.text());
        }
        text
    }
}

impl Usage {
    fn text(&self) -> String {
        let mut text = String::new();
        line(&mut text, "product", self.product.as_str().into());
        line(&mut text, "period", self.period.as_str().into());
        if let Some((column, format)) = &self.date {
            let mut date = InlineTable::new();
            date.insert("column", column.as_str().into());
            if let Some(format) = format {
                date.insert("formats", [format.as_str()].into_iter().collect::<Array>().into());
            }
            line(&mut text, "date", date.into());
        }
        text.push_str("metrics = [\n");
        for metric in &self.metrics {
            let mut one = InlineTable::new();
            one.insert("column", metric.column.as_str().into());
            one.insert("metric", metric.metric.as_str().into());
            one.extend(metric.aggregate.as_ref().map(|aggregate| ("aggregate", Value::from(aggregate.as_str()))));
            one.extend(metric.number.iter().map(|form| ("number", Value::from(number(form)))));
            let _ = writeln!(text, "  {},", one.to_string().trim());
        }
        text.push_str("]\n");
        text
    }
}

/// The keys that say how cells are written.
fn written(reading: &Reading) -> Vec<(&'static str, Value)> {
    let mut keys = Vec::new();
    keys.extend(reading.number.iter().map(|form| ("number", Value::from(number(form)))));
    if !reading.null_tokens.is_empty() {
        let tokens = reading.null_tokens.iter().map(String::as_str);
        keys.push(("null_tokens", tokens.collect::<Array>().into()));
    }
    if let Some(format) = &reading.format {
        keys.push(("formats", [format.as_str()].into_iter().collect::<Array>().into()));
    }
    keys
}

fn number(form: &NumberForm) -> InlineTable {
    let mut number = InlineTable::new();
    number.extend(form.decimal.map(|decimal| ("decimal", Value::from(decimal.to_string()))));
    number.extend(form.group.map(|group| ("group", Value::from(group.to_string()))));
    if !form.symbols.is_empty() {
        number.insert("symbols", form.symbols.iter().copied().collect::<Array>().into());
    }
    if form.parentheses {
        number.insert("parentheses", true.into());
    }
    number
}

fn line(text: &mut String, key: &str, value: Value) {
    let _ = writeln!(text, "{key} = {}", value.decorated("", ""));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proposal::Sample;

    #[test]
    fn what_is_written_reads_as_what_was_meant() {
        let rows = vec![["A \"1\"", "1.234,5 €", "31.12.2024", "7"].map(str::to_owned).to_vec()];
        let header = ["Id", "ARR", "Since", "Calls"].map(str::to_owned).to_vec();
        let sample = Sample { header, rows };
        let field = |column: usize, field: &str| Field {
            column: sample.header[column].clone(),
            field: field.to_owned(),
            reading: sample.reading(column).unwrap(),
        };
        let calls = Metric {
            column: "Calls".to_owned(),
            metric: "calls".to_owned(),
            aggregate: Some("sum".to_owned()),
            number: None,
        };
        let draft = Draft {
            name: "acme".parse().unwrap(),
            connection: "main".parse().unwrap(),
            bucket: "exports".parse().unwrap(),
            prefix: "a\"b/".to_owned(),
            tenant: None,
            destinations: vec!["one".to_owned(), "two".to_owned()],
            delimiter: Some(';'),
            encoding: "windows-1252".parse().ok(),
            on_no_match: Some("create".to_owned()),
            identifiers: sample.identifiers(),
            fields: vec![field(1, "arr"), field(2, "since")],
            usage: Some(Usage {
                product: "Core".to_owned(),
                period: "monthly".to_owned(),
                date: Some(("Since".to_owned(), Some("%d.%m.%Y".to_owned()))),
                metrics: vec![calls],
            }),
        };
        let expected = r#"[integrations.acme]
connection = "main"
bucket = "exports"
prefix = 'a"b/'
destination = ["one", "two"]
matching = { on_no_match = "create" }
csv = { delimiter = ";", encoding = "windows-1252" }

[[integrations.acme.identifiers]]
column = "Id"
match = "crm_id"
normalize = ["trim"]

[[integrations.acme.fields]]
column = "ARR"
field = "arr"
type = "currency"
number = { decimal = ",", group = ".", symbols = ["€"] }
unit = "EUR"

[[integrations.acme.fields]]
column = "Since"
field = "since"
type = "date"
formats = ["%d.%m.%Y"]

[[integrations.acme.usage]]
product = "Core"
period = "monthly"
date = { column = "Since", formats = ["%d.%m.%Y"] }
metrics = [
  { column = "Calls", metric = "calls", aggregate = "sum" },
]
"#;
        assert_eq!(draft.text(), expected);
    }
}

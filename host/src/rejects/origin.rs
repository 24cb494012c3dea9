//! Where a refused row came from, as one text that comes back with the row when it is mended.
//!
//! `{integration}:{dedup key}#line={line}`, and `#sheet={sheet}` before the line for a workbook. It names a row of an
//! object, whatever a person does to the other columns; it names no generation, because a replay of the object numbers
//! its lines alike.

use std::fmt;

use crate::object::{DedupKey, Identity, IntegrationName};

const ETAG: &str = "#etag=";
const SHEET: &str = "#sheet=";
const LINE: &str = "#line=";

/// A table of an object of an integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whose object.
    pub integration: IntegrationName,
    /// The object.
    pub dedup_key: DedupKey,
    /// The sheet, in a workbook.
    pub sheet: Option<String>,
}

impl Origin {
    /// A table of the object of an identity.
    pub fn of(identity: &Identity, sheet: Option<&str>) -> Self {
        Self {
            integration: identity.integration.clone(),
            dedup_key: identity.dedup_key.clone(),
            sheet: sheet.map(str::to_owned),
        }
    }

    /// The text of one of its rows.
    pub fn row(&self, line: u64) -> String {
        format!("{self}{LINE}{line}")
    }

    /// Takes the text of a row apart; none for anything else.
    pub fn parse_row(text: &str) -> Option<(Self, u64)> {
        let (table, line) = text.rsplit_once(LINE)?;
        let (integration, object) = table.split_once(':')?;
        let etag = object.find(ETAG)?;
        let (dedup_key, sheet) = match object.get(etag..)?.find(SHEET) {
            Some(sheet) => {
                let (dedup_key, sheet) = object.split_at_checked(etag + sheet)?;
                (dedup_key, Some(sheet.get(SHEET.len()..)?.to_owned()))
            }
            None => (object, None),
        };
        let origin = Self { integration: integration.parse().ok()?, dedup_key: dedup_key.parse().ok()?, sheet };
        Some((origin, parse_line(line)?))
    }

    /// The line, of the text of one of this table's rows.
    pub fn line_of(&self, text: &str) -> Option<u64> {
        let (table, line) = text.rsplit_once(LINE)?;
        let is_of_this = || {
            let (integration, object) = table.split_once(':')?;
            let object = match &self.sheet {
                Some(sheet) => object.strip_suffix(sheet.as_str())?.strip_suffix(SHEET)?,
                None => object,
            };
            Some(integration == self.integration.as_str() && object == self.dedup_key.as_str())
        };
        parse_line(line).filter(|_| is_of_this() == Some(true))
    }
}

/// Only as it was written, so that one row has one text.
fn parse_line(text: &str) -> Option<u64> {
    text.parse().ok().filter(|line: &u64| line.to_string() == text)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.integration, self.dedup_key)?;
        match &self.sheet {
            Some(sheet) => write!(f, "{SHEET}{sheet}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_row_leads_back_to_it() {
        for (key, sheet) in [("a.csv", None), ("d/a b#1:2.xlsx", Some("One #sheet=2#line=")), ("a#line=3.csv", None)] {
            let dedup_key: DedupKey = format!("main/exports/{key}#etag=0123-2").parse().unwrap();
            let integration: IntegrationName = "acme-usage".parse().unwrap();
            let origin = Origin { integration, dedup_key, sheet: sheet.map(str::to_owned) };
            let text = origin.row(17);
            assert_eq!(Origin::parse_row(&text), Some((origin.clone(), 17)), "{text}");
            assert_eq!(origin.line_of(&text), Some(17), "{text}");
        }
    }

    #[test]
    fn what_is_not_the_text_of_a_row_leads_nowhere() {
        let origin =
            Origin { integration: "i".parse().unwrap(), dedup_key: "c/b/k#etag=e".parse().unwrap(), sheet: None };
        for text in ["", "c/b/k#etag=e#line=1", "i:c/b/k#line=1", "i:c/b/k#etag=e", "i:c/b/k#etag=e#line=+1"] {
            assert_eq!(Origin::parse_row(text), None, "{text}");
            assert_eq!(origin.line_of(text), None, "{text}");
        }
        for text in ["j:c/b/k#etag=e#line=1", "i:c/b/k#etag=f#line=1", "i:c/b/k#etag=e#sheet=s#line=1"] {
            assert_eq!(origin.line_of(text), None, "{text}");
        }
    }
}

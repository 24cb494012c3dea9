//! What the mapping of a file could be, judged by a sample of it: for a person to look at and to change, never to be
//! taken unseen. Nothing of this happens when files are taken.
//!
//! It knows texts and names of columns alone; it reads no file and writes none.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;

use crate::account_fields::AccountFieldType;

mod number;

pub use number::NumberForm;

/// Some rows of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// The names of the columns.
    pub header: Vec<String>,
    /// Their cells, row by row.
    pub rows: Vec<Vec<String>>,
}

/// The types that a column can be proposed as. The others need to be told more: which picks there are, how a list is
/// written, whose user is meant.
pub const TYPES: [AccountFieldType; 11] = [
    AccountFieldType::Text,
    AccountFieldType::LongText,
    AccountFieldType::Integer,
    AccountFieldType::Float,
    AccountFieldType::Percent,
    AccountFieldType::Currency,
    AccountFieldType::Boolean,
    AccountFieldType::Date,
    AccountFieldType::Datetime,
    AccountFieldType::Url,
    AccountFieldType::Email,
];

/// How the cells of a column could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// As what.
    pub field_type: AccountFieldType,
    /// How numbers are written, where it is not as they are by default.
    pub number: Option<NumberForm>,
    /// How dates are written, where it is not as ISO 8601 has it.
    pub format: Option<String>,
    /// The currency.
    pub unit: Option<&'static str>,
    /// Texts that stand for nothing in this column.
    pub null_tokens: Vec<String>,
    /// What a person should look at: the sample can be read in another way, too.
    pub doubt: Option<String>,
}

impl Reading {
    /// As a type, in the form that is the default.
    pub fn plain(field_type: AccountFieldType) -> Self {
        Self { field_type, number: None, format: None, unit: None, null_tokens: Vec::new(), doubt: None }
    }
}

/// Which account a row could belong to by a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentifierProposal {
    /// The column.
    pub column: String,
    /// What it is compared with.
    pub matches: String,
    /// What is done with its values first.
    pub normalize: &'static [&'static str],
}

/// What people write where there is nothing, in any case.
const NOTHING: [&str; 7] = ["n/a", "na", "#n/a", "null", "none", "nil", "-"];

/// Texts of more characters are long.
const LONG: usize = 255;

/// Dates as people write them; the first that fits all is taken.
const DATES: [&str; 13] = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%Y-%m",
    "%m/%Y",
    "%m.%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%b %Y",
    "%d.%m.%y",
];

const TRUE_OR_FALSE: [&str; 6] = ["true", "false", "yes", "no", "y", "n"];

impl Sample {
    /// How a column could be read; none where the sample has nothing of it but blanks.
    pub fn reading(&self, column: usize) -> Option<Reading> {
        let values = self.values(column);
        if values.is_empty() {
            return None;
        }
        let name = self.header.get(column).map(String::as_str).unwrap_or_default();
        let numbers_or_dates = |values: &[&str]| date(values).or_else(|| number::reading(values, name));
        if let Some(reading) = numbers_or_dates(&values) {
            return Some(reading);
        }
        let is_nothing = |value: &&str| NOTHING.iter().any(|nothing| nothing.eq_ignore_ascii_case(value));
        let (mut nothing, something): (Vec<&str>, Vec<&str>) = values.iter().copied().partition(is_nothing);
        let found = numbers_or_dates(&something).filter(|_| !something.is_empty());
        nothing.sort_unstable();
        nothing.dedup();
        let null_tokens = nothing.into_iter().map(str::to_owned).collect();
        Some(found.map_or_else(|| words(&values), |found| Reading { null_tokens, ..found }))
    }

    /// The columns by which a row could be told to be of an account, the surest first.
    pub fn identifiers(&self) -> Vec<IdentifierProposal> {
        let mut found: Vec<(u8, IdentifierProposal)> = Vec::new();
        for (index, column) in self.header.iter().enumerate() {
            let values = self.values(index);
            let is_each = |test: fn(&str) -> bool| !values.is_empty() && values.iter().all(|value| test(value));
            let (rank, matches, normalize): (u8, &str, &[&str]) = match squeezed(column).as_str() {
                _ if is_each(is_salesforce_id) => (0, "crm_id", &["trim", "sfdc18"]),
                "accountid" | "crmid" | "crmaccountid" | "salesforceid" | "sfdcid" | "hubspotid" => {
                    (1, "crm_id", &["trim"])
                }
                "customerid" | "companyid" | "externalid" | "organizationid" | "organisationid" | "clientid" | "id" => {
                    (2, "crm_id", &["trim"])
                }
                "domain" | "website" | "companydomain" | "emaildomain" | "web" => (3, "domain", &["domain"]),
                "account" | "accountname" | "company" | "companyname" | "customer" | "customername"
                | "organization" | "organisation" | "client" | "clientname" => (4, "name", &["trim"]),
                _ if is_each(is_email) => (5, "domain", &["email_domain"]),
                "name" => (6, "name", &["trim"]),
                _ => continue,
            };
            found.push((rank, IdentifierProposal { column: column.clone(), matches: matches.to_owned(), normalize }));
        }
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, proposal)| proposal).collect()
    }

    fn values(&self, column: usize) -> Vec<&str> {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).collect()
    }
}

/// The key of an account field for a column: its words in small letters.
pub fn field_key(column: &str) -> String {
    let mut key = String::new();
    for character in column.chars().flat_map(char::to_lowercase) {
        match character {
            letter if letter.is_ascii_alphanumeric() => key.push(letter),
            'ä' => key.push_str("ae"),
            'ö' => key.push_str("oe"),
            'ü' => key.push_str("ue"),
            'ß' => key.push_str("ss"),
            _ if !key.is_empty() && !key.ends_with('_') => key.push('_'),
            _ => {}
        }
    }
    let key = key.trim_end_matches('_');
    if key.is_empty() { "field".to_owned() } else { key.to_owned() }
}

/// The span of time that a column of dates could stand for, by its name.
pub fn period(column: &str) -> &'static str {
    let name = squeezed(column);
    let periods =
        [("day", "daily"), ("date", "daily"), ("week", "weekly"), ("quarter", "quarterly"), ("year", "yearly")];
    periods.iter().find(|(word, _)| name.contains(word)).map_or("monthly", |(_, period)| period)
}

/// Small letters and digits alone.
fn squeezed(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn date(values: &[&str]) -> Option<Reading> {
    let is_time =
        |text: &&str| text.contains(':') && (text.parse::<Timestamp>().is_ok() || text.parse::<DateTime>().is_ok());
    if values.iter().all(is_time) {
        return Some(Reading::plain(AccountFieldType::Datetime));
    }
    let fits = |format: &&str| values.iter().all(|text| BrokenDownTime::parse(format, text).is_ok());
    let mut fitting = DATES.into_iter().filter(fits);
    let format = fitting.next()?;
    let other = fitting.find(|other| (format, *other) == ("%d/%m/%Y", "%m/%d/%Y"));
    let doubt =
        other.map(|other| format!("`{}` may be `{format}` or `{other}`", values.first().copied().unwrap_or_default()));
    Some(Reading {
        format: (format != "%Y-%m-%d").then(|| format.to_owned()),
        doubt,
        ..Reading::plain(AccountFieldType::Date)
    })
}

fn words(values: &[&str]) -> Reading {
    let is_each = |test: &dyn Fn(&str) -> bool| values.iter().all(|value| test(value));
    let begins =
        |value: &str, with: &str| value.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    Reading::plain(if is_each(&|value| TRUE_OR_FALSE.iter().any(|word| value.eq_ignore_ascii_case(word))) {
        AccountFieldType::Boolean
    } else if is_each(&|value| begins(value, "https://") || begins(value, "http://")) {
        AccountFieldType::Url
    } else if is_each(&is_email) {
        AccountFieldType::Email
    } else if values.iter().any(|value| value.chars().count() > LONG) {
        AccountFieldType::LongText
    } else {
        AccountFieldType::Text
    })
}

fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(name, domain)| {
        !name.is_empty() && !domain.contains('@') && domain.trim_matches('.').contains('.') && !text.contains(' ')
    })
}

/// 15 or 18 letters and digits, of which the first three say that it is an account's.
fn is_salesforce_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18) && text.starts_with("001") && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(column: &str, cells: &[&str]) -> Sample {
        Sample { header: vec![column.to_owned()], rows: cells.iter().map(|cell| vec![(*cell).to_owned()]).collect() }
    }

    fn check_type(cells: &[&str], field_type: AccountFieldType, format: Option<&str>) {
        let reading = sample("Column", cells).reading(0).unwrap();
        assert_eq!((reading.field_type, reading.format.as_deref()), (field_type, format), "{cells:?}");
    }

    #[test]
    fn cells_that_read_alike_say_what_they_are() {
        check_type(&["2024-10-01", "", " 2024-12-31 "], AccountFieldType::Date, None);
        check_type(&["2024-10-01T12:00:00Z", "2024-10-01 12:00:00"], AccountFieldType::Datetime, None);
        check_type(&["31.12.2024", "1.1.2025"], AccountFieldType::Date, Some("%d.%m.%Y"));
        check_type(&["31/12/2024", "1/1/2025"], AccountFieldType::Date, Some("%d/%m/%Y"));
        check_type(&["12/31/2024"], AccountFieldType::Date, Some("%m/%d/%Y"));
        check_type(&["10/2024", "11/2024"], AccountFieldType::Date, Some("%m/%Y"));
        check_type(&["Oct 2024"], AccountFieldType::Date, Some("%b %Y"));
        check_type(&["yes", "No", "YES"], AccountFieldType::Boolean, None);
        check_type(&["https://a.example", "HTTP://b.example/x"], AccountFieldType::Url, None);
        check_type(&["a@b.example", "c.d@e.example"], AccountFieldType::Email, None);
        check_type(&["a@b.example", "nobody"], AccountFieldType::Text, None);
        check_type(&[&"x".repeat(300), "y"], AccountFieldType::LongText, None);
        check_type(&["2024-10-01", "soon"], AccountFieldType::Text, None);
        assert_eq!(sample("Column", &["", " "]).reading(0), None);
        assert_eq!(sample("Column", &["a"]).reading(7), None);
    }

    #[test]
    fn what_stands_for_nothing_does_not_hide_what_a_column_is() {
        let reading = sample("Column", &["48000.00", "n/a", "-", "N/A", "n/a"]).reading(0).unwrap();
        assert_eq!(
            (reading.field_type, reading.null_tokens),
            (AccountFieldType::Float, ["-", "N/A", "n/a"].map(str::to_owned).to_vec())
        );
        for cells in [&["n/a", "-"][..], &["n/a", "Acme"]] {
            let reading = sample("Column", cells).reading(0).unwrap();
            assert_eq!((reading.field_type, reading.null_tokens.len()), (AccountFieldType::Text, 0), "{cells:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_said() {
        let doubt = |cells| sample("Column", cells).reading(0).unwrap().doubt;
        assert_eq!(doubt(&["1/2/2024"]).unwrap(), "`1/2/2024` may be `%d/%m/%Y` or `%m/%d/%Y`");
        assert_eq!(doubt(&["1/2/2024", "13/2/2024"]), None);
    }

    #[test]
    fn columns_that_name_an_account_are_found_the_surest_first() {
        let check = |columns: &[(&str, &str)], expected: &[(&str, &str)]| {
            let header = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
            let rows = vec![columns.iter().map(|(_, cell)| (*cell).to_owned()).collect()];
            let found = Sample { header, rows }.identifiers();
            let found: Vec<_> = found.iter().map(|found| (found.column.as_str(), found.matches.as_str())).collect();
            assert_eq!(found, expected, "{columns:?}");
        };
        check(
            &[("Company", "Acme"), ("Web site", "acme.example"), ("Account ID", "A-1"), ("ARR", "1")],
            &[("Account ID", "crm_id"), ("Web site", "domain"), ("Company", "name")],
        );
        check(&[("Name", "x"), ("SF", "0015e00000AbCdE")], &[("SF", "crm_id"), ("Name", "name")]);
        check(&[("Contact", "a@b.example"), ("Domain", "b.example")], &[("Domain", "domain"), ("Contact", "domain")]);
        check(&[("ARR", "1")], &[]);
    }

    #[test]
    fn a_field_is_called_by_the_words_of_its_column() {
        let cases = [
            ("ARR", "arr"),
            ("API calls (total)", "api_calls_total"),
            ("Größe", "groesse"),
            ("%", "field"),
            ("2nd", "2nd"),
        ];
        for (column, key) in cases {
            assert_eq!(field_key(column), key);
        }
        assert_eq!(["Day", "Week of", "Month", "Quarter"].map(period), ["daily", "weekly", "monthly", "quarterly"]);
    }
}

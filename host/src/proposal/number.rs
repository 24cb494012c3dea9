//! Numbers as people write them.

use super::{Reading, squeezed};
use crate::account_fields::AccountFieldType;

/// How numbers are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberForm {
    /// Before the decimals, where it is not `.`.
    pub decimal: Option<char>,
    /// Between groups of digits.
    pub group: Option<char>,
    /// What stands before or after them.
    pub symbols: Vec<&'static str>,
    /// Whether those in parentheses are negative.
    pub parentheses: bool,
}

/// What stands before the decimals and between groups of three digits, the likeliest first.
const FORMS: [(char, Option<char>); 7] = [
    ('.', None),
    ('.', Some(',')),
    (',', None),
    (',', Some('.')),
    ('.', Some('\'')),
    (',', Some(' ')),
    ('.', Some(' ')),
];

/// Currencies by what stands at a number, and their names where one is meant without doubt.
const SYMBOLS: [(&str, Option<&str>); 8] = [
    ("€", Some("EUR")),
    ("£", Some("GBP")),
    ("$", None),
    ("¥", None),
    ("EUR", Some("EUR")),
    ("USD", Some("USD")),
    ("GBP", Some("GBP")),
    ("CHF", Some("CHF")),
];

/// What columns of money are called.
const MONEY: [&str; 9] = ["arr", "mrr", "revenue", "amount", "price", "cost", "value", "umsatz", "contractvalue"];

/// More digits are those of an id: no number of 64 bits keeps them all.
const MOST_DIGITS: usize = 15;

/// A number without what stands round it.
struct Bare<'a> {
    digits: &'a str,
    symbol: Option<usize>,
    percent: bool,
    parentheses: bool,
}

/// As numbers, if all of them are.
pub(super) fn reading(values: &[&str], column: &str) -> Option<Reading> {
    let all: Vec<Bare<'_>> = values.iter().map(|value| bare(value)).collect::<Option<_>>()?;
    let fits = |form: &(char, Option<char>)| all.iter().all(|one| is_written_so(one.digits, *form));
    let mut fitting = FORMS.into_iter().filter(fits);
    let (decimal, group) = fitting.next()?;
    let others: Vec<(char, Option<char>)> = fitting.collect();
    let is_doubtful = |one: &&Bare<'_>| {
        let plain = plainly(one.digits, (decimal, group));
        others.iter().any(|other| plainly(one.digits, *other) != plain)
    };
    let doubt = all.iter().find(is_doubtful).map(|one| {
        format!(
            "`{0}` is read as {1}, and may be written in another way",
            one.digits,
            plainly(one.digits, (decimal, group))
        )
    });
    let mut symbols: Vec<usize> = all.iter().filter_map(|one| one.symbol).collect();
    symbols.sort_unstable();
    symbols.dedup();
    let symbols: Vec<&(&str, Option<&str>)> = symbols.into_iter().filter_map(|symbol| SYMBOLS.get(symbol)).collect();
    let unit = match symbols.as_slice() {
        [(_, unit)] => *unit,
        _ => None,
    };
    let name = squeezed(column);
    let is_money = !symbols.is_empty()
        || MONEY.iter().any(|word| name == *word || name.starts_with("total") && name.ends_with(word));
    let has_decimals = all.iter().any(|one| one.digits.contains(decimal));
    let field_type = match () {
        () if all.iter().all(|one| one.percent) => AccountFieldType::Percent,
        () if all.iter().any(|one| one.percent) => return None,
        () if is_money => AccountFieldType::Currency,
        () if has_decimals => AccountFieldType::Float,
        () => AccountFieldType::Integer,
    };
    let form = NumberForm {
        decimal: (decimal != '.' && has_decimals).then_some(decimal),
        group: group.filter(|group| all.iter().any(|one| one.digits.contains(*group))),
        symbols: symbols.into_iter().map(|(symbol, _)| *symbol).collect(),
        parentheses: all.iter().any(|one| one.parentheses),
    };
    let number = (form != NumberForm::default()).then_some(form);
    Some(Reading { number, unit, doubt, ..Reading::plain(field_type) })
}

fn bare(text: &str) -> Option<Bare<'_>> {
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let mut digits = inner.unwrap_or(text).trim();
    let mut symbol = None;
    for (place, (known, _)) in SYMBOLS.iter().enumerate() {
        if let Some(rest) = digits.strip_prefix(known).or_else(|| digits.strip_suffix(known)) {
            (symbol, digits) = (Some(place), rest.trim());
            break;
        }
    }
    let percent = digits.ends_with('%');
    digits = digits.trim_end_matches('%').trim_end();
    digits = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    let is_id = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = (1..=MOST_DIGITS).contains(&count) && !is_id;
    is_number.then_some(Bare { digits, symbol, percent, parentheses: inner.is_some() })
}

/// The number with a point and without groups.
fn plainly(digits: &str, (decimal, group): (char, Option<char>)) -> String {
    let digits = digits.chars().filter(|digit| Some(*digit) != group);
    digits.map(|digit| if digit == decimal { '.' } else { digit }).collect()
}

fn is_written_so(text: &str, (decimal, group): (char, Option<char>)) -> bool {
    let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = match text.split_once(decimal) {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (text, None),
    };
    if decimals.is_some_and(|decimals| !are_digits(decimals)) {
        return false;
    }
    match group {
        None => are_digits(whole),
        Some(group) => {
            let mut parts = whole.split(group);
            let first = parts.next().unwrap_or_default();
            let is_grouped = whole.contains(group);
            are_digits(first)
                && (!is_grouped || first.len() <= 3)
                && parts.all(|part| part.len() == 3 && are_digits(part))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(decimal: Option<char>, group: Option<char>) -> Option<NumberForm> {
        Some(NumberForm { decimal, group, ..NumberForm::default() })
    }

    #[test]
    fn numbers_say_how_they_are_written() {
        let cases: [(&[&str], AccountFieldType, Option<NumberForm>); 8] = [
            (&["1", "-20", "+3"], AccountFieldType::Integer, None),
            (&["1.5", "2"], AccountFieldType::Float, None),
            (&["1,234.50", "12"], AccountFieldType::Float, form(None, Some(','))),
            (&["1.234,50", "0,5"], AccountFieldType::Float, form(Some(','), Some('.'))),
            (&["1,5", "2,25"], AccountFieldType::Float, form(Some(','), None)),
            (&["1'234'567.0"], AccountFieldType::Float, form(None, Some('\''))),
            (&["1 234,5"], AccountFieldType::Float, form(Some(','), Some(' '))),
            (&["12%", "3.5 %"], AccountFieldType::Percent, None),
        ];
        for (values, field_type, number) in cases {
            let reading = reading(values, "Column").unwrap();
            assert_eq!((reading.field_type, reading.number, reading.doubt), (field_type, number, None), "{values:?}");
        }
        let money = reading(&["(1,200.50)", "€ 3"], "Column").unwrap();
        assert_eq!((money.field_type, money.unit), (AccountFieldType::Currency, Some("EUR")));
        assert!(money.number.is_some_and(|number| number.parentheses && number.symbols == ["€"]));
        assert_eq!(reading(&["100", "250"], "ARR").map(|reading| reading.field_type), Some(AccountFieldType::Currency));
    }

    #[test]
    fn what_is_an_id_or_a_word_is_no_number() {
        for values in [&["007", "12"][..], &["1234567890123456"], &["1", "n/a"], &["1.2.3"], &["12%", "12"], &["-"]] {
            assert_eq!(reading(values, "Column"), None, "{values:?}");
        }
    }

    #[test]
    fn a_separator_that_may_be_either_is_doubted() {
        let doubt = |values: &[&str]| reading(values, "Column").unwrap().doubt.is_some();
        assert!(doubt(&["1.234"]) && doubt(&["1,234"]));
        assert!(!doubt(&["1.234", "1.5"]) && !doubt(&["1234"]) && !doubt(&["1,234,567"]));
    }
}

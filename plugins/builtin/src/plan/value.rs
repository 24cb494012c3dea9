//! How cells become values, checked: what fields and metrics have in common.

use super::{Check, ColumnPlan, Presence, Which, each, join};
use crate::cell::{
    BooleanSets, DateFormat, Dates, Dress, Exact, Excess, NumberFormat, Percent, Precision, Reader, RowLog, Spelled,
    ValueType, quoted,
};
use crate::columns::{Cells, Column, Values};
use crate::constraint::{Bounds, Constraints};
use crate::pattern::{Pattern, Replacement};
use crate::settings::{
    Boolean, Concat, DefaultOn, Field, FieldType, LookupTable, Number, OnBlank, OnInvalid, PercentSign, Replace, Split,
    Transform,
};
use crate::transform::Step;

/// How the text of a cell becomes a value.
#[derive(Debug, Clone)]
pub(crate) struct Reading<C> {
    pub(crate) reader: Reader,
    /// None: cells are read as they come, a blank one has no value, and one that does not read rejects its row.
    pub(crate) shape: Option<Box<Shape<C>>>,
}

/// Everything about a value that not every field has.
#[derive(Debug, Clone)]
pub(crate) struct Shape<C> {
    pub(crate) null_tokens: Vec<String>,
    pub(crate) clear_token: Option<String>,
    pub(crate) steps: Vec<Step<C>>,
    pub(crate) dress: Option<Dress>,
    /// How numbers are written in cells that a workbook did not type.
    pub(crate) format: NumberFormat,
    /// A column of one row.
    pub(crate) default: Option<Column>,
    pub(crate) fills_blanks: bool,
    pub(crate) on_blank: OnBlank,
    pub(crate) required: bool,
    pub(crate) on_invalid: OnInvalid,
    pub(crate) constraints: Constraints,
}

impl<C> Shape<C> {
    /// Nothing beyond reading.
    pub(crate) fn of(reader: &Reader) -> Self {
        Self::plain(reader.number_format())
    }

    /// The same, its columns told in another way; none where one of them is not found.
    pub(crate) fn find<D>(self, find: &mut impl FnMut(C) -> Option<D>) -> Option<Shape<D>> {
        // Every column is looked for, so that each one that is missing is named.
        let steps: Vec<Option<Step<D>>> = self.steps.into_iter().map(|step| step.with_columns(find)).collect();
        Some(Shape {
            steps: steps.into_iter().collect::<Option<_>>()?,
            null_tokens: self.null_tokens,
            clear_token: self.clear_token,
            dress: self.dress,
            format: self.format,
            default: self.default,
            fills_blanks: self.fills_blanks,
            on_blank: self.on_blank,
            required: self.required,
            on_invalid: self.on_invalid,
            constraints: self.constraints,
        })
    }

    fn plain(format: NumberFormat) -> Self {
        Self {
            null_tokens: Vec::new(),
            clear_token: None,
            steps: Vec::new(),
            dress: None,
            format,
            default: None,
            fills_blanks: false,
            on_blank: OnBlank::Keep,
            required: false,
            on_invalid: OnInvalid::RejectRow,
            constraints: Constraints::default(),
        }
    }

    /// Whether cells must be written anew before they are read.
    pub(crate) fn changes_text(&self) -> bool {
        !self.null_tokens.is_empty() || self.clear_token.is_some() || !self.steps.is_empty() || self.dress.is_some()
    }
}

/// The keys that say how cells are written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written<'a> {
    pub(super) number: Option<&'a Number>,
    pub(super) boolean: Option<&'a Boolean>,
    pub(super) formats: Option<&'a [String]>,
    pub(super) separator: Option<&'a str>,
    pub(super) scale: Option<u8>,
    pub(super) round: bool,
}

/// What became of them; none where something is wrong.
pub(super) struct Parts {
    pub(super) number: Option<NumberFormat>,
    pub(super) dress: Option<Option<Dress>>,
    pub(super) boolean: Option<BooleanSets>,
    formats: Option<Dates>,
    separator: Option<String>,
    precision: Option<Precision>,
}

impl Check {
    pub(super) fn parts(&mut self, path: &str, written: &Written<'_>) -> Parts {
        let number = self.number(path, written.number);
        let separator = match written.separator {
            Some("") => {
                self.report(&join(path, "separator"), "bad_setting", "is empty");
                None
            }
            separator => Some(separator.unwrap_or(",").to_owned()),
        };
        let excess = if written.round { Excess::Round } else { Excess::Reject };
        let precision = match written.scale.unwrap_or(2) {
            scale @ 0..=18 => Some(Precision { scale, excess }),
            scale => {
                self.report(&join(path, "scale"), "bad_setting", &format!("`{scale}` is not between 0 and 18"));
                None
            }
        };
        Parts {
            dress: self.dress(path, written.number, number),
            number,
            boolean: self.boolean(path, written.boolean),
            formats: self.formats(path, written.formats),
            separator,
            precision,
        }
    }

    pub(super) fn reading(
        &mut self,
        path: &str,
        field: &Field,
        r#type: FieldType,
        parts: Parts,
    ) -> Option<Reading<ColumnPlan>> {
        let steps = field.transforms.as_deref().unwrap_or_default();
        let steps = each(steps, |place, transform| self.transform(&format!("{path}.transforms[{place}]"), transform));
        self.outcomes(path, field);
        for (key, tokens) in [
            ("null_tokens", field.null_tokens.as_deref()),
            ("clear_token", field.clear_token.as_ref().map(std::slice::from_ref)),
        ] {
            if tokens.is_some_and(|tokens| tokens.iter().any(|token| token.trim().is_empty())) {
                self.report(&join(path, key), "bad_setting", "holds a blank text, and a blank cell is blank already");
            }
        }
        let is_null = |token: &String| field.null_tokens.iter().flatten().any(|null| null.eq_ignore_ascii_case(token));
        if field.clear_token.as_ref().is_some_and(is_null) {
            self.report(&join(path, "clear_token"), "contradiction", "is one of `null_tokens`, too");
        }
        let number = parts.number;
        let reader = match r#type {
            FieldType::Text | FieldType::LongText | FieldType::Picklist | FieldType::LookupUser => Reader::Text,
            FieldType::Integer => Reader::Integer(number?),
            FieldType::Float => Reader::Float(number?),
            FieldType::Percent => Reader::Percent(number?),
            FieldType::PercentRatio => Reader::PercentRatio(number?),
            FieldType::Currency => Reader::Decimal(parts.precision?, number?),
            FieldType::Boolean => Reader::Boolean(parts.boolean?),
            FieldType::Date => Reader::Date(parts.formats?),
            FieldType::Datetime => Reader::Moment(parts.formats?),
            FieldType::TextList | FieldType::MultiPicklist => Reader::TextList(parts.separator?),
            FieldType::Url => Reader::Url,
            FieldType::Email => Reader::Email,
        };
        let mut dress = parts.dress?;
        if let (FieldType::Percent, Some(dress)) = (r#type, &mut dress) {
            dress.percent = Percent::Ignored;
        }
        let constraints = self.constraints(path, field, &reader);
        let default_on_invalid = field.default_on == Some(DefaultOn::Invalid);
        let mut shape = Shape {
            null_tokens: field.null_tokens.clone().unwrap_or_default(),
            clear_token: field.clear_token.clone(),
            steps: steps?,
            dress,
            fills_blanks: field.default.is_some() && !default_on_invalid,
            on_blank: field.on_blank.unwrap_or_default(),
            required: field.required == Some(true),
            on_invalid: if default_on_invalid { OnInvalid::Default } else { field.on_invalid.unwrap_or_default() },
            constraints: constraints?,
            ..Shape::plain(number.unwrap_or(NumberFormat::CANONICAL))
        };
        for (key, text, is_default) in [("default", &field.default, true), ("constant", &field.constant, false)] {
            // A blank constant has been refused already.
            let Some(text) = text.as_ref().filter(|text| is_default || !text.trim().is_empty()) else { continue };
            match self.sample(text, &reader, &shape) {
                Ok(column) if is_default => shape.default = Some(column),
                Ok(_) => {}
                // What the transforms make of a constant shows with the first row.
                Err(_) if !is_default && !shape.steps.is_empty() => {}
                Err(what) => self.report(&join(path, key), "bad_setting", &what),
            }
        }
        let is_plain = !shape.changes_text()
            && shape.default.is_none()
            && shape.on_blank == OnBlank::Keep
            && !shape.required
            && shape.on_invalid == OnInvalid::RejectRow
            && shape.constraints.is_empty();
        Some(Reading { reader, shape: (!is_plain).then(|| Box::new(shape)) })
    }

    /// What a text of the settings reads as; else what is wrong with it.
    fn sample<C>(&self, text: &str, reader: &Reader, shape: &Shape<C>) -> Result<Column, String> {
        let mut bytes = Vec::new();
        let dressed =
            shape.dress.as_ref().and_then(|dress| dress.take_off(text.as_bytes(), &mut Spelled::default(), &mut bytes));
        if dressed.is_none() {
            bytes.extend_from_slice(text.as_bytes());
        }
        one_value(&bytes, false, reader, Some(&shape.constraints))
    }

    /// A number's plain format.
    fn number(&mut self, path: &str, number: Option<&Number>) -> Option<NumberFormat> {
        let Some(number) = number else {
            return Some(NumberFormat::CANONICAL);
        };
        let path = join(path, "number");
        let character = |check: &mut Self, key: &str, text: &Option<String>| -> Option<Option<char>> {
            let Some(text) = text else { return Some(None) };
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (Some(character), None)
                    if !character.is_ascii_alphanumeric()
                        && !character.is_ascii_control()
                        && !"+-%()".contains(character) =>
                {
                    Some(Some(character))
                }
                _ => {
                    let what = format!("{} is not one character that can stand in a number", quoted(text));
                    check.report(&join(&path, key), "bad_setting", &what);
                    None
                }
            }
        };
        let decimal = character(self, "decimal", &number.decimal);
        let group = character(self, "group", &number.group);
        let (decimal, group) = (decimal?.unwrap_or('.'), group?);
        let Ok(byte) = u8::try_from(decimal).map_err(drop).and_then(|byte| byte.is_ascii().then_some(byte).ok_or(()))
        else {
            self.report(&join(&path, "decimal"), "bad_setting", "is not an ASCII character");
            return None;
        };
        if group == Some(decimal) {
            let what = format!("`{decimal}` stands before the decimals already");
            self.report(&join(&path, "group"), "bad_setting", &what);
            return None;
        }
        Some(NumberFormat { decimal: byte, group })
    }

    /// What may stand round a number, where anything may.
    fn dress(&mut self, path: &str, number: Option<&Number>, format: Option<NumberFormat>) -> Option<Option<Dress>> {
        let Some(number) = number else { return Some(None) };
        let symbols = number.symbols.clone().unwrap_or_default();
        let path = join(path, "number.symbols");
        let symbols_fit = each(&symbols, |place, symbol| {
            let may_stand_in_a_number = |character: char| {
                character.is_ascii_digit()
                    || "+-%()".contains(character)
                    || format.is_some_and(|format| {
                        char::from(format.decimal) == character || format.group == Some(character)
                    })
            };
            let what = match (symbol.trim() != symbol || symbol.is_empty(), symbol.chars().any(may_stand_in_a_number)) {
                (true, _) => "is blank, or has blanks at its ends",
                (_, true) => "holds a character that can stand in a number",
                _ => return Some(()),
            };
            self.report(&format!("{path}[{place}]"), "bad_setting", &format!("{} {what}", quoted(symbol)));
            None
        });
        symbols_fit?;
        let dress = Dress {
            symbols,
            percent: match number.percent {
                None => Percent::Refused,
                Some(PercentSign::Ignore) => Percent::Ignored,
                Some(PercentSign::Hundredth) => Percent::Hundredth,
            },
            parentheses: number.parentheses == Some(true),
            trailing_minus: number.trailing_minus == Some(true),
            format: format?,
        };
        let is_bare = dress.symbols.is_empty()
            && dress.percent == Percent::Refused
            && !dress.parentheses
            && !dress.trailing_minus;
        Some((!is_bare).then_some(dress))
    }

    fn boolean(&mut self, path: &str, boolean: Option<&Boolean>) -> Option<BooleanSets> {
        let none = Boolean::default();
        let boolean = boolean.unwrap_or(&none);
        let words = |set: &Option<Vec<String>>, default: &[&str]| -> Vec<String> {
            set.clone().unwrap_or_else(|| default.iter().map(|word| (*word).to_owned()).collect())
        };
        let truths = words(&boolean.r#true, &["true", "yes", "y", "1"]);
        let falsehoods = words(&boolean.r#false, &["false", "no", "n", "0"]);
        let mut good = true;
        let mut report = |key: &str, what: &str| {
            self.report(&join(&join(path, "boolean"), key), "bad_setting", what);
            good = false;
        };
        for (key, set) in [("true", &truths), ("false", &falsehoods)] {
            if set.is_empty() {
                report(key, "is empty");
            }
            if set.iter().any(|word| word.is_empty() || word.trim_ascii() != word) {
                report(key, "holds a blank word, or one with blanks at its ends");
            }
        }
        if let Some(word) = truths.iter().find(|word| falsehoods.iter().any(|other| other.eq_ignore_ascii_case(word))) {
            report("false", &format!("{} cannot be both true and false", quoted(word)));
        }
        good.then_some(BooleanSets { truths, falsehoods })
    }

    pub(super) fn formats(&mut self, path: &str, formats: Option<&[String]>) -> Option<Dates> {
        let zone = self.zone.clone();
        let Some(formats) = formats else {
            return Some(Dates { formats: Vec::new(), zone });
        };
        let path = join(path, "formats");
        if formats.is_empty() {
            self.report(&path, "bad_setting", "is empty");
            return None;
        }
        let parsed = each(formats, |place, format| {
            DateFormat::parse(format)
                .map_err(|what| {
                    let what = format!("{} is not a date format: {what}", quoted(format));
                    self.report(&format!("{path}[{place}]"), "bad_setting", &what);
                })
                .ok()
        })?;
        let mut numbers = parsed.iter().enumerate().filter(|(_, format)| format.is_number());
        if let (Some((first, _)), Some((second, _))) = (numbers.next(), numbers.next()) {
            let what = format!("any number is {} already", quoted(&formats[first]));
            self.report(&format!("{path}[{second}]"), "contradiction", &what);
            return None;
        }
        Some(Dates { formats: parsed, zone })
    }

    fn transform(&mut self, path: &str, transform: &Transform) -> Option<Step<ColumnPlan>> {
        let inner = |key: &str| join(path, key);
        Some(match transform {
            Transform::Trim => Step::Trim,
            Transform::CollapseWhitespace => Step::CollapseWhitespace,
            Transform::Lower => Step::Lower,
            Transform::Upper => Step::Upper,
            Transform::Title => Step::Title,
            Transform::Replace(Replace { text, regex, with }) => {
                let path = inner("replace");
                let with = self.required(&path, "with", with);
                match (text, regex) {
                    (Some(_), Some(_)) => {
                        self.report(
                            &join(&path, "regex"),
                            "misplaced_setting",
                            "and `text` cannot both say what is replaced",
                        );
                        return None;
                    }
                    (None, Some(regex)) => {
                        let pattern = self.pattern(&join(&path, "regex"), regex, Pattern::parse)?;
                        let replaced: Replacement = self.replacement(&join(&path, "with"), pattern, &with?)?;
                        Step::ReplacePattern(Box::new(replaced))
                    }
                    (text, None) => {
                        let find = self.required(&path, "text", text)?;
                        if find.is_empty() {
                            self.report(&join(&path, "text"), "bad_setting", "is empty");
                            return None;
                        }
                        Step::Replace { find, with: with? }
                    }
                }
            }
            Transform::RegexExtract(regex) => {
                let pattern = self.pattern(&inner("regex_extract"), regex, Pattern::parse_taking)?;
                Step::RegexExtract(Box::new(pattern), regex.clone())
            }
            Transform::Split(Split { on, take }) => {
                let path = inner("split");
                let (on, take) = (self.required(&path, "on", on), self.required(&path, "take", take));
                let (on, take) = (on?, take?);
                if on.is_empty() {
                    self.report(&join(&path, "on"), "bad_setting", "is empty");
                    return None;
                }
                if take == 0 {
                    self.report(&join(&path, "take"), "bad_setting", "counts from 1, or from -1 at the end");
                    return None;
                }
                Step::Split { on, take }
            }
            Transform::Concat(Concat { columns, separator }) => {
                let path = inner("concat");
                let columns = self.required(&path, "columns", columns)?;
                let path = join(&path, "columns");
                self.names(&path, &columns)?;
                let column = |(place, name): (usize, String)| ColumnPlan {
                    which: Which::Named(vec![name]),
                    path: format!("{path}[{place}]"),
                    presence: Presence::Required,
                };
                Step::Concat {
                    columns: columns.into_iter().enumerate().map(column).collect(),
                    separator: separator.clone().unwrap_or_default(),
                }
            }
            Transform::Lookup(LookupTable { table, missing }) => {
                let path = inner("lookup");
                let table = self.required(&path, "table", table)?;
                if table.is_empty() {
                    self.report(&join(&path, "table"), "bad_setting", "is empty");
                    return None;
                }
                Step::Lookup { table, missing: missing.unwrap_or_default() }
            }
            Transform::Prefix(text) => Step::Prefix(text.clone()),
            Transform::Suffix(text) => Step::Suffix(text.clone()),
            Transform::Scale(factor) => {
                match Exact::read(factor.as_bytes(), NumberFormat::CANONICAL, &mut Spelled::default()) {
                    Ok(factor) => Step::Scale(factor),
                    Err(_) => {
                        self.report(&inner("scale"), "bad_setting", &format!("{} is not a number", quoted(factor)));
                        return None;
                    }
                }
            }
            Transform::Round(decimals @ 0..=18) => Step::Round(*decimals),
            Transform::Round(decimals) => {
                self.report(&inner("round"), "bad_setting", &format!("`{decimals}` is not between 0 and 18"));
                return None;
            }
        })
    }

    fn constraints(&mut self, path: &str, field: &Field, reader: &Reader) -> Option<Constraints> {
        let faults = self.faults.len();
        let canonical = reader.canonical();
        let mut bound = |key: &str, text: &Option<String>| -> Option<Column> {
            let text = text.as_ref()?;
            match one_value(text.as_bytes(), true, &canonical, None) {
                Ok(column) => Some(column),
                // The message of a type that has no bounds is another.
                Err(what) => {
                    if matches!(
                        reader.value_type(),
                        ValueType::Integer
                            | ValueType::Float
                            | ValueType::Decimal(_)
                            | ValueType::Date
                            | ValueType::Timestamp
                    ) {
                        self.report(&join(path, key), "bad_setting", &what);
                    }
                    None
                }
            }
        };
        let (least, most) = (bound("min", &field.min), bound("max", &field.max));
        let texts = (field.min.clone().unwrap_or_default(), field.max.clone().unwrap_or_default());
        let bounds = Bounds::new(least.map(|column| column.values), most.map(|column| column.values), texts);
        if bounds.as_ref().is_some_and(Bounds::is_empty) {
            self.report(&join(path, "max"), "contradiction", "is less than `min`");
        }
        if let (Some(least), Some(most)) = (field.min_length, field.max_length)
            && least > most
        {
            self.report(&join(path, "max_length"), "contradiction", "is less than `min_length`");
        }
        let pattern = match &field.regex {
            Some(regex) => {
                self.pattern(&join(path, "regex"), regex, Pattern::parse_whole).map(|pattern| (pattern, regex.clone()))
            }
            None => None,
        };
        if field.allowed.as_ref().is_some_and(Vec::is_empty) {
            self.report(&join(path, "allowed"), "bad_setting", "is empty");
        }
        (self.faults.len() == faults).then(|| Constraints {
            bounds,
            min_length: field.min_length,
            max_length: field.max_length,
            pattern,
            allowed: field.allowed.clone().unwrap_or_default(),
        })
    }

    /// How the cells of a metric become values.
    pub(super) fn metric_reading<C>(
        &mut self,
        reader: Reader,
        format: NumberFormat,
        dress: Option<Dress>,
    ) -> Reading<C> {
        let shape = dress.map(|dress| Box::new(Shape { dress: Some(dress), ..Shape::plain(format) }));
        Reading { reader, shape }
    }
}

/// Reads one text; else says what is wrong with it.
fn one_value(text: &[u8], typed: bool, reader: &Reader, constraints: Option<&Constraints>) -> Result<Column, String> {
    let offsets = [0, text.len() as i32];
    let bits = [u8::from(typed)];
    let cells = Cells::new(&offsets, text, Some(&bits)).map_err(|fault| fault.message)?;
    let mut log = RowLog::new(0, 1);
    let mut column = reader.read(&cells, crate::cell::Blame::Nobody, &mut log);
    if let Some(constraints) = constraints {
        constraints.check(&mut column, &cells, crate::cell::Blame::Nobody, &mut log);
    }
    let issues = log.into_issues();
    if !issues.is_empty() {
        return Err(String::from_utf8_lossy(issues.messages.get(0)).into_owned());
    }
    match &column.values {
        Values::TextList(lists) if lists.items.is_empty() => Err("is blank".to_owned()),
        _ if !column.has_value(0) => Err("is blank".to_owned()),
        _ => Ok(column),
    }
}

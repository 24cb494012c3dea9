//! Settings that have been checked: what the mappers work from.
//!
//! Owns the way from JSON to a [`Plan`], and everything that can be wrong with settings. All of it is reported at once,
//! each fault with the path in the settings and a valid example. In a plan every default has been filled in, so nothing
//! that has one is an `Option`.

mod identifier;
mod shape;

use std::fmt;

use crate::Fault;
use crate::cell::{BooleanSets, DateFormat, Excess, NumberFormat, Precision, Reader, quoted};
use crate::settings::{
    Aggregate, Boolean, Date, Field, FieldType, Metric, MetricType, Number, OnBlankIdentifier, Period, Settings, Usage,
    Weekday, is_key,
};
pub(crate) use identifier::{IdentifierPlan, PartPlan, keys_of};

/// What is wrong with these settings (JSON); empty when nothing is.
pub fn check(settings: &str) -> Vec<Fault> {
    Plan::read(settings).err().unwrap_or_default()
}

/// Understands settings, for a caller that cannot go on with any fault.
///
/// # Errors
/// The first fault, saying how many there are.
pub(crate) fn first_fault(settings: &str) -> Result<Plan, Fault> {
    Plan::read(settings).map_err(|faults| {
        let others = faults.len().saturating_sub(1);
        let first = faults.into_iter().next();
        let Fault { code, message } = first.unwrap_or_else(|| Fault::new("bad_setting", String::new()));
        match others {
            0 => Fault::new(code, message),
            _ => Fault::new(code, format!("{message} (and {others} more)")),
        }
    })
}

/// Settings that have been checked.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) identifiers: Vec<IdentifierPlan>,
    pub(crate) on_blank_identifier: OnBlankIdentifier,
    pub(crate) fields: Vec<FieldPlan>,
    pub(crate) usage: Vec<UsagePlan>,
}

/// A column that the settings name.
#[derive(Debug, Clone)]
pub(crate) struct ColumnPlan {
    pub(crate) which: Which,
    /// Where the settings name it.
    pub(crate) path: String,
    pub(crate) presence: Presence,
}

/// How the settings name a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// Its name and its aliases; at least one.
    Named(Vec<String>),
    /// Its number, from 1.
    Number(u32),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(names) => {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                f.write_str(&names.join(" or "))
            }
            Self::Number(number) => write!(f, "column number {number}"),
        }
    }
}

/// What happens when a table lacks a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

#[derive(Debug, Clone)]
pub(crate) struct FieldPlan {
    pub(crate) column: ColumnPlan,
    pub(crate) name: String,
    pub(crate) semantic: Semantic,
    pub(crate) unit: Option<String>,
    pub(crate) reader: Reader,
}

/// What a field's values mean beyond their type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Semantic {
    Plain,
    LongText,
    Percent,
    Currency,
    Url,
}

#[derive(Debug, Clone)]
pub(crate) struct UsagePlan {
    pub(crate) product: String,
    pub(crate) period: Period,
    pub(crate) week_start: Weekday,
    /// None: the date follows from the object's.
    pub(crate) date: Option<DatePlan>,
    pub(crate) metrics: Vec<MetricPlan>,
}

#[derive(Debug, Clone)]
pub(crate) struct DatePlan {
    pub(crate) column: ColumnPlan,
    pub(crate) formats: Vec<DateFormat>,
}

#[derive(Debug, Clone)]
pub(crate) struct MetricPlan {
    pub(crate) column: ColumnPlan,
    pub(crate) metric: String,
    pub(crate) unit: Option<String>,
    pub(crate) aggregate: Aggregate,
    pub(crate) reader: Reader,
}

impl Plan {
    /// Understands settings.
    ///
    /// # Errors
    /// Everything that is wrong: first what has the wrong shape, by path, then the rest in the order of the settings.
    pub(crate) fn read(settings: &str) -> Result<Self, Vec<Fault>> {
        let mut check = Check::default();
        let settings = shape::read(settings, &mut check);
        match settings.and_then(|settings| check.plan(&settings)) {
            Some(plan) if check.faults.is_empty() => Ok(plan),
            _ => Err(check.into_faults()),
        }
    }
}

/// The faults found so far, each with its path.
#[derive(Debug, Default)]
struct Check {
    faults: Vec<(String, Fault)>,
}

/// A valid way to write a key, by its name.
fn example(key: &str) -> &'static str {
    match key {
        "identifiers" | "match" => "identifiers = [{ column = \"Account ID\", match = \"crm_id\" }]",
        "fields" | "field" => "fields = [{ column = \"ARR\", field = \"arr\", type = \"currency\" }]",
        "usage" | "product" | "metrics" | "metric" => {
            "usage = [{ product = \"Core\", period = \"monthly\", metrics = [{ column = \"MAU\", metric = \"mau\" }] }]"
        }
        "column" => "column = \"Account ID\"",
        "columns" => {
            "columns = [{ column = \"Region\", match = \"field:region\" }, { column = \"Code\", match = \"field:code\" }]"
        }
        "aliases" => "aliases = [\"AccountId\"]",
        "index" => "index = 1",
        "normalize" | "regex" | "replace" => "normalize = [\"trim\", { regex = \"[^0-9]\", replace = \"\" }]",
        "matching" | "on_blank" => "matching = { on_blank = \"skip_row\" }",
        "type" => "type = \"text\"",
        "period" => "period = \"monthly\"",
        "week_start" => "week_start = \"monday\"",
        "date" => "date = { column = \"Month\", formats = [\"%m/%Y\"] }",
        "aggregate" => "aggregate = \"sum\"",
        "unit" => "unit = \"EUR\"",
        "scale" => "scale = 4",
        "round" => "round = true",
        "optional" => "optional = true",
        "number" | "decimal" | "group" => "number = { decimal = \",\", group = \".\" }",
        "boolean" | "true" | "false" => "boolean = { true = [\"ja\"], false = [\"nein\"] }",
        "formats" => "formats = [\"%d.%m.%Y\"]",
        "separator" => "separator = \";\"",
        _ => "",
    }
}

impl Check {
    /// Reports what is wrong at a path.
    fn report(&mut self, path: &str, code: &'static str, what: &str) {
        let key = path.rsplit('.').next().unwrap_or(path);
        let key = key.split('[').next().unwrap_or(key);
        let example = match example(key) {
            "" => String::new(),
            example => format!(", for example `{example}`"),
        };
        let message = match path {
            "" => what.to_owned(),
            path => format!("`{path}`: {what}{example}"),
        };
        self.faults.push((path.to_owned(), Fault::new(code, message)));
    }

    fn into_faults(self) -> Vec<Fault> {
        self.faults.into_iter().map(|(_, fault)| fault).collect()
    }

    /// A value that must be there. Nothing more is said of a key that was reported already, or of what stands in one.
    fn required<T: Clone>(&mut self, path: &str, key: &str, value: &Option<T>) -> Option<T> {
        if value.is_none() {
            let path = join(path, key);
            if !self.faults.iter().any(|(reported, _)| reported.starts_with(&path) || path.starts_with(reported)) {
                self.report(&path, "missing_setting", "is missing");
            }
        }
        value.clone()
    }

    /// A name that must be there.
    fn key(&mut self, path: &str, key: &str, value: &Option<String>) -> Option<String> {
        let name = self.required(path, key, value)?;
        if is_key(&name) {
            return Some(name);
        }
        self.report(
            &join(path, key),
            "bad_setting",
            &format!("{} is not a name: 1 to 255 bytes, no control characters, no blanks at its ends", quoted(&name)),
        );
        None
    }

    fn column(&mut self, path: &str, name: &Option<String>, optional: Option<bool>) -> Option<ColumnPlan> {
        let presence = if optional == Some(true) { Presence::Optional } else { Presence::Required };
        self.column_reference(path, name, None, None, presence)
    }

    /// A column by its name and aliases, or by its number.
    fn column_reference(
        &mut self,
        path: &str,
        name: &Option<String>,
        aliases: Option<&[String]>,
        index: Option<u32>,
        presence: Presence,
    ) -> Option<ColumnPlan> {
        if let Some(number) = index {
            let path = join(path, "index");
            if name.is_some() || aliases.is_some() {
                self.report(&path, "misplaced_setting", "and a name cannot both say which column is meant");
                return None;
            }
            if number == 0 {
                self.report(&path, "bad_setting", "counts from 1");
                return None;
            }
            return Some(ColumnPlan { which: Which::Number(number), path, presence });
        }
        let name = self.required(path, "column", name)?;
        let mut names = vec![name];
        names.extend(aliases.unwrap_or_default().iter().cloned());
        for (place, name) in names.iter().enumerate() {
            let path = if place == 0 { join(path, "column") } else { join(path, &format!("aliases[{}]", place - 1)) };
            if name.is_empty() {
                self.report(&path, "bad_setting", "names no column");
                return None;
            }
            if names[..place].contains(name) {
                self.report(&path, "bad_setting", &format!("{} stands there twice", quoted(name)));
                return None;
            }
        }
        Some(ColumnPlan { which: Which::Named(names), path: join(path, "column"), presence })
    }

    fn plan(&mut self, settings: &Settings) -> Option<Plan> {
        let identifiers = self.identifiers(&settings.identifiers);
        if settings.fields.is_empty() && settings.usage.is_empty() && !self.mentions(&["fields", "usage"]) {
            self.report("fields", "nothing_mapped", "neither a field nor usage is mapped");
        }
        let fields = each(&settings.fields, |place, field| self.field(&format!("fields[{place}]"), field));
        let usage = each(&settings.usage, |place, usage| self.usage(&format!("usage[{place}]"), usage));
        let (fields, usage) = (fields?, usage?);
        self.unique_fields(&fields);
        self.unique_metrics(&usage);
        let on_blank = settings.matching.as_ref().and_then(|matching| matching.on_blank);
        Some(Plan {
            identifiers: identifiers?,
            on_blank_identifier: on_blank.unwrap_or_default(),
            fields,
            usage,
        })
    }

    fn mentions(&self, paths: &[&str]) -> bool {
        self.faults.iter().any(|(reported, _)| paths.iter().any(|path| reported.starts_with(path)))
    }

    fn field(&mut self, path: &str, field: &Field) -> Option<FieldPlan> {
        let column = self.column(path, &field.column, field.optional);
        let name = self.key(path, "field", &field.field);
        let r#type = self.required(path, "type", &field.r#type);
        let number = self.number(path, &field.number);
        let boolean = self.boolean(path, &field.boolean);
        let formats = self.formats(path, &field.formats);
        let precision = self.precision(path, field);
        let separator = match field.separator.as_deref() {
            Some("") => {
                self.report(&join(path, "separator"), "bad_setting", "is empty");
                None
            }
            separator => Some(separator.unwrap_or(",").to_owned()),
        };
        if let Some(unit) = &field.unit
            && !(unit.len() == 3 && unit.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            self.report(&join(path, "unit"), "bad_setting", "is not three capital letters");
        }
        let r#type = r#type?;
        self.misplaced(path, field, r#type);
        let (semantic, reader) = match r#type {
            FieldType::Text => (Semantic::Plain, Reader::Text),
            FieldType::LongText => (Semantic::LongText, Reader::Text),
            FieldType::Integer => (Semantic::Plain, Reader::Integer(number?)),
            FieldType::Float => (Semantic::Plain, Reader::Float(number?)),
            FieldType::Percent => (Semantic::Percent, Reader::Percent(number?)),
            FieldType::PercentRatio => (Semantic::Percent, Reader::PercentRatio(number?)),
            FieldType::Currency => (Semantic::Currency, Reader::Decimal(precision?, number?)),
            FieldType::Boolean => (Semantic::Plain, Reader::Boolean(boolean?)),
            FieldType::Date => (Semantic::Plain, Reader::Date(formats?)),
            FieldType::TextList => (Semantic::Plain, Reader::TextList(separator?)),
            FieldType::Url => (Semantic::Url, Reader::Url),
        };
        Some(FieldPlan { column: column?, name: name?, semantic, unit: field.unit.clone(), reader })
    }

    /// A key that says nothing for its type is a mistake that would else go unnoticed.
    fn misplaced(&mut self, path: &str, field: &Field, r#type: FieldType) {
        let is = |types: &[FieldType]| types.contains(&r#type);
        let numbers =
            [FieldType::Integer, FieldType::Float, FieldType::Percent, FieldType::PercentRatio, FieldType::Currency];
        for (key, is_set, belongs) in [
            ("unit", field.unit.is_some(), is(&[FieldType::Currency])),
            ("scale", field.scale.is_some(), is(&[FieldType::Currency])),
            ("round", field.round.is_some(), is(&[FieldType::Currency])),
            ("number", field.number.is_some(), is(&numbers)),
            ("boolean", field.boolean.is_some(), is(&[FieldType::Boolean])),
            ("formats", field.formats.is_some(), is(&[FieldType::Date])),
            ("separator", field.separator.is_some(), is(&[FieldType::TextList])),
        ] {
            self.belongs(path, key, is_set, belongs);
        }
    }

    fn belongs(&mut self, path: &str, key: &str, is_set: bool, belongs: bool) {
        if is_set && !belongs {
            let kind = match key {
                "number" => "numbers",
                "boolean" => "`type = \"boolean\"`",
                "formats" => "`type = \"date\"`",
                "separator" => "`type = \"text_list\"`",
                "week_start" => "`period = \"weekly\"`",
                _ => "`type = \"currency\"`",
            };
            self.report(&join(path, key), "misplaced_setting", &format!("says nothing here, it is for {kind}"));
        }
    }

    fn precision(&mut self, path: &str, field: &Field) -> Option<Precision> {
        let excess = if field.round == Some(true) { Excess::Round } else { Excess::Reject };
        match field.scale.unwrap_or(2) {
            scale @ 0..=18 => Some(Precision { scale, excess }),
            scale => {
                self.report(&join(path, "scale"), "bad_setting", &format!("`{scale}` is not between 0 and 18"));
                None
            }
        }
    }

    fn number(&mut self, path: &str, number: &Option<Number>) -> Option<NumberFormat> {
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

    fn boolean(&mut self, path: &str, boolean: &Option<Boolean>) -> Option<BooleanSets> {
        let none = Boolean::default();
        let boolean = boolean.as_ref().unwrap_or(&none);
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

    fn formats(&mut self, path: &str, formats: &Option<Vec<String>>) -> Option<Vec<DateFormat>> {
        let Some(formats) = formats else {
            return Some(Vec::new());
        };
        let path = join(path, "formats");
        if formats.is_empty() {
            self.report(&path, "bad_setting", "is empty");
            return None;
        }
        each(formats, |place, format| {
            DateFormat::parse(format)
                .map_err(|what| {
                    let what = format!("{} is not a date format: {what}", quoted(format));
                    self.report(&format!("{path}[{place}]"), "bad_setting", &what);
                })
                .ok()
        })
    }

    fn usage(&mut self, path: &str, usage: &Usage) -> Option<UsagePlan> {
        let product = self.key(path, "product", &usage.product);
        let period = self.required(path, "period", &usage.period);
        if let Some(period) = period {
            self.belongs(path, "week_start", usage.week_start.is_some(), period == Period::Weekly);
        }
        let date = match &usage.date {
            Some(date) => self.date(&join(path, "date"), date).map(Some),
            None => Some(None),
        };
        if usage.metrics.is_empty() {
            self.required::<()>(path, "metrics", &None);
        }
        let metrics = each(&usage.metrics, |place, metric| self.metric(&format!("{path}.metrics[{place}]"), metric));
        Some(UsagePlan {
            product: product?,
            period: period?,
            week_start: usage.week_start.unwrap_or_default(),
            date: date?,
            metrics: metrics?,
        })
    }

    fn date(&mut self, path: &str, date: &Date) -> Option<DatePlan> {
        let column = self.column(path, &date.column, None);
        let formats = self.formats(path, &date.formats);
        Some(DatePlan { column: column?, formats: formats? })
    }

    fn metric(&mut self, path: &str, metric: &Metric) -> Option<MetricPlan> {
        let column = self.column(path, &metric.column, metric.optional);
        let key = self.key(path, "metric", &metric.metric);
        let number = self.number(path, &metric.number);
        let boolean = self.boolean(path, &metric.boolean);
        let r#type = metric.r#type.unwrap_or_default();
        let is_number = matches!(r#type, MetricType::Numeric | MetricType::Integer);
        self.belongs(path, "number", metric.number.is_some(), is_number);
        self.belongs(path, "boolean", metric.boolean.is_some(), r#type == MetricType::Boolean);
        let aggregate = metric.aggregate.unwrap_or_default();
        if !is_number && !matches!(aggregate, Aggregate::Last | Aggregate::Count) {
            let what = "texts and booleans know `last` and `count` only";
            self.report(&join(path, "aggregate"), "bad_setting", what);
        }
        let reader = match r#type {
            MetricType::Numeric => Reader::Float(number?),
            MetricType::Integer => Reader::Integer(number?),
            MetricType::Text => Reader::Text,
            MetricType::Boolean => Reader::Boolean(boolean?),
        };
        Some(MetricPlan { column: column?, metric: key?, unit: metric.unit.clone(), aggregate, reader })
    }

    fn unique_fields(&mut self, fields: &[FieldPlan]) {
        for (place, field) in fields.iter().enumerate() {
            if let Some(first) = fields[..place].iter().position(|earlier| earlier.name == field.name) {
                let what = format!("`fields[{first}]` writes this field already");
                self.report(&format!("fields[{place}].field"), "duplicate_field", &what);
            }
        }
    }

    /// A record is one account's, product's, metric's and period's; two columns for one would write over each other.
    fn unique_metrics(&mut self, usage: &[UsagePlan]) {
        let mut seen: Vec<(&str, &str, Period, String)> = Vec::new();
        for (block, plan) in usage.iter().enumerate() {
            for (place, metric) in plan.metrics.iter().enumerate() {
                let path = format!("usage[{block}].metrics[{place}]");
                let same = |other: &&(&str, &str, Period, String)| {
                    (other.0, other.1, other.2) == (plan.product.as_str(), metric.metric.as_str(), plan.period)
                };
                match seen.iter().find(same) {
                    Some((.., first)) => {
                        let what = format!("`{first}` writes this metric of the product already");
                        self.report(&join(&path, "metric"), "duplicate_metric", &what);
                    }
                    None => seen.push((&plan.product, &metric.metric, plan.period, path)),
                }
            }
        }
    }
}

/// Every item's plan, or none when one has none; all are looked at.
fn each<T, P>(items: &[T], mut plan: impl FnMut(usize, &T) -> Option<P>) -> Option<Vec<P>> {
    let plans: Vec<_> = items.iter().enumerate().map(|(place, item)| plan(place, item)).collect();
    plans.into_iter().collect()
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests;

//! Settings that have been checked: what the mappers work from.
//!
//! Owns the way from JSON to a [`Plan`], and everything that can be wrong with settings. All of it is reported at once,
//! each fault with the path in the settings and a valid example. In a plan every default has been filled in, so nothing
//! that has one is an `Option`.

mod field;
mod identifier;
mod shape;
mod usage;
mod value;

use std::fmt;

use crate::Fault;
use crate::cell::quoted;
use crate::settings::{OnBlankIdentifier, Settings, is_key};
use crate::zone::Zone;
pub use field::Semantic;
pub(crate) use field::{FieldPlan, Piece, SourcePlan};
pub(crate) use identifier::{IdentifierPlan, PartPlan, keys_of};
pub(crate) use usage::{
    DateFrom, DayBounds, Known, LongPlan, MetricColumns, MetricPlan, ProductPlan, UsagePlan, ValuesPlan,
};
pub(crate) use value::{Reading, Shape};

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
        let Fault { code, message, .. } = first.unwrap_or_else(|| Fault::new("bad_setting", String::new()));
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
    zone: Zone,
}

/// A valid way to write a key, by its name.
fn example(key: &str) -> &'static str {
    match key {
        "identifiers" | "match" => "identifiers = [{ column = \"Account ID\", match = \"crm_id\" }]",
        "fields" | "field" => "fields = [{ column = \"ARR\", field = \"arr\", type = \"currency\" }]",
        "user" => "user = { column = \"Email\", match = \"email\" }",
        "long" | "value" => "long = { metric = \"Metric\", value = \"Value\" }",
        "max_days_ahead" => "max_days_ahead = 1",
        "max_days_back" => "max_days_back = 400",
        "repeat" => "repeat = \"add\"",
        "key" => "date = { key = \"mau-([0-9]{4}-[0-9]{2})\", formats = [\"%Y-%m\"] }",
        "pattern" => "metrics = [{ pattern = \"^Events: (.+)$\", metric = \"events_{}\" }]",
        "on_unknown" => "on_unknown = \"skip\"",
        "usage" | "product" | "metrics" | "metric" => {
            "usage = [{ product = \"Core\", period = \"monthly\", metrics = [{ column = \"MAU\", metric = \"mau\" }] }]"
        }
        "column" => "column = \"Account ID\"",
        "columns" => {
            "columns = [{ column = \"Region\", match = \"field:region\" }, { column = \"Code\", match = \"field:code\" }]"
        }
        "aliases" => "aliases = [\"AccountId\"]",
        "index" => "index = 1",
        "constant" => "constant = \"EMEA\"",
        "template" => "template = \"{First} {Last}\"",
        "coalesce" => "coalesce = [\"Mobile\", \"Phone\"]",
        "file" | "part" => "file = { part = \"key\", regex = \"region=([a-z]+)\" }",
        "transforms" => "transforms = [\"trim\", { prefix = \"DE-\" }]",
        "text" | "with" => "transforms = [{ replace = { text = \" Inc.\", with = \"\" } }]",
        "regex_extract" => "transforms = [{ regex_extract = \"v([0-9]+)\" }]",
        "split" | "on" | "take" => "transforms = [{ split = { on = \"/\", take = 2 } }]",
        "concat" => "transforms = [{ concat = { columns = [\"City\"], separator = \", \" } }]",
        "lookup" | "table" | "missing" => {
            "transforms = [{ lookup = { table = { A = \"Active\" }, missing = \"keep\" } }]"
        }
        "null_tokens" => "null_tokens = [\"n/a\", \"-\"]",
        "default" => "default = \"0\"",
        "default_on" => "default_on = \"invalid\"",
        "clear_token" => "clear_token = \"(none)\"",
        "write" => "write = \"if_empty\"",
        "required" => "required = true",
        "on_invalid" => "on_invalid = \"null_field\"",
        "min" => "min = \"0\"",
        "max" => "max = \"100\"",
        "min_length" => "min_length = 2",
        "max_length" => "max_length = 80",
        "allowed" => "allowed = [\"Gold\", \"Silver\"]",
        "symbols" => "number = { symbols = [\"€\"] }",
        "percent" => "number = { percent = \"hundredth\" }",
        "parentheses" => "number = { parentheses = true }",
        "trailing_minus" => "number = { trailing_minus = true }",
        "regex" => "regex = \"[A-Z]{2}-[0-9]+\"",
        "normalize" | "replace" => "normalize = [\"trim\", { regex = \"[^0-9]\", replace = \"\" }]",
        "matching" => "matching = { on_blank = \"skip_row\" }",
        "on_blank" => "on_blank = \"clear\"",
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

    /// UTC where the offsets make no zone, which is reported.
    fn zone(&mut self, path: &str, changes: &[(i64, i32)]) -> Zone {
        Zone::new(changes).unwrap_or_else(|what| {
            self.report(path, "bad_setting", &what);
            Zone::default()
        })
    }

    fn plan(&mut self, settings: &Settings) -> Option<Plan> {
        if let Some(changes) = &settings.zone {
            self.zone = self.zone("zone", changes);
        }
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
        Some(Plan { identifiers: identifiers?, on_blank_identifier: on_blank.unwrap_or_default(), fields, usage })
    }

    fn mentions(&self, paths: &[&str]) -> bool {
        self.faults.iter().any(|(reported, _)| paths.iter().any(|path| reported.starts_with(path)))
    }

    fn belongs(&mut self, path: &str, key: &str, is_set: bool, belongs: bool) {
        if is_set && !belongs {
            let kind = match key {
                "number" => "numbers",
                "boolean" => "`type = \"boolean\"`",
                "formats" => "dates",
                "separator" => "lists",
                "min" | "max" => "numbers and dates",
                "min_length" | "max_length" => "texts",
                "regex" | "allowed" => "texts and lists",
                "max_days_ahead" | "max_days_back" => "a block with a `date`",
                "aliases" => "`column`",
                "optional" => "columns",
                "week_start" => "`period = \"weekly\"`",
                _ => "`type = \"currency\"`",
            };
            self.report(&join(path, key), "misplaced_setting", &format!("says nothing here, it is for {kind}"));
        }
    }

    fn unique_fields(&mut self, fields: &[FieldPlan]) {
        for (place, field) in fields.iter().enumerate() {
            if let Some(first) = fields[..place].iter().position(|earlier| earlier.name == field.name) {
                let what = format!("`fields[{first}]` writes this field already");
                self.report(&format!("fields[{place}].field"), "duplicate_field", &what);
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

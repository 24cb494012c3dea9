//! Identifiers, checked.

use super::{Check, ColumnPlan, Presence, each, join};
use crate::normalize::Step;
use crate::pattern::{Pattern, Replacement};
use crate::settings::{Identifier, IdentifierPart, Match, Normalization, RegexReplacement};

/// One strategy: the columns that together say which account a row belongs to.
#[derive(Debug, Clone)]
pub(crate) struct IdentifierPlan {
    pub(crate) parts: Vec<PartPlan>,
}

#[derive(Debug, Clone)]
pub(crate) struct PartPlan {
    pub(crate) column: ColumnPlan,
    pub(crate) key: Match,
    pub(crate) steps: Vec<Step>,
}

/// What the strategies are compared with.
pub(crate) fn keys_of(plans: &[IdentifierPlan]) -> Vec<Vec<Match>> {
    plans.iter().map(|plan| plan.parts.iter().map(|part| part.key.clone()).collect()).collect()
}

/// Strategies of one integration. Each costs every row a value.
const MOST_IDENTIFIERS: usize = 8;
/// Columns of one strategy.
const MOST_PARTS: usize = 6;

impl Check {
    pub(super) fn identifiers(&mut self, identifiers: &[Identifier]) -> Option<Vec<IdentifierPlan>> {
        if identifiers.is_empty() {
            self.required::<()>("", "identifiers", &None);
            return None;
        }
        if identifiers.len() > MOST_IDENTIFIERS {
            let what = format!("there are more than {MOST_IDENTIFIERS}");
            self.report(&format!("identifiers[{MOST_IDENTIFIERS}]"), "too_many_identifiers", &what);
        }
        let plans =
            each(identifiers, |place, identifier| self.identifier(&format!("identifiers[{place}]"), identifier))?;
        for (place, plan) in plans.iter().enumerate() {
            let says = |plan: &IdentifierPlan| -> Vec<_> {
                plan.parts.iter().map(|part| (part.column.which.clone(), part.key.clone())).collect()
            };
            if let Some(first) = plans[..place].iter().position(|earlier| says(earlier) == says(plan)) {
                let what = format!("`identifiers[{first}]` says the same already");
                self.report(&format!("identifiers[{place}]"), "duplicate_identifier", &what);
            }
        }
        Some(plans)
    }

    fn identifier(&mut self, path: &str, identifier: &Identifier) -> Option<IdentifierPlan> {
        let presence = if identifier.optional == Some(true) { Presence::Optional } else { Presence::Required };
        let Some(columns) = &identifier.columns else {
            let part = IdentifierPart {
                column: identifier.column.clone(),
                aliases: identifier.aliases.clone(),
                index: identifier.index,
                r#match: identifier.r#match.clone(),
                normalize: identifier.normalize.clone(),
            };
            return Some(IdentifierPlan { parts: vec![self.part(path, &part, presence)?] });
        };
        for (key, is_set) in [
            ("column", identifier.column.is_some()),
            ("aliases", identifier.aliases.is_some()),
            ("index", identifier.index.is_some()),
            ("match", identifier.r#match.is_some()),
            ("normalize", identifier.normalize.is_some()),
        ] {
            if is_set {
                self.report(&join(path, key), "misplaced_setting", "stands in each of `columns` instead");
            }
        }
        let path = join(path, "columns");
        if !(1..=MOST_PARTS).contains(&columns.len()) {
            self.report(&path, "bad_setting", &format!("has {} columns, not 1 to {MOST_PARTS}", columns.len()));
        }
        let parts = each(columns, |place, part| self.part(&format!("{path}[{place}]"), part, presence))?;
        for (place, part) in parts.iter().enumerate() {
            if parts[..place].iter().any(|earlier| earlier.key == part.key) {
                let what = "is compared by an earlier column already";
                self.report(&format!("{path}[{place}].match"), "duplicate_identifier", what);
            }
        }
        Some(IdentifierPlan { parts })
    }

    fn part(&mut self, path: &str, part: &IdentifierPart, presence: Presence) -> Option<PartPlan> {
        let column = self.column_reference(path, &part.column, part.aliases.as_deref(), part.index, presence);
        let key = self.required(path, "match", &part.r#match);
        let normalize = part.normalize.as_deref().unwrap_or_default();
        let steps = each(normalize, |place, normalization| {
            self.normalization(&join(path, &format!("normalize[{place}]")), normalization)
        });
        Some(PartPlan { column: column?, key: key?, steps: steps? })
    }

    fn normalization(&mut self, path: &str, normalization: &Normalization) -> Option<Step> {
        Some(match normalization {
            Normalization::Trim => Step::Trim,
            Normalization::Casefold => Step::Casefold,
            Normalization::Domain => Step::Domain,
            Normalization::EmailDomain => Step::EmailDomain,
            Normalization::Sfdc18 => Step::Sfdc18,
            Normalization::StripLeadingZeros => Step::StripLeadingZeros,
            Normalization::Regex(RegexReplacement { regex, replace }) => {
                let regex = self.required(path, "regex", regex);
                let replace = self.required(path, "replace", replace);
                let pattern = self.pattern(&join(path, "regex"), &regex?, Pattern::parse);
                Step::Regex(Box::new(self.replacement(&join(path, "replace"), pattern?, &replace?)?))
            }
        })
    }

    /// A pattern, understood in one of its ways.
    pub(super) fn pattern(
        &mut self,
        path: &str,
        pattern: &str,
        parse: fn(&str) -> Result<Pattern, String>,
    ) -> Option<Pattern> {
        parse(pattern).map_err(|what| self.report(path, "bad_setting", &what)).ok()
    }

    pub(super) fn replacement(&mut self, path: &str, pattern: Pattern, replacement: &str) -> Option<Replacement> {
        Replacement::parse(pattern, replacement).map_err(|what| self.report(path, "bad_setting", &what)).ok()
    }
}

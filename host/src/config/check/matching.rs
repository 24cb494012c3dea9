//! `[integrations.*.matching]`, checked.

use crate::config::path::TomlPath;
use crate::config::raw::integration::{RawMatching, RawNameMatch};
use crate::config::report::{Advice, Report};
use crate::destination::{Matching, NameMatch, OnNoMatch};
use crate::object::Share;

/// Less than this is no resemblance, and would have nearly every pair of names compared.
const LEAST_THRESHOLD: f64 = 0.3;

pub(super) fn check(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    raw: Option<RawMatching>,
    max_unmatched: Option<Share>,
) -> Matching {
    let raw = raw.unwrap_or_default();
    let name_match = name_match(report, &path.key("name_match"), raw.name_match);
    let matching = Matching {
        on_no_match: raw.on_no_match.unwrap_or_default(),
        on_multiple: raw.on_multiple.unwrap_or_default(),
        conflict: raw.conflict.unwrap_or_default(),
        name_match,
        max_unmatched,
    };
    if matching.on_no_match == OnNoMatch::Create && matches!(name_match, NameMatch::Fuzzy { .. }) {
        let message = "names that are about the same cannot create accounts: which ones there are would depend on the \
                       order of rows and files";
        let hint = "use `normalized` here, or load the accounts first and leave `on_no_match` at `skip`";
        report.wrong(&path.key("name_match"), message, Advice::HintOnly(hint.to_owned()));
    }
    matching
}

fn name_match(report: &mut Report<'_, '_>, path: &TomlPath, raw: Option<RawNameMatch>) -> NameMatch {
    let fuzzy = match raw {
        None | Some(RawNameMatch::Exact) => return NameMatch::Exact,
        Some(RawNameMatch::Normalized) => return NameMatch::Normalized,
        Some(RawNameMatch::Fuzzy(fuzzy)) => fuzzy,
    };
    let place = path.key("fuzzy");
    let mut share = |key: &str, written: Option<f64>, default: f64, least: f64| {
        super::share(report, &place.key(key), Some(written.unwrap_or(default)), least)
    };
    let threshold = share("threshold", fuzzy.threshold, 0.7, LEAST_THRESHOLD);
    let margin = share("margin", fuzzy.margin, 0.1, 0.0);
    match (threshold, margin) {
        (Some(threshold), Some(margin)) => NameMatch::Fuzzy { threshold, margin },
        (None, _) | (_, None) => NameMatch::Exact,
    }
}

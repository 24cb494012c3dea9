//! `[integrations.*.matching]`, checked.

use std::collections::BTreeMap;

use crate::config::Destination;
use crate::config::path::{Segment, TomlPath};
use crate::config::raw::integration::{RawMatching, RawNameMatch};
use crate::config::report::{Advice, Report};
use crate::destination::{Matching, NameMatch, OnMultiple, OnNoMatch};
use crate::object::{DestinationName, Share};

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

/// R12: what resolving through a store cannot do. It creates no account, and a record gets the id of one.
pub(super) fn check_resolve(
    report: &mut Report<'_, '_>,
    path: &TomlPath,
    all: &BTreeMap<DestinationName, Destination>,
    named: &[DestinationName],
    matching: &Matching,
) {
    let keeps_accounts = |name: &&DestinationName| all.get(*name).is_some_and(|found| found.kind.can_match());
    let deciding = named.iter().find(keeps_accounts);
    for (number, name) in named.iter().enumerate() {
        let Some(store) = all.get(name).and_then(|found| found.resolve.as_ref()) else { continue };
        let place = path.key("matching");
        if matching.on_multiple == OnMultiple::All {
            let message = format!("`{name}` resolves through `{store}`, and a record of it has one account");
            report.wrong(&place.key("on_multiple"), message, Advice::HintOnly("use `first`, `skip` or `error`".into()));
        }
        if named.contains(store) && deciding != Some(store) {
            let message =
                format!("`{name}` resolves through `{store}`, which does not come first among the stores here");
            let hint = format!("name `{store}` before every other destination that keeps accounts");
            report.wrong(&path.key("destination").join([Segment::Index(number)]), message, Advice::HintOnly(hint));
        } else if matching.on_no_match == OnNoMatch::Create && !named.contains(store) {
            let message = format!("`{name}` resolves through `{store}`, which creates no account for it");
            let hint = format!("deliver to `{store}` as well: `destination = [\"{store}\", \"{name}\"]`");
            report.wrong(&place.key("on_no_match"), message, Advice::HintOnly(hint));
        }
    }
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

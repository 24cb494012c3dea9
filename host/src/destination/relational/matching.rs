//! From identifiers to accounts: what both stores mean by it.

use crate::batch::{Identifier, MatchKey};
use crate::destination::{Conflict, DestinationError, Matching, Merged, OnMultiple, OnNoMatch, RowCounts};

/// The kind of account key under which a name's normalized form stands. It is none that people see.
pub(in crate::destination) const NORMALIZED: &str = "normalized_name";

/// What stands in the place of an account where there is none.
pub(in crate::destination) const NONE: i64 = -1;
/// Several accounts match.
pub(in crate::destination) const SEVERAL: i64 = 0;
/// Two strategies match different accounts.
pub(in crate::destination) const CONFLICT: i64 = -2;

/// Which of a list's keys are names.
pub(in crate::destination) fn names_among(strategies: &[Identifier]) -> impl Iterator<Item = usize> {
    let keys = strategies.iter().flatten().enumerate();
    keys.filter(|(_, key)| **key == MatchKey::Name).map(|(index, _)| index)
}

/// Of the accounts found for an identifier, grouped by it: what is taken, and what else they are grouped by.
pub(in crate::destination) fn chosen(on_multiple: OnMultiple, account: &str) -> (String, &'static str) {
    match on_multiple {
        OnMultiple::Skip | OnMultiple::Error => {
            (format!("CASE WHEN min({account}) = max({account}) THEN min({account}) ELSE {SEVERAL} END"), "")
        }
        OnMultiple::First => (format!("min({account})"), ""),
        OnMultiple::All => (account.to_owned(), ", 2"),
    }
}

/// Refuses a file of which rows matched something that the integration wants none to match. `conflicts` are those among
/// the ambiguous rows whose strategies match different accounts; `first` looks up the identifier of the first row of
/// which this stands in the place of an account.
pub(in crate::destination) fn refuse(
    matching: Matching,
    merged: &Merged,
    rows: RowCounts,
    conflicts: u64,
    first: impl FnOnce(i64) -> Result<String, DestinationError>,
) -> Result<(), DestinationError> {
    let Matching { on_no_match, on_multiple, conflict, .. } = matching;
    let several = merged.ambiguous.saturating_sub(conflicts);
    let refusals = [
        (on_no_match == OnNoMatch::Error, merged.unmatched, NONE, "no account"),
        (on_multiple == OnMultiple::Error, several, SEVERAL, "several accounts"),
        (conflict == Conflict::Error, conflicts, CONFLICT, "different accounts by different identifiers"),
    ];
    if let Some((_, rows, code, what)) = refusals.into_iter().find(|(is_error, rows, ..)| *is_error && *rows > 0) {
        return Err(DestinationError::NotMatched { rows, what, first: first(code)? });
    }
    let (unmatched, read) = (merged.unmatched, rows.read);
    match matching.exceeded_by(unmatched, read) {
        Some(limit) => Err(DestinationError::TooManyUnmatched { unmatched, read, limit, first: first(NONE)? }),
        None => Ok(()),
    }
}

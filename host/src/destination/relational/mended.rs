//! Mended rejects in the stores: what they join, and which of them count when one row was mended more than once.
//!
//! A row counts once. What mends rows that were mended before has to bring all rows that those were mended with; then the
//! newer of the two counts and the older is taken back. Anything else would count a row twice or lose one, and is refused.

use crate::destination::DestinationError;

/// The ingestion that mended rejects join.
#[derive(Debug, Clone)]
pub(in crate::destination) struct Origin {
    pub ingestion: i64,
    /// Where its writes stand, as bytes that compare.
    pub as_of: Vec<u8>,
}

/// An ingestion of mended rejects, as it is led behind its origin's next generation.
#[derive(Debug, Clone)]
pub(in crate::destination) struct Follower {
    pub ingestion: i64,
    /// Where its writes stood.
    pub as_of: Vec<u8>,
    /// How many of those bytes were its origin's.
    pub origin_bytes: usize,
}

impl Follower {
    /// Where its writes stand behind another `as_of` of its origin.
    pub fn behind(&self, origin: &[u8]) -> Vec<u8> {
        [origin, self.as_of.get(self.origin_bytes..).unwrap_or_default()].concat()
    }
}

/// Mended rejects that share rows with those that are merged.
#[derive(Debug, Clone)]
pub(in crate::destination) struct Other {
    pub ingestion: i64,
    pub key: String,
    /// Whether its writes stand behind those that are merged.
    pub is_newer: bool,
    /// How many rows it mends, and how many of them both do.
    pub rows: i64,
    pub shared: i64,
    /// One of the rows that both mend.
    pub row: String,
}

/// What becomes of mended rejects that share rows with others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::destination) struct Settled {
    /// Those that they take the place of.
    pub replaced: Vec<i64>,
    /// The one that has taken theirs.
    pub replaced_by: Option<i64>,
}

/// Settles which rows count; `rows` is how many are merged.
pub(in crate::destination) fn settle(rows: i64, others: Vec<Other>) -> Result<Settled, DestinationError> {
    let mut settled = Settled::default();
    for other in others {
        let covered = if other.is_newer { rows } else { other.rows };
        if other.shared < covered {
            return Err(DestinationError::MendedInCompany { row: other.row, by: other.key });
        }
        match other.is_newer {
            true => settled.replaced_by = Some(other.ingestion),
            false => settled.replaced.push(other.ingestion),
        }
    }
    Ok(settled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(ingestion: i64, is_newer: bool, rows: i64, shared: i64) -> Other {
        Other { ingestion, key: "m.csv".to_owned(), is_newer, rows, shared, row: "i:c/b/k#etag=e#line=2".to_owned() }
    }

    #[test]
    fn the_newer_of_two_that_mend_the_same_rows_counts() {
        let settled = settle(3, vec![other(1, false, 2, 2), other(2, false, 1, 1)]).unwrap();
        assert_eq!(settled, Settled { replaced: vec![1, 2], replaced_by: None });
        let settled = settle(2, vec![other(5, true, 3, 2)]).unwrap();
        assert_eq!(settled, Settled { replaced: vec![], replaced_by: Some(5) });
    }

    #[test]
    fn what_mends_only_some_of_the_rows_anew_is_refused() {
        for others in [vec![other(1, false, 2, 1)], vec![other(1, true, 5, 1)]] {
            let error = settle(2, others).unwrap_err();
            assert!(matches!(&error, DestinationError::MendedInCompany { by, .. } if by == "m.csv"), "{error}");
        }
    }
}

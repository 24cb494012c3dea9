//! Rows that were refused under a former name of the integration, or while its objects were in another place (R17).

use std::borrow::Cow;

use arrow_array::StringArray;

use crate::object::{IntegrationName, Relocation, Site};

/// What a reject file may call an integration and its objects that have another name and another place now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Former {
    /// The names that it had.
    pub names: Vec<IntegrationName>,
    /// How its objects were moved, the latest last.
    pub moves: Vec<Relocation>,
}

impl Former {
    /// Where rows come from, by the integration's name and its objects' place of today. None where that is how all of them
    /// stand there.
    pub fn named_anew(&self, origins: &StringArray, name: &IntegrationName) -> Option<StringArray> {
        if self.names.is_empty() && self.moves.is_empty() {
            return None;
        }
        let anew = |text| self.anew(text, name);
        if !origins.iter().flatten().any(|text| anew(text).is_some()) {
            return None;
        }
        Some(origins.iter().map(|text| text.map(|text| anew(text).map_or(Cow::Borrowed(text), Cow::Owned))).collect())
    }

    /// The text of one row; none where it need not change.
    fn anew(&self, text: &str, now: &IntegrationName) -> Option<String> {
        let (name, row) = text.split_once(':')?;
        let is_former = self.names.iter().any(|former| former.as_str() == name);
        if !is_former && name != now.as_str() {
            return None;
        }
        let moved = self.moved(row);
        if !is_former && moved.is_none() {
            return None;
        }
        Some(format!("{now}:{}", moved.as_deref().unwrap_or(row)))
    }

    /// A row of an object that was moved since. Where one place is a part of another, the smaller one is meant.
    fn moved(&self, row: &str) -> Option<String> {
        let last = self.moves.last()?;
        // Every place, with the moves since.
        let earlier = self.moves.iter().enumerate().map(|(since, earlier)| (&earlier.from, since));
        let places = earlier.chain([(&last.to, self.moves.len())]);
        let begins = |site: &Site| row.starts_with(&site.of_dedup_keys());
        let (_, since) =
            places.filter(|(site, _)| begins(site)).max_by_key(|(site, since)| (site.of_dedup_keys().len(), *since))?;
        let mut row = row.to_owned();
        for relocation in self.moves.get(since..)? {
            let behind = row.strip_prefix(&relocation.from.of_dedup_keys())?;
            row = format!("{}{behind}", relocation.to.of_dedup_keys());
        }
        (since < self.moves.len()).then_some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(bucket: &str, prefix: &str) -> Site {
        Site { connection: "c".parse().unwrap(), bucket: bucket.parse().unwrap(), prefix: prefix.to_owned() }
    }

    fn check_anew(moves: &[(Site, Site)], cases: &[(&str, Option<&str>)]) {
        let moves = moves.iter().cloned().map(|(from, to)| Relocation { from, to }).collect();
        let former = Former { names: vec!["old".parse().unwrap()], moves };
        for (text, expected) in cases {
            assert_eq!(former.anew(text, &"now".parse().unwrap()).as_deref(), *expected, "{text}");
        }
    }

    /// R10, R17
    #[test]
    fn a_row_is_known_by_the_name_and_place_of_today() {
        let cases = [
            ("now:c/b/k#etag=e#line=2", None),
            ("old:c/b/k#etag=e#line=2", Some("now:c/b/k#etag=e#line=2")),
            ("another:c/b/k#etag=e#line=2", None),
            ("no row", None),
        ];
        check_anew(&[], &cases);
        let cases = [
            ("now:c/one/k#etag=e#line=2", Some("now:c/three/x/k#etag=e#line=2")),
            ("old:c/two/k#etag=e#line=2", Some("now:c/three/x/k#etag=e#line=2")),
            ("now:c/three/x/k#etag=e#line=2", None),
            ("old:c/three/x/k#etag=e#line=2", Some("now:c/three/x/k#etag=e#line=2")),
            ("another:c/one/k#etag=e#line=2", None),
        ];
        check_anew(&[(site("one", ""), site("two", "")), (site("two", ""), site("three", "x/"))], &cases);
    }

    /// R17
    #[test]
    fn of_a_place_within_another_the_smaller_one_is_meant() {
        let into = [("now:c/b/k", Some("now:c/b/acme/k")), ("now:c/b/acme/k", None)];
        check_anew(&[(site("b", ""), site("b", "acme/"))], &into);
        let out_of = [("now:c/b/acme/k", Some("now:c/b/k")), ("now:c/b/k", None)];
        check_anew(&[(site("b", "acme/"), site("b", ""))], &out_of);
        let there_and_back = [("now:c/b/k", None), ("now:c/b2/k", Some("now:c/b/k"))];
        check_anew(&[(site("b", ""), site("b2", "")), (site("b2", ""), site("b", ""))], &there_and_back);
    }
}

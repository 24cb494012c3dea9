//! Objects that were copied or moved to another place, and the ids that follow from it (R17).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AsOf, BucketName, ConnectionKey, DedupKey, Identity, Object, ObjectKey};

/// A part of a bucket, as one connection sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The connection's key, which is a part of every dedup key.
    pub connection: ConnectionKey,
    /// The bucket.
    pub bucket: BucketName,
    /// What the keys begin with.
    pub prefix: String,
}

impl Site {
    /// What the dedup keys of its objects begin with, and those of no other's: a bucket has no `/` in its name.
    pub fn of_dedup_keys(&self) -> String {
        format!("{}/{}/{}", self.connection, self.bucket, self.prefix)
    }

    /// Whether it has all objects of another one, or the other way round.
    fn overlaps(&self, other: &Self) -> bool {
        let is_within = |whole: &Self, part: &Self| part.prefix.starts_with(&whole.prefix);
        (&self.connection, &self.bucket) == (&other.connection, &other.bucket)
            && (is_within(self, other) || is_within(other, self))
    }

    /// Where objects are for the time in which they are known neither by the one place nor by the other. No bucket has
    /// this name.
    fn in_between(&self) -> Option<Self> {
        let bucket = "/".parse().ok()?;
        Some(Self { connection: self.connection.clone(), bucket, prefix: "/".to_owned() })
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{} over `{}`", self.bucket, self.prefix.escape_debug(), self.connection)
    }
}

/// From one place to another: keys are the same behind their prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relocation {
    /// Where the objects were.
    pub from: Site,
    /// Where they are.
    pub to: Site,
}

impl Relocation {
    /// The same in steps of which each can be taken again without harm: what has gone along is at the former place no
    /// more. Where one place is a part of the other, that takes a stop in between.
    pub fn steps(&self) -> Vec<Self> {
        let Self { from, to } = self;
        match from.in_between().filter(|_| from.overlaps(to)) {
            Some(between) => {
                vec![Self { from: from.clone(), to: between.clone() }, Self { from: between, to: to.clone() }]
            }
            None => vec![self.clone()],
        }
    }

    /// The key there; none for one of another prefix, or where it would be too long for any object to have it.
    pub fn key(&self, key: &ObjectKey) -> Option<ObjectKey> {
        let behind = key.as_str().strip_prefix(&self.from.prefix)?;
        format!("{}{behind}", self.to.prefix).parse().ok()
    }

    /// The dedup key there; none for one of another place.
    pub fn dedup_key(&self, dedup_key: &DedupKey) -> Option<DedupKey> {
        let behind = dedup_key.as_str().strip_prefix(&self.from.of_dedup_keys())?;
        format!("{}{behind}", self.to.of_dedup_keys()).parse().ok()
    }

    /// The object there; none for one of another place.
    pub fn object(&self, object: &Object) -> Option<Object> {
        let is_there = (&object.connection, &object.bucket) == (&self.from.connection, &self.from.bucket);
        let key = self.key(&object.key).filter(|_| is_there)?;
        let Site { connection, bucket, .. } = self.to.clone();
        Some(Object { connection, bucket, key, ..object.clone() })
    }

    /// An object with all that is made of its place; none for one of another place.
    pub fn all(&self, identity: &Identity, object: &Object, as_of: &AsOf) -> Option<(Identity, Object, AsOf)> {
        let object = self.object(object)?;
        let identity = Identity { dedup_key: object.dedup_key(), ..identity.clone() };
        let as_of = AsOf { key: object.key.clone(), ..as_of.clone() };
        Some((identity, object, as_of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(bucket: &str, prefix: &str) -> Site {
        Site { connection: "c".parse().unwrap(), bucket: bucket.parse().unwrap(), prefix: prefix.to_owned() }
    }

    fn moved(relocation: &Relocation, key: &str) -> Option<String> {
        let dedup_key = relocation.dedup_key(&format!("c/{key}#etag=e").parse().unwrap())?;
        Some(dedup_key.as_str().strip_prefix("c/")?.strip_suffix("#etag=e")?.to_owned())
    }

    /// R17
    #[test]
    fn a_key_is_the_same_behind_its_prefix() {
        let relocation = Relocation { from: site("old", "daily/"), to: site("new", "acme/daily/") };
        assert_eq!(moved(&relocation, "old/daily/a.csv").unwrap(), "new/acme/daily/a.csv");
        assert_eq!(moved(&relocation, "old/weekly/a.csv"), None);
        assert_eq!(moved(&relocation, "older/daily/a.csv"), None);
        assert_eq!(relocation.steps(), std::slice::from_ref(&relocation));
        let too_long = format!("daily/{}", "k".repeat(1_015)).parse().unwrap();
        assert_eq!(relocation.key(&too_long), None);
    }

    /// I3, R17: whatever was done of a step, taking it again does the rest.
    #[test]
    fn a_step_that_was_taken_finds_nothing_more_to_move() {
        for (from, to) in [("", "acme/"), ("acme/", ""), ("a/", "b/"), ("a", "aa")] {
            let relocation = Relocation { from: site("b", from), to: site("b", to) };
            for rest in ["x.csv", "acme/x.csv", "aa/x.csv"] {
                let (mut key, steps) = (format!("b/{from}{rest}"), relocation.steps());
                for step in steps {
                    key = moved(&step, &key).unwrap();
                    assert_eq!(moved(&step, &key), None, "{from:?} to {to:?}");
                }
                assert_eq!(key, format!("b/{to}{rest}"));
            }
        }
    }
}

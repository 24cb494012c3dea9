//! What the stores in a database have in common: how their records are named, ordered and written as text.
//!
//! `sqlite` and `postgres` keep the same tables and give the same answers. What they share stands here; how it is
//! said in SQL is their own.

use crate::batch::{
    Aggregate, Identifier, MatchKey, OutputField, Period, Repeat, Semantic, Series, UserKey, ValueType, WriteMode,
};
use crate::object::{AsOf, DedupKey, Identity, IntegrationName, Relocation, Site};

pub(super) mod interner;
pub(super) mod matching;
pub(super) mod mended;
pub(super) mod similar;
pub(super) mod text;

/// How many rows that matched nothing are kept with an ingestion.
pub(super) const UNMATCHED_EXAMPLES: u32 = 5;

/// How many records of each kind a preview shows.
pub(super) const EXAMPLES: usize = 5;

/// The name of a type, by which fields of different types are told apart. The scale of a decimal is no part of it.
pub(super) fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Text => "text",
        ValueType::Integer => "integer",
        ValueType::Float => "float",
        ValueType::Decimal(_) => "decimal",
        ValueType::Boolean => "boolean",
        ValueType::Date => "date",
        ValueType::Timestamp => "timestamp",
        ValueType::TextList => "text_list",
    }
}

/// How a field is written. Only lists can be appended to; anything else is overwritten.
pub(super) fn effective_write_mode(field: &OutputField) -> WriteMode {
    match (field.write_mode, field.value_type) {
        (WriteMode::Append, ValueType::TextList) => WriteMode::Append,
        (WriteMode::IfEmpty, _) => WriteMode::IfEmpty,
        (WriteMode::Append | WriteMode::Overwrite, _) => WriteMode::Overwrite,
    }
}

pub(super) fn write_mode_number(write_mode: WriteMode) -> u8 {
    match write_mode {
        WriteMode::Overwrite => 0,
        WriteMode::IfEmpty => 1,
        WriteMode::Append => 2,
    }
}

pub(super) fn write_mode_name(write_mode: WriteMode) -> &'static str {
    match write_mode {
        WriteMode::Overwrite => "overwrite",
        WriteMode::IfEmpty => "if_empty",
        WriteMode::Append => "append",
    }
}

pub(super) fn semantic_name(semantic: Semantic) -> &'static str {
    match semantic {
        Semantic::Plain => "plain",
        Semantic::LongText => "long_text",
        Semantic::Percent => "percent",
        Semantic::Currency => "currency",
        Semantic::Picklist => "picklist",
        Semantic::Url => "url",
        Semantic::Email => "email",
        Semantic::User(_) => "user",
    }
}

/// Sums and means are for numbers; of anything else the last value is taken.
pub(super) fn aggregate_name(series: &Series) -> &'static str {
    let numeric = match series.value_type {
        ValueType::Integer | ValueType::Float | ValueType::Decimal(_) | ValueType::Boolean => true,
        ValueType::Text | ValueType::Date | ValueType::Timestamp | ValueType::TextList => false,
    };
    match series.aggregate {
        Aggregate::Sum if numeric => "sum",
        Aggregate::Avg if numeric => "avg",
        Aggregate::Sum | Aggregate::Avg | Aggregate::Last => "last",
        Aggregate::Max => "max",
        Aggregate::Min => "min",
        Aggregate::Count => "count",
    }
}

pub(super) fn period_name(period: &Period) -> String {
    match period {
        Period::Single => "single".to_owned(),
        Period::Daily => "daily".to_owned(),
        Period::Weekly => "weekly".to_owned(),
        Period::Monthly => "monthly".to_owned(),
        Period::Quarterly => "quarterly".to_owned(),
        Period::Yearly => "yearly".to_owned(),
        Period::Custom(name) => format!("custom:{name}"),
    }
}

pub(super) fn repeat_name(repeat: Repeat) -> &'static str {
    match repeat {
        Repeat::Replace => "replace",
        Repeat::Add => "add",
    }
}

/// What a field's texts tell users by, where they do. Each text means the user that has it: an id as it stands, addresses
/// and names in small or capital letters from A to Z.
pub(super) fn user_lookup(field: &OutputField) -> Option<UserKey> {
    match (field.semantic, field.value_type) {
        (Semantic::User(key), ValueType::Text) => Some(key),
        _ => None,
    }
}

/// What a user is known by.
pub(super) fn user_key_name(kind: UserKey) -> &'static str {
    match kind {
        UserKey::Id => "id",
        UserKey::Email => "email",
        UserKey::Name => "name",
    }
}

/// The names of a list of strategies' keys, in the order of their columns; a key that stands in several strategies is
/// numbered.
pub(super) fn key_names(strategies: &[Identifier]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for key in strategies.iter().flatten() {
        let name = key_name(key);
        let same = names.iter().filter(|known| **known == name || known.starts_with(&format!("{name} #"))).count();
        names.push(if same == 0 { name } else { format!("{name} #{}", same + 1) });
    }
    names
}

fn key_name(key: &MatchKey) -> String {
    match key {
        MatchKey::CrmId => "crm_id".to_owned(),
        MatchKey::Domain => "domain".to_owned(),
        MatchKey::Name => "name".to_owned(),
        MatchKey::Id => "id".to_owned(),
        MatchKey::Field(field) => format!("field:{field}"),
    }
}

/// Whether a row stands among the rejected ones, which are sorted.
pub(super) fn is_rejected(row: u32, rejected: &[u32]) -> bool {
    !rejected.is_empty() && rejected.binary_search(&row).is_ok()
}

/// The table and the row within it that a position stands for.
pub(super) fn place(tables: &[i64], position: i64) -> (u32, u32) {
    let table = tables.partition_point(|first| *first <= position).saturating_sub(1);
    let first = tables.get(table).copied().unwrap_or_default();
    (table as u32, (position - first) as u32)
}

/// Bytes that compare as the `as_of` does, and then by integration and dedup key.
pub(super) fn comparable(as_of: &AsOf, identity: &Identity) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    // With its sign turned over, a number in two's complement compares as unsigned.
    bytes.extend_from_slice(&((as_of.effective_time.as_nanosecond() as u128) ^ (1 << 127)).to_be_bytes());
    bytes.extend(escaped(as_of.key.as_str()));
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&as_of.arrival.to_be_bytes());
    bytes.extend_from_slice(&as_of.generation.0.to_be_bytes());
    bytes.extend_from_slice(identity.integration.as_str().as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(identity.dedup_key.as_str().as_bytes());
    bytes
}

/// A key may hold any byte: zero is escaped, and what follows a key sorts before everything.
fn escaped(key: &str) -> impl Iterator<Item = u8> {
    key.bytes().flat_map(|byte| std::iter::once(byte).chain((byte == 0).then_some(0xff)))
}

/// Bytes that compare right behind an `as_of` and before everything newer, among themselves as these bytes do: where
/// mended rejects of an object stand.
pub(super) fn behind(origin: &[u8], own: &[u8]) -> Vec<u8> {
    [origin, &[0], own].concat()
}

/// The same bytes with another integration's name in them (R17). `begin` is where those of [`comparable`] begin. None where
/// they are not such bytes, or have not that name.
pub(super) fn renamed(as_of: &[u8], begin: usize, from: &IntegrationName, to: &IntegrationName) -> Option<Vec<u8>> {
    const TIME: usize = 16;
    const ARRIVAL_AND_GENERATION: usize = 8 + 4;
    let key = begin + TIME;
    // In a key zero is followed by something else.
    let end_of_key = as_of.get(key..)?.windows(2).position(|pair| pair == [0, 0])?;
    let (before, name) = as_of.split_at_checked(key + end_of_key + 2 + ARRIVAL_AND_GENERATION)?;
    let behind = name.strip_prefix(from.as_str().as_bytes()).filter(|behind| behind.first() == Some(&0))?;
    Some([before, to.as_str().as_bytes(), behind].concat())
}

/// The same for mended rejects, which stand behind the first `origin` bytes, those of their object.
pub(super) fn renamed_behind(
    as_of: &[u8],
    origin: usize,
    from: &IntegrationName,
    to: &IntegrationName,
) -> Option<Vec<u8>> {
    renamed(&renamed(as_of, origin + 1, from, to)?, 0, from, to)
}

/// The bytes of [`comparable`] for where the object is after a step of a relocation (R17); the same ones for an object of
/// another place. None where they are not such bytes.
pub(super) fn relocated(as_of: &[u8], step: &Relocation) -> Option<Vec<u8>> {
    const TIME: usize = 16;
    const ARRIVAL_AND_GENERATION: usize = 8 + 4;
    let (time, key) = as_of.split_at_checked(TIME)?;
    let end_of_key = key.windows(2).position(|pair| pair == [0, 0])?;
    let (numbers, named) = key.get(end_of_key + 2..)?.split_at_checked(ARRIVAL_AND_GENERATION)?;
    let name = named.iter().position(|byte| *byte == 0)? + 1;
    let (name, dedup_key) = named.split_at_checked(name)?;
    let dedup_key: DedupKey = std::str::from_utf8(dedup_key).ok()?.parse().ok()?;
    let Some(moved) = step.dedup_key(&dedup_key) else { return Some(as_of.to_vec()) };
    let of_key = |dedup_key: &DedupKey, site: &Site| -> Option<Vec<u8>> {
        let key = dedup_key.as_str().strip_prefix(&site.of_dedup_keys())?;
        let key = key.rsplit_once("#etag=").map_or(key, |(key, _)| key);
        Some(escaped(&format!("{}{key}", site.prefix)).collect())
    };
    let key = of_key(&moved, &step.to)?;
    Some([time, &key, &[0, 0], numbers, name, moved.as_str().as_bytes()].concat())
}

/// The same for mended rejects, which stand behind the first `origin` bytes, those of their object.
pub(super) fn relocated_behind(as_of: &[u8], origin: usize, step: &Relocation) -> Option<Vec<u8>> {
    let (of_origin, own) = as_of.split_at_checked(origin)?;
    Some(behind(&relocated(of_origin, step)?, &relocated(own.strip_prefix(&[0])?, step)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Generation;
    use jiff::Timestamp;

    /// R2
    #[test]
    fn bytes_compare_as_the_order_of_writes() {
        let at = |second, key: &str, arrival, generation| AsOf {
            effective_time: Timestamp::from_second(second).unwrap(),
            key: key.parse().unwrap(),
            arrival,
            generation: Generation(generation),
        };
        let identity =
            Identity { integration: "i".parse().unwrap(), dedup_key: "d".parse().unwrap(), generation: Generation(0) };
        let sorted = [
            at(-5, "z", 9, 9),
            at(1, "a", 9, 9),
            at(2, "a", 300, 9),
            at(2, "a\0", 1, 0),
            at(2, "a\0b", 1, 0),
            at(2, "a\u{1}", 1, 0),
            at(2, "ab", 2, 0),
            at(2, "ab", 2, 1),
            at(2, "ab", 256, 0),
        ];
        assert!(sorted.is_sorted());
        let bytes: Vec<_> = sorted.iter().map(|as_of| comparable(as_of, &identity)).collect();
        assert!(bytes.windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// R17
    #[test]
    fn another_name_leaves_the_rest_of_the_bytes_as_they_are() {
        let named = |integration: &str, key: &str| {
            let at = AsOf {
                effective_time: Timestamp::from_second(7).unwrap(),
                key: key.parse().unwrap(),
                arrival: 0,
                generation: Generation(3),
            };
            let identity = Identity {
                integration: integration.parse().unwrap(),
                dedup_key: format!("c/b/{key}#etag=e").parse().unwrap(),
                generation: Generation(3),
            };
            comparable(&at, &identity)
        };
        let (old, new) = ("old".parse().unwrap(), "a-longer-name".parse().unwrap());
        for key in ["k.csv", "a\0b\0", "\0\0", "old"] {
            assert_eq!(renamed(&named("old", key), 0, &old, &new), Some(named("a-longer-name", key)), "{key:?}");
            assert_eq!(renamed(&named("older", key), 0, &old, &new), None, "{key:?}");
            let mended = behind(&named("old", "origin.csv"), &named("old", key));
            assert_eq!(
                renamed_behind(&mended, named("old", "origin.csv").len(), &old, &new),
                Some(behind(&named("a-longer-name", "origin.csv"), &named("a-longer-name", key))),
                "{key:?}"
            );
        }
        assert_eq!(renamed(b"short", 0, &old, &new), None);
    }

    /// R17
    #[test]
    fn another_place_changes_the_bytes_to_those_that_a_file_there_has() {
        let site = |bucket: &str, prefix: &str| Site {
            connection: "c".parse().unwrap(),
            bucket: bucket.parse().unwrap(),
            prefix: prefix.to_owned(),
        };
        let at = |bucket: &str, key: &str| {
            let as_of = AsOf {
                effective_time: Timestamp::from_second(7).unwrap(),
                key: key.parse().unwrap(),
                arrival: 0,
                generation: Generation(3),
            };
            let identity = Identity {
                integration: "i".parse().unwrap(),
                dedup_key: format!("c/{bucket}/{key}#etag=e").parse().unwrap(),
                generation: Generation(3),
            };
            comparable(&as_of, &identity)
        };
        let step = Relocation { from: site("old", "daily/"), to: site("new", "acme/") };
        for rest in ["k.csv", "a\0b\0", "\0\0", "a#etag=b.csv", "old/daily/"] {
            let (before, after) = (at("old", &format!("daily/{rest}")), at("new", &format!("acme/{rest}")));
            assert_eq!(relocated(&before, &step), Some(after.clone()), "{rest:?}");
            assert_eq!(relocated(&after, &step), Some(after.clone()), "{rest:?}");
            let aside = at("old", &format!("weekly/{rest}"));
            assert_eq!(relocated(&aside, &step), Some(aside.clone()), "{rest:?}");
            let mended = behind(&before, &aside);
            assert_eq!(relocated_behind(&mended, before.len(), &step), Some(behind(&after, &aside)), "{rest:?}");
            assert_eq!(relocated_behind(&behind(&aside, &before), aside.len(), &step), Some(behind(&aside, &after)));
        }
        assert_eq!(relocated(b"short", &step), None);
    }

    #[test]
    fn positions_lead_back_to_tables_and_rows() {
        let tables = [0, 10, 10, 25];
        assert_eq!(place(&tables, 9), (0, 9));
        assert_eq!(place(&tables, 10), (2, 0));
        assert_eq!(place(&tables, 30), (3, 5));
    }
}

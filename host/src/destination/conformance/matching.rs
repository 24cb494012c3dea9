//! From identifiers to accounts.

use super::*;

fn strategies(list: &[&[MatchKey]]) -> Vec<Identifier> {
    list.iter().map(|keys| keys.to_vec()).collect()
}

fn accounts(list: &[&[MatchKey]]) -> Accounts {
    Accounts::by(strategies(list), vec![plain("stage")])
}

pub(super) fn the_next_strategy_is_tried_on_a_blank_or_no_match(kind: Kind) {
    let bed = Bed::new(kind);
    let both = accounts(&[&[MatchKey::CrmId], &[MatchKey::Domain]]);
    let seed = both.clone().row(&["A", "a.com"], vec![text("seed")]).row(&["B", "b.com"], vec![text("seed")]);
    bed.merge(&File::new("seed.csv").accounts(seed)).unwrap();
    let next = both
        .row(&["A", "b.com"], vec![text("by crm_id")])
        .row(&["", "b.com"], vec![text("by domain")])
        .row(&["C", "zzz.com"], vec![text("nobody")])
        .row(&["", ""], vec![text("blank")]);
    let merged = bed.merge(&File::new("next.csv").at(2_000).skipping().accounts(next)).unwrap();
    assert_eq!((merged.matched, merged.updated, merged.unmatched, merged.ambiguous), (2, 2, 2, 0));
    assert_eq!(bed.fields(), ["A|stage|by crm_id", "B|stage|by domain"]);
    let examples: Vec<_> = merged.unmatched_examples.iter().map(|row| (row.row, row.identifier.as_str())).collect();
    assert_eq!(examples, [(2, "C, zzz.com"), (3, "")]);
}

pub(super) fn an_ambiguous_identifier_is_counted_and_not_applied(kind: Kind) {
    let bed = Bed::new(kind);
    let seed = accounts(&[&[MatchKey::CrmId], &[MatchKey::Domain]])
        .row(&["A", "shared.com"], vec![text("seed")])
        .row(&["B", "shared.com"], vec![text("seed")]);
    bed.merge(&File::new("seed.csv").accounts(seed)).unwrap();
    let next = accounts(&[&[MatchKey::Domain], &[MatchKey::CrmId]])
        .row(&["shared.com", "A"], vec![text("never the next strategy")])
        .row(&["", "A"], vec![text("fine")]);
    let merged = bed.merge(&File::new("next.csv").at(2_000).accounts(next)).unwrap();
    assert_eq!((merged.matched, merged.created, merged.ambiguous, merged.unmatched), (1, 0, 1, 0));
    assert_eq!(bed.fields(), ["A|stage|fine", "B|stage|seed"]);
}

pub(super) fn all_keys_of_a_composite_strategy_must_match(kind: Kind) {
    let bed = Bed::new(kind);
    let composite = accounts(&[&[MatchKey::Name, MatchKey::Domain]]);
    let seed = composite
        .clone()
        .row(&["Acme", "acme.com"], vec![text("seed")])
        .row(&["Acme", "acme.de"], vec![text("seed")])
        .row(&["Acme", ""], vec![text("blank")]);
    let merged = bed.merge(&File::new("seed.csv").accounts(seed)).unwrap();
    assert_eq!((merged.created, merged.unmatched), (2, 1));
    let next = composite.row(&["Acme", "acme.de"], vec![text("hit")]).row(&["Other", "acme.de"], vec![text("miss")]);
    let merged = bed.merge(&File::new("next.csv").at(2_000).skipping().accounts(next)).unwrap();
    assert_eq!((merged.matched, merged.updated, merged.unmatched), (1, 1, 1));
    assert_eq!(
        bed.rows("SELECT domains, value FROM account_field_values ORDER BY 1"),
        ["acme.com|seed", "acme.de|hit"]
    );
}

pub(super) fn an_account_takes_on_the_keys_that_its_records_bring(kind: Kind) {
    let bed = Bed::new(kind);
    let both = accounts(&[&[MatchKey::CrmId], &[MatchKey::Domain]]);
    let one = both
        .clone()
        .row(&["A", "a.com"], vec![text("1")])
        .row(&["A", "a.de"], vec![text("2")])
        .row(&["", "a.de"], vec![text("3")]);
    let merged = bed.merge(&File::new("one.csv").accounts(one)).unwrap();
    assert_eq!(merged.created, 1);
    bed.merge(&File::new("two.csv").at(2_000).accounts(both.row(&["A", "a.fr"], vec![text("4")]))).unwrap();
    assert_eq!(bed.keys(), ["crm_id=A domain=a.com domain=a.de domain=a.fr"]);
    assert_eq!(bed.rows("SELECT domains, value FROM account_field_values"), ["a.com, a.de, a.fr|4"]);
}

pub(super) fn the_id_of_an_account_matches_and_is_never_invented(kind: Kind) {
    let bed = Bed::new(kind);
    let seed = accounts(&[&[MatchKey::CrmId]]).row(&["A"], vec![text("seed")]);
    bed.merge(&File::new("seed.csv").accounts(seed)).unwrap();
    let id = bed.rows("SELECT account_id FROM account_overview").remove(0);
    let next = accounts(&[&[MatchKey::Id]])
        .row(&[&id], vec![text("hit")])
        .row(&[&format!("0{id}")], vec![text("another text")])
        .row(&["99999"], vec![text("nobody")])
        .row(&["x"], vec![text("nobody")]);
    let merged = bed.merge(&File::new("next.csv").at(2_000).accounts(next)).unwrap();
    assert_eq!((merged.matched, merged.created, merged.unmatched), (1, 0, 3));
    assert_eq!(bed.fields(), ["A|stage|hit"]);
}

pub(super) fn a_field_matches_by_its_current_value(kind: Kind) {
    let bed = Bed::new(kind);
    let fields = vec![field("seats", ValueType::Integer, WriteMode::Overwrite), plain("code")];
    let seed = Accounts::by_crm_id(fields)
        .row(&["A"], vec![Cell::Number(7), text("x")])
        .row(&["B"], vec![Cell::Number(8), text("y")]);
    bed.merge(&File::new("seed.csv").accounts(seed)).unwrap();
    let by = |name: &str| accounts(&[&[MatchKey::Field(name.to_owned())]]);
    let merged = bed
        .merge(&File::new("b.csv").at(2_000).skipping().accounts(by("seats").row(&["8"], vec![text("eight")])))
        .unwrap();
    assert_eq!(merged.matched, 1);
    let merged = bed
        .merge(&File::new("c.csv").at(3_000).skipping().accounts(by("code").row(&["x"], vec![text("code")])))
        .unwrap();
    assert_eq!(merged.matched, 1);
    let error =
        bed.merge(&File::new("d.csv").skipping().accounts(by("unknown").row(&["x"], vec![text("code")]))).unwrap_err();
    assert!(matches!(error, DestinationError::NoAccountMatched { rows: 1 }));
    assert_eq!(bed.fields(), ["A|code|x", "A|seats|7", "A|stage|code", "B|code|y", "B|seats|8", "B|stage|eight"]);
}

pub(super) fn an_account_created_by_a_field_has_that_value(kind: Kind) {
    let bed = Bed::new(kind);
    let by_code = accounts(&[&[MatchKey::Field("code".to_owned())]]);
    let usage = Usage {
        identifiers: strategies(&[&[MatchKey::Field("code".to_owned())], &[MatchKey::Domain]]),
        ..Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)])
    };
    let mut usage = usage.row("", 0, 0, vec![Some(5)]).row("", 0, 0, vec![Some(6)]);
    usage.rows[0].identifiers = optional(&["x", "x.com"]);
    usage.rows[1].identifiers = optional(&["z", ""]);
    let file = File::new("a.csv").accounts(by_code.clone().row(&["x"], vec![text("1")])).usage(usage);
    assert_eq!(bed.merge(&file).unwrap().created, 2);
    let next = bed
        .merge(
            &File::new("b.csv").at(2_000).accounts(by_code.row(&["x"], vec![text("2")]).row(&["y"], vec![text("2")])),
        )
        .unwrap();
    assert_eq!((next.matched, next.created), (1, 1));
    assert_eq!(
        bed.rows("SELECT field, value FROM account_field_values ORDER BY account_id, field"),
        ["code|x", "stage|2", "code|z", "code|y", "stage|2"]
    );
    assert_eq!(bed.usage(), ["-|-|mau|1970-01-01|6", "x.com|-|mau|1970-01-01|5"]);
}

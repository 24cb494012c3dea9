//! From identifiers to accounts.

use super::*;
use crate::object::Share;

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

/// Two accounts that share a domain, and one that does not.
fn shared_domain(kind: Kind) -> Bed {
    let bed = Bed::new(kind);
    let seed = accounts(&[&[MatchKey::CrmId], &[MatchKey::Domain]])
        .row(&["A", "shared.com"], vec![text("seed")])
        .row(&["B", "shared.com"], vec![text("seed")])
        .row(&["C", "c.com"], vec![text("seed")]);
    bed.merge(&File::new("seed.csv").accounts(seed)).unwrap();
    bed
}

pub(super) fn several_accounts_are_skipped_or_the_first_or_all_are_taken_or_the_file_fails(kind: Kind) {
    let file = |on_multiple| {
        let rows =
            accounts(&[&[MatchKey::Domain]]).row(&["shared.com"], vec![text("new")]).row(&["c.com"], vec![text("new")]);
        File::new("next.csv").at(2_000).matching(Matching { on_multiple, ..Matching::default() }).accounts(rows)
    };
    let bed = shared_domain(kind);
    let merged = bed.merge(&file(OnMultiple::Skip)).unwrap();
    assert_eq!((merged.updated, merged.ambiguous), (1, 1));
    assert_eq!(bed.fields(), ["A|stage|seed", "B|stage|seed", "C|stage|new"]);
    let bed = shared_domain(kind);
    let merged = bed.merge(&file(OnMultiple::First)).unwrap();
    assert_eq!((merged.updated, merged.ambiguous), (2, 0));
    assert_eq!(bed.fields(), ["A|stage|new", "B|stage|seed", "C|stage|new"]);
    let bed = shared_domain(kind);
    let merged = bed.merge(&file(OnMultiple::All)).unwrap();
    assert_eq!((merged.updated, merged.ambiguous), (3, 0));
    assert_eq!(bed.fields(), ["A|stage|new", "B|stage|new", "C|stage|new"]);
    let bed = shared_domain(kind);
    let error = bed.merge(&file(OnMultiple::Error)).unwrap_err();
    assert_eq!(error.to_string(), "1 row matched several accounts; the first is `shared.com`");
    assert_eq!(bed.fields(), ["A|stage|seed", "B|stage|seed", "C|stage|seed"]);
    assert_eq!(bed.preview(&file(OnMultiple::Error)).merged.ambiguous, 1);
}

pub(super) fn usage_of_a_row_that_matches_several_accounts_goes_to_all_of_them_if_asked_for(kind: Kind) {
    let bed = shared_domain(kind);
    let all = Matching { on_multiple: OnMultiple::All, ..Matching::default() };
    let mut usage = Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)]);
    usage.identifiers = strategies(&[&[MatchKey::Domain]]);
    let usage = usage.row("shared.com", 20_000, 19_997, vec![Some(7)]);
    let merged = bed.merge(&File::new("usage.csv").at(2_000).matching(all).usage(usage)).unwrap();
    assert_eq!((merged.usage_values, merged.usage_records), (1, 2));
    assert_eq!(bed.rows("SELECT crm_id, value FROM usage_records ORDER BY 1"), ["A|7", "B|7"]);
}

pub(super) fn identifiers_of_different_accounts_go_by_the_first_or_are_skipped_or_fail_the_file(kind: Kind) {
    let file = |conflict| {
        let rows = accounts(&[&[MatchKey::CrmId], &[MatchKey::Domain]])
            .row(&["A", "c.com"], vec![text("conflict")])
            .row(&["B", "shared.com"], vec![text("fine")])
            .row(&["C", "unknown.com"], vec![text("fine")]);
        File::new("next.csv").at(2_000).matching(Matching { conflict, ..Matching::default() }).accounts(rows)
    };
    let bed = shared_domain(kind);
    bed.merge(&file(Conflict::First)).unwrap();
    assert_eq!(bed.fields(), ["A|stage|conflict", "B|stage|fine", "C|stage|fine"]);
    let bed = shared_domain(kind);
    let merged = bed.merge(&file(Conflict::Skip)).unwrap();
    assert_eq!((merged.updated, merged.ambiguous), (2, 1));
    assert_eq!(bed.fields(), ["A|stage|seed", "B|stage|fine", "C|stage|fine"]);
    let bed = shared_domain(kind);
    let error = bed.merge(&file(Conflict::Error)).unwrap_err();
    let expected = "1 row matched different accounts by different identifiers; the first is `A, c.com`";
    assert_eq!(error.to_string(), expected);
}

pub(super) fn a_row_without_an_account_fails_the_file_if_asked_for(kind: Kind) {
    let bed = shared_domain(kind);
    let strict = Matching { on_no_match: OnNoMatch::Error, ..Matching::default() };
    let rows = accounts(&[&[MatchKey::CrmId]]).row(&["A"], vec![text("new")]).row(&["nobody"], vec![text("new")]);
    let error = bed.merge(&File::new("next.csv").at(2_000).matching(strict).accounts(rows)).unwrap_err();
    assert_eq!(error.to_string(), "1 row matched no account; the first is `nobody`");
    assert_eq!(bed.fields()[0], "A|stage|seed");
}

fn by_name() -> Accounts {
    accounts(&[&[MatchKey::Name]])
}

pub(super) fn names_match_in_normalized_form_and_create_one_account_for_all_spellings(kind: Kind) {
    let bed = Bed::new(kind);
    let normalized = |on_no_match| Matching { on_no_match, name_match: NameMatch::Normalized, ..Matching::default() };
    let rows = by_name()
        .row(&["Müller & Söhne"], vec![text("1")])
        .row(&["MULLER and SOHNE."], vec![text("2")])
        .row(&["…"], vec![text("no name")])
        .row(&["Other"], vec![text("3")]);
    let file = File::new("seed.csv").matching(normalized(OnNoMatch::Create)).accounts(rows);
    let merged = bed.merge(&file).unwrap();
    assert_eq!((merged.created, merged.unmatched), (2, 1));
    let rows = by_name().row(&["muller and söhne"], vec![text("4")]).row(&["Another"], vec![text("5")]);
    let file = File::new("next.csv").at(2_000).matching(normalized(OnNoMatch::Skip)).accounts(rows);
    let merged = bed.merge(&file).unwrap();
    assert_eq!((merged.matched, merged.unmatched), (1, 1));
    assert_eq!(bed.rows("SELECT name, value FROM account_field_values ORDER BY 1"), ["MULLER and SOHNE.|4", "Other|3"]);
}

pub(super) fn names_that_came_by_another_key_match_in_normalized_form_later(kind: Kind) {
    let bed = Bed::new(kind);
    let seed = accounts(&[&[MatchKey::CrmId], &[MatchKey::Name]]).row(&["A", "ACME Inc."], vec![text("seed")]);
    bed.merge(&File::new("seed.csv").accounts(seed)).unwrap();
    let matching = Matching { name_match: NameMatch::Normalized, ..Matching::default() };
    let next = by_name().row(&["acme, inc"], vec![text("next")]);
    bed.merge(&File::new("next.csv").at(2_000).matching(matching).accounts(next)).unwrap();
    assert_eq!(bed.fields(), ["A|stage|next"]);
}

pub(super) fn names_that_are_about_the_same_match_unless_two_are_as_near(kind: Kind) {
    let bed = Bed::new(kind);
    let seed = |names: &[&str]| names.iter().fold(by_name(), |rows, name| rows.row(&[name], vec![text("seed")]));
    let names = ["Acme Shipping GmbH", "Acme Shopping GmbH", "Borealis Optics"];
    bed.merge(&File::new("seed.csv").accounts(seed(&names))).unwrap();
    let share = |share| Share::of(share).unwrap();
    let name_match = NameMatch::Fuzzy { threshold: share(0.6), margin: share(0.1) };
    let fuzzy = Matching { name_match, ..Matching::default() };
    let next = by_name()
        .row(&["borealis optic"], vec![text("near")])
        .row(&["ACME Shipping Gmbh"], vec![text("same")])
        .row(&["Acme Shpping GmbH"], vec![text("between two")])
        .row(&["Something else"], vec![text("far")]);
    let merged = bed.merge(&File::new("next.csv").at(2_000).matching(fuzzy).accounts(next)).unwrap();
    assert_eq!((merged.matched, merged.ambiguous, merged.unmatched), (2, 1, 1));
    assert_eq!(
        bed.fields(),
        ["Acme Shipping GmbH|stage|same", "Acme Shopping GmbH|stage|seed", "Borealis Optics|stage|near"]
    );
    // The index is made anew once there are more names.
    bed.merge(&File::new("more.csv").at(3_000).accounts(seed(&["Caledonia Foods"]))).unwrap();
    let next = by_name().row(&["Caledonia Food"], vec![text("near")]);
    bed.merge(&File::new("last.csv").at(4_000).matching(fuzzy).accounts(next)).unwrap();
    assert!(bed.fields().contains(&"Caledonia Foods|stage|near".to_owned()));
}

pub(super) fn a_name_about_that_of_another_account_is_a_conflict(kind: Kind) {
    let bed = Bed::new(kind);
    let both = accounts(&[&[MatchKey::CrmId], &[MatchKey::Name]]);
    let seed =
        both.clone().row(&["A", "Acme Shipping"], vec![text("seed")]).row(&["B", "Borealis"], vec![text("seed")]);
    bed.merge(&File::new("seed.csv").accounts(seed)).unwrap();
    let name_match = NameMatch::Fuzzy { threshold: Share::of(0.5).unwrap(), margin: Share::of(0.1).unwrap() };
    let matching = Matching { name_match, conflict: Conflict::Skip, ..Matching::default() };
    let next = both.row(&["A", "Boralis"], vec![text("conflict")]).row(&["B", "Boreali"], vec![text("fine")]);
    let merged = bed.merge(&File::new("next.csv").at(2_000).matching(matching).accounts(next)).unwrap();
    assert_eq!((merged.matched, merged.ambiguous), (1, 1));
    assert_eq!(bed.fields(), ["A|stage|seed", "B|stage|fine"]);
}

/// R11
pub(super) fn too_many_rows_without_an_account_fail_the_file(kind: Kind) {
    let bed = Bed::new(kind);
    let accounts = |ids: &[&str]| {
        let stages = Accounts::by_crm_id(vec![plain("stage")]);
        ids.iter().fold(stages, |accounts, id| accounts.row(&[*id], vec![text("won")]))
    };
    bed.merge(&File::new("a.csv").accounts(accounts(&["1"]))).unwrap();
    let half = Matching { max_unmatched: Share::of(0.5), ..Matching::default() };
    let file = |key: &str| File::new(key).at(2_000).matching(half);
    let merge = |file: File, read| bed.stage(&file).merge(RowCounts { read, rejected: 0 });
    let error = merge(file("b.csv").accounts(accounts(&["1", "2", "3"])), 3).unwrap_err();
    assert_eq!(error.to_string(), "2 of 3 rows matched no account, and `max_unmatched_ratio` is 0.5; the first is `2`");
    assert_eq!(bed.fields(), ["1|stage|won"]);
    let preview = bed.preview(&file("b.csv").accounts(accounts(&["1", "2", "3"])));
    assert_eq!(preview.merged.unmatched, 2);
    let summary = merge(file("c.csv").accounts(accounts(&["1", "2"])), 2).unwrap();
    assert_eq!((summary.merged.matched, summary.merged.unmatched), (1, 1));
}

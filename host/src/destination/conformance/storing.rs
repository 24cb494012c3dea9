//! Confirming, replacing, refusing, and how values stand in the store.

use super::*;
use crate::destination::RejectRow;

pub(in crate::destination) fn stages(rows: &[(&str, Cell)]) -> Accounts {
    rows.iter().fold(Accounts::by_crm_id(vec![plain("stage")]), |accounts, (crm_id, cell)| {
        accounts.row(&[crm_id], vec![cell.clone()])
    })
}

/// I3, R1
pub(super) fn an_identity_is_confirmed_at_most_once(kind: Kind) {
    let bed = Bed::new(kind);
    let tenant = TenantName::default();
    let file = File::new("a.csv").accounts(stages(&[("1", text("won")), ("2", text("lost"))]));
    let identity = file.delivery().identity;
    assert_eq!(bed.destination.confirmed(&tenant, &identity).unwrap(), None);
    let rows = RowCounts { read: 3, rejected: 1 };
    let first = bed.stage(&file).merge(rows).unwrap();
    assert_eq!((first.merged.created, first.merged.matched, first.merged.updated), (2, 0, 0));
    assert_eq!((first.rows, first.content), (rows, file.delivery().content));
    let again = bed.stage(&file.clone().accounts(stages(&[("3", text("new"))])));
    assert_eq!(again.merge(RowCounts::default()).unwrap(), first);
    assert_eq!(bed.fields(), ["1|stage|won", "2|stage|lost"]);
    assert_eq!(bed.destination.confirmed(&tenant, &identity).unwrap().as_ref(), Some(&first));
    let reopened = bed.open_again().unwrap();
    assert_eq!(reopened.confirmed(&tenant, &identity).unwrap(), Some(first));
    assert_eq!(bed.rows("SELECT rows_read, rows_rejected FROM ingestion_history"), ["3|1"]);
}

/// R1
pub(super) fn a_replay_replaces_what_the_object_contributed(kind: Kind) {
    let bed = Bed::new(kind);
    bed.merge(&File::new("a.csv").at(10).accounts(stages(&[("1", text("old")), ("2", text("old"))]))).unwrap();
    let file = File::new("b.csv").at(20);
    bed.merge(&file.clone().accounts(stages(&[("1", text("new")), ("2", text("new")), ("3", text("new"))]))).unwrap();
    assert_eq!(bed.fields(), ["1|stage|new", "2|stage|new", "3|stage|new"]);
    let replay = file.generation(1).accounts(stages(&[("1", text("newer"))]));
    let merged = bed.merge(&replay).unwrap();
    assert_eq!((merged.matched, merged.updated, merged.unchanged), (1, 3, 0));
    // Account 2 has again what the other object said; account 3 stays, without the value (R3).
    assert_eq!(bed.fields(), ["1|stage|newer", "2|stage|old"]);
    assert_eq!(bed.rows("SELECT crm_id FROM account_overview ORDER BY 1"), ["1", "2", "3"]);
    assert_eq!(
        bed.rows(
            "SELECT generation, CASE WHEN replaced_by IS NULL THEN 'stands' ELSE 'replaced' END FROM ingestions
             WHERE etag = 'v1' AND dedup_key LIKE '%b.csv%' ORDER BY 1"
        ),
        ["0|replaced", "1|stands"]
    );
}

/// R1
pub(super) fn a_replay_with_the_same_content_changes_nothing(kind: Kind) {
    let bed = Bed::new(kind);
    let file = File::new("a.csv").accounts(stages(&[("1", text("x"))])).usage(
        Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Add)]).row("1", 5, 0, vec![Some(4)]).row(
            "1",
            6,
            0,
            vec![Some(3)],
        ),
    );
    bed.merge(&file).unwrap();
    let merged = bed.merge(&file.clone().generation(1)).unwrap();
    assert_eq!((merged.created, merged.updated, merged.unchanged, merged.usage_records), (0, 0, 1, 1));
    assert_eq!(bed.usage(), ["1|-|mau|1970-01-01|7"]);
    assert_eq!(bed.rows("SELECT count(*) FROM usage_contributions"), ["1"]);
    assert_eq!(bed.rows("SELECT count(*) FROM account_contributions"), ["1"]);
}

/// R2
pub(super) fn an_older_object_does_not_overwrite_a_newer_one(kind: Kind) {
    let bed = Bed::new(kind);
    bed.merge(&File::new("new.csv").at(20).accounts(stages(&[("1", text("new")), ("2", Cell::Clear)]))).unwrap();
    let older =
        File::new("old.csv").at(10).accounts(stages(&[("1", text("old")), ("2", text("old")), ("3", text("old"))]));
    let merged = bed.merge(&older).unwrap();
    assert_eq!((merged.matched, merged.created, merged.updated, merged.unchanged), (2, 1, 0, 2));
    assert_eq!(bed.fields(), ["1|stage|new", "3|stage|old"]);
}

pub(super) fn within_a_file_the_last_row_counts_and_a_null_keeps(kind: Kind) {
    let bed = Bed::new(kind);
    let fields = vec![
        plain("stage"),
        field("owner", ValueType::Text, WriteMode::IfEmpty),
        field("tags", ValueType::TextList, WriteMode::Append),
    ];
    let accounts = Accounts::by_crm_id(fields)
        .row(&["1"], vec![text("a"), text("first"), Cell::List(vec!["x", "z"])])
        .row(&["1"], vec![text("b"), text("second"), Cell::List(vec!["y", "x"])])
        .row(&["1"], vec![Cell::Keep, Cell::Keep, Cell::Keep])
        .row(&["2"], vec![text("a"), text("gone"), Cell::List(vec!["gone"])])
        .row(&["2"], vec![Cell::Clear, Cell::Clear, Cell::Clear])
        .row(&["2"], vec![Cell::Keep, text("kept"), Cell::List(vec!["kept"])]);
    bed.merge(&File::new("a.csv").accounts(accounts)).unwrap();
    let expected =
        [r#"1|owner|first"#, r#"1|stage|b"#, r#"1|tags|["x","y","z"]"#, "2|owner|kept", r#"2|tags|["kept"]"#];
    assert_eq!(bed.fields(), expected);
    let next = Accounts::by_crm_id(vec![
        field("owner", ValueType::Text, WriteMode::IfEmpty),
        field("tags", ValueType::TextList, WriteMode::Append),
    ])
    .row(&["1"], vec![text("late"), Cell::List(vec!["w"])])
    .row(&["3"], vec![text("new"), Cell::List(vec!["q", "q"])]);
    let merged = bed.merge(&File::new("b.csv").at(2_000).accounts(next)).unwrap();
    assert_eq!((merged.matched, merged.created, merged.updated, merged.unchanged), (1, 1, 1, 0));
    assert_eq!(bed.fields()[..3], ["1|owner|first", "1|stage|b", r#"1|tags|["w","x","y","z"]"#]);
}

pub(super) fn a_field_keeps_its_type(kind: Kind) {
    let bed = Bed::new(kind);
    bed.merge(&File::new("a.csv").accounts(stages(&[("1", text("won"))]))).unwrap();
    let accounts = Accounts::by_crm_id(vec![field("stage", ValueType::Integer, WriteMode::Overwrite)])
        .row(&["2"], vec![Cell::Number(7)]);
    let error = bed.merge(&File::new("b.csv").accounts(accounts)).unwrap_err();
    assert_eq!(error.to_string(), "field `stage` is stored as text, the mapper brings integer");
    assert!(error.is_files_fault());
    // Nothing of it stayed, and the store goes on.
    assert_eq!(bed.rows("SELECT crm_id FROM account_overview"), ["1"]);
    assert_eq!(bed.merge(&File::new("c.csv").accounts(stages(&[("1", text("lost"))]))).unwrap().updated, 1);
}

pub(super) fn decimals_are_stored_exactly(kind: Kind) {
    let bed = Bed::new(kind);
    let money = OutputField {
        semantic: Semantic::Currency,
        unit: Some("EUR".to_owned()),
        ..field("arr", ValueType::Decimal(2), WriteMode::Overwrite)
    };
    let accounts = Accounts::by_crm_id(vec![money.clone()]).row(&["1"], vec![Cell::Number(123_450)]);
    bed.merge(&File::new("a.csv").accounts(accounts)).unwrap();
    // Another scale is the same type.
    let finer = OutputField { value_type: ValueType::Decimal(4), ..money };
    let accounts = Accounts::by_crm_id(vec![finer]).row(&["2"], vec![Cell::Number(-1)]);
    bed.merge(&File::new("b.csv").accounts(accounts)).unwrap();
    assert_eq!(
        bed.rows("SELECT crm_id, value, value_type, semantic, unit FROM account_field_values ORDER BY 1"),
        ["1|1234.5|decimal|currency|EUR", "2|-0.0001|decimal|currency|EUR"]
    );
}

/// R7
pub(super) fn a_file_in_which_nothing_matched_is_refused(kind: Kind) {
    let bed = Bed::new(kind);
    let file = File::new("a.csv").skipping().accounts(stages(&[("1", text("won")), ("2", text("won"))]));
    let error = bed.merge(&file).unwrap_err();
    assert!(matches!(error, DestinationError::NoAccountMatched { rows: 2 }), "{error}");
    assert!(!error.is_files_fault());
    assert_eq!(bed.destination.confirmed(&TenantName::default(), &file.delivery().identity).unwrap(), None);
    assert_eq!(bed.rows("SELECT count(*) FROM ingestions"), ["0"]);
    // To look at it is no failure.
    let preview = bed.preview(&file);
    assert_eq!((preview.merged.unmatched, preview.accounts.len()), (2, 2));
    // A header alone, or nothing but rejects, is no such file.
    assert_eq!(bed.merge(&File::new("empty.csv").skipping().accounts(stages(&[]))).unwrap(), Merged::default());
    let rejected = File { rejected: vec![0, 1], ..file.clone() };
    assert_eq!(bed.merge(&rejected).unwrap(), Merged::default());
}

pub(super) fn rejected_rows_bring_nothing_even_when_they_are_rejected_late(kind: Kind) {
    let bed = Bed::new(kind);
    let accounts = stages(&[("1", text("a")), ("2", text("b")), ("3", text("c"))]);
    let usage = Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)])
        .row("1", 0, 0, vec![Some(1)])
        .row("2", 0, 0, vec![Some(2)])
        .row("3", 0, 0, vec![Some(3)]);
    let file = File { rejected: vec![1], ..File::new("a.csv").accounts(accounts.clone()).usage(usage.clone()) };
    let mut staging = bed.stage(&file);
    staging.reject_row(2).unwrap();
    staging.reject_row(9).unwrap();
    // The next table's rows are other rows.
    staging.open_table(Some(&accounts.layout()), None).unwrap();
    staging.accounts(&stages(&[("4", text("d")), ("5", text("e"))]).batch(), &[]).unwrap();
    let merged = staging.merge(RowCounts::default()).unwrap().merged;
    assert_eq!((merged.created, merged.usage_values, merged.usage_records), (3, 1, 1));
    assert_eq!(bed.rows("SELECT crm_id FROM account_overview ORDER BY 1"), ["1", "4", "5"]);
    assert_eq!(bed.usage(), ["1|-|mau|1970-01-01|1"]);
}

/// R1
pub(super) fn rejects_are_kept_with_their_ingestion(kind: Kind) {
    let bed = Bed::new(kind);
    let reject = RejectRow {
        table: 0,
        row: 3,
        line: 5,
        column: Some("ARR".to_owned()),
        value: Some("abc".to_owned()),
        code: "not-a-number".to_owned(),
        message: "`abc` is not a number".to_owned(),
        origin: "crm:acme/exports/a.csv#etag=v1#line=5".to_owned(),
    };
    let file = File::new("a.csv").accounts(stages(&[("1", text("a"))]));
    let mut staging = bed.stage(&file);
    staging.rejects(&[reject.clone(), RejectRow { column: None, value: None, line: 6, ..reject.clone() }]).unwrap();
    staging.merge(RowCounts::default()).unwrap();
    let sql = "SELECT key, line, column_name, value, code FROM rejected_rows ORDER BY line";
    assert_eq!(bed.rows(sql), ["a.csv|5|ARR|abc|not-a-number", "a.csv|6|-|-|not-a-number"]);
    let mut staging = bed.stage(&file.generation(1));
    staging.rejects(&[RejectRow { line: 9, ..reject }]).unwrap();
    staging.merge(RowCounts::default()).unwrap();
    assert_eq!(bed.rows(sql), ["a.csv|9|ARR|abc|not-a-number"]);
    assert_eq!(bed.rows("SELECT generation, rejects FROM ingestion_history ORDER BY 1"), ["0|0", "1|1"]);
}

pub(super) fn a_preview_tells_what_would_happen_and_writes_nothing(kind: Kind) {
    let bed = Bed::new(kind);
    let file = File::new("a.csv").accounts(stages(&[("1", text("won")), ("2", text("won"))]));
    let preview = bed.preview(&file);
    assert_eq!((preview.merged.created, preview.accounts.len()), (2, 2));
    assert!(bed.is_untouched());

    bed.merge(&file).unwrap();
    let before = bed.rows("SELECT * FROM account_contributions");
    let accounts = stages(&[("1", text("won")), ("2", text("lost")), ("3", Cell::Clear)]);
    let usage = Usage::of(vec![Series {
        value_type: ValueType::Decimal(2),
        unit: Some("GB".to_owned()),
        ..series("storage", Aggregate::Sum, Repeat::Replace)
    }])
    .row("1", 3, 0, vec![Some(150)]);
    let next = File::new("b.csv").at(5_000).skipping().accounts(accounts).usage(usage);
    let preview = bed.preview(&next);
    assert_eq!(
        serde_json::to_value(&preview.accounts).unwrap(),
        serde_json::json!([
            { "table": 0, "row": 0, "change": "unchanged", "identifier": { "crm_id": "1" }, "fields": { "stage": "won" } },
            { "table": 0, "row": 1, "change": "updated", "identifier": { "crm_id": "2" }, "fields": { "stage": "lost" } },
            { "table": 0, "row": 2, "change": "unmatched", "identifier": { "crm_id": "3" }, "fields": { "stage": null } },
        ])
    );
    assert_eq!(
        serde_json::to_value(&preview.usage).unwrap(),
        serde_json::json!([{
            "table": 0, "row": 0, "change": "created", "product": "Core", "metric": "storage", "unit": "GB", "user": null,
            "date": "1970-01-04", "period_start": "1970-01-01", "value": 1.5, "identifier": { "crm_id": "1" },
        }])
    );
    assert_eq!(bed.rows("SELECT * FROM account_contributions"), before);
    assert_eq!(bed.rows("SELECT count(*) FROM ingestions"), ["1"]);
    assert_eq!(bed.merge(&next).unwrap(), preview.merged);
}

/// R13
pub(super) fn tenants_match_among_their_own_accounts(kind: Kind) {
    let bed = Bed::new(kind);
    let file = File::new("a.csv").accounts(stages(&[("1", text("won"))]));
    bed.merge(&file).unwrap();
    let other: TenantName = "other".parse().unwrap();
    assert_eq!(bed.destination.lacks_accounts(&TenantName::default()).unwrap(), Some(false));
    assert_eq!(bed.destination.lacks_accounts(&other).unwrap(), Some(true));
    let mut staging = bed.destination.stage(Delivery { tenant: other, ..file.delivery() }).unwrap();
    let accounts = stages(&[("1", text("lost"))]);
    staging.open_table(Some(&accounts.layout()), None).unwrap();
    staging.accounts(&accounts.batch(), &[]).unwrap();
    assert_eq!(staging.merge(RowCounts::default()).unwrap().merged.created, 1);
    // The first tenant's account is as it was, and matches its own alone, by its id as well.
    let again = File::new("b.csv").at(2_000).skipping().accounts(stages(&[("1", text("won"))]));
    let merged = bed.merge(&again).unwrap();
    assert_eq!((merged.matched, merged.unchanged, merged.ambiguous), (1, 1, 0));
    let ids = (1..9).map(|id| id.to_string());
    let by_id = ids.fold(Accounts::by(vec![vec![MatchKey::Id]], vec![plain("stage")]), |accounts, id| {
        accounts.row(&[&id], vec![text("won")])
    });
    let merged = bed.merge(&File::new("c.csv").at(3_000).skipping().accounts(by_id)).unwrap();
    assert_eq!((merged.matched, merged.unmatched), (1, 7));
}

pub(super) fn several_objects_are_staged_and_merged_at_once(kind: Kind) {
    let bed = Bed::new(kind);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let bed = &bed;
            scope.spawn(move || {
                let rows: Vec<String> = (0..50).map(|row| (number * 25 + row).to_string()).collect();
                let rows: Vec<(&str, Cell)> = rows.iter().map(|row| (row.as_str(), text("x"))).collect();
                bed.merge(&File::new(&format!("{number}.csv")).accounts(stages(&rows))).unwrap();
            });
        }
    });
    assert_eq!(bed.rows("SELECT count(*) FROM accounts"), ["175"]);
}

pub(super) fn more_fields_than_a_table_has_columns_are_stored(kind: Kind) {
    let bed = Bed::new(kind);
    let fields: Vec<OutputField> = (0..2_500).map(|number| plain(&format!("f{number}"))).collect();
    let cells = (0..2_500).map(|number| text(&number.to_string())).collect();
    bed.merge(&File::new("a.csv").accounts(Accounts::by_crm_id(fields).row(&["1"], cells))).unwrap();
    assert_eq!(
        bed.rows("SELECT count(*), sum(CAST(value AS INTEGER)) FROM account_field_values"),
        [format!("2500|{}", 2_499 * 2_500 / 2)]
    );
}

pub(super) fn every_type_stands_as_people_read_it(kind: Kind) {
    let bed = Bed::new(kind);
    let typed = |name: &str, value_type| field(name, value_type, WriteMode::Overwrite);
    let fields = vec![
        typed("count", ValueType::Integer),
        typed("list", ValueType::TextList),
        typed("money", ValueType::Decimal(3)),
        typed("text", ValueType::Text),
    ];
    let odd = "tab\tquote\" back\\slash\nü 中 \u{1f41f}";
    let cells = vec![Cell::Number(i64::MIN), Cell::List(vec!["a\"b", "ü", "tab\t"]), Cell::Number(-1_050), text(odd)];
    bed.merge(&File::new("a.csv").accounts(Accounts::by_crm_id(fields).row(&["1"], cells))).unwrap();
    let value = |field: &str| {
        // As JSON, so that a line end does not end the row.
        let column = if bed.kind == Kind::Postgres { "to_json(value)" } else { "json_quote(value)" };
        let shown = bed.rows(&format!("SELECT {column} FROM account_field_values WHERE field = '{field}'")).remove(0);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        shown.as_str().map_or_else(|| shown.to_string(), str::to_owned)
    };
    assert_eq!((value("count").as_str(), value("money").as_str()), ("-9223372036854775808", "-1.05"));
    assert_eq!(value("text"), odd);
    assert_eq!(serde_json::from_str::<Vec<String>>(&value("list")).unwrap(), ["a\"b", "ü", "tab\t"]);
}

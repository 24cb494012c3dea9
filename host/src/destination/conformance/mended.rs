//! Mended rejects: they join what their origin contributed, and each row counts once (R9, R10).

use super::*;
use crate::destination::webhook::tests::Request;

const ORIGIN: &str = "crm:acme/exports/a.csv#etag=v1#line=";

fn origin_row(line: u64) -> String {
    format!("{ORIGIN}{line}")
}

fn reject(line: u64) -> RejectRow {
    RejectRow {
        table: 0,
        row: line as u32 - 2,
        line,
        column: Some("calls".to_owned()),
        value: Some("many".to_owned()),
        code: "not_a_number".to_owned(),
        message: "`many` is not a number".to_owned(),
        origin: origin_row(line),
    }
}

/// A file whose rows of these lines were refused.
fn merge_origin(bed: &Bed, file: &File, refused: &[u64]) -> Merged {
    let mut staging = bed.stage(file);
    staging.rejects(&refused.iter().map(|line| reject(*line)).collect::<Vec<_>>()).unwrap();
    staging.merge(RowCounts::default()).unwrap().merged
}

/// Mended rows of `a.csv`, one for each of these lines.
fn merge_mended(bed: &Bed, file: File, lines: &[u64]) -> Result<Merged, DestinationError> {
    let origin = File::new("a.csv").delivery().object.dedup_key();
    let file = File { brings: Brings::Mended { origin }, ..file };
    let rows: Vec<String> = lines.iter().map(|line| origin_row(*line)).collect();
    let rows: Vec<_> = (0..).zip(&rows).map(|(row, origin)| MendedRow { row, origin }).collect();
    let mut staging = bed.stage(&file);
    staging.mends(&rows)?;
    staging.merge(RowCounts::default()).map(|summary| summary.merged)
}

fn calls(repeat: Repeat, values: &[i64]) -> Usage {
    let usage = Usage::of(vec![series("calls", Aggregate::Sum, repeat)]);
    values.iter().fold(usage, |usage, value| usage.row("1", 0, 0, vec![Some(*value)]))
}

fn replacing(values: &[i64]) -> Usage {
    calls(Repeat::Replace, values)
}

fn total(bed: &Bed) -> String {
    let usage = bed.usage();
    let [record] = usage.as_slice() else { panic!("{usage:?}") };
    record.rsplit('|').next().unwrap().to_owned()
}

/// R9: under `replace` a value is the aggregate over the newest object and its mended rejects.
pub(super) fn mended_rows_count_with_their_object(kind: Kind) {
    for repeat in [Repeat::Replace, Repeat::Add] {
        let bed = Bed::new(kind);
        merge_origin(&bed, &File::new("a.csv").usage(calls(repeat, &[1])), &[3, 4]);
        merge_mended(&bed, File::new("m.csv").at(5_000).usage(calls(repeat, &[10])), &[3]).unwrap();
        assert_eq!(total(&bed), "11", "{repeat:?}");
        // The next round's file joins the same object, also as a new version of the same key.
        merge_mended(&bed, File::new("m.csv").version(2).at(6_000).usage(calls(repeat, &[100])), &[4]).unwrap();
        assert_eq!(total(&bed), "111", "{repeat:?}");
        assert_eq!(bed.rows("SELECT objects FROM usage_records"), ["3"]);
    }
}

/// R2, R9: what is mended of an older version does not bring it back.
pub(super) fn mended_rows_of_a_superseded_version_do_not_bring_it_back(kind: Kind) {
    for repeat in [Repeat::Replace, Repeat::Add] {
        let newer = || File::new("a.csv").version(2).at(2_000);
        let bed = Bed::new(kind);
        merge_origin(&bed, &File::new("a.csv").usage(calls(repeat, &[1])), &[3]);
        bed.merge(&newer().usage(calls(repeat, &[7]))).unwrap();
        merge_mended(&bed, File::new("m.csv").at(5_000).usage(calls(repeat, &[10])), &[3]).unwrap();
        assert_eq!(total(&bed), "7", "{repeat:?}");
        // The other way round.
        let bed = Bed::new(kind);
        merge_origin(&bed, &File::new("a.csv").usage(calls(repeat, &[1])), &[3]);
        merge_mended(&bed, File::new("m.csv").at(5_000).usage(calls(repeat, &[10])), &[3]).unwrap();
        bed.merge(&newer().usage(calls(repeat, &[7]))).unwrap();
        assert_eq!(total(&bed), "7", "{repeat:?}");
    }
}

/// R2: mended fields stand right behind those of their object.
pub(super) fn mended_fields_win_over_their_object_and_over_nothing_newer(kind: Kind) {
    let bed = Bed::new(kind);
    let stages = |stage: &str| Accounts::by_crm_id(vec![plain("stage")]).row(&["1"], vec![text(stage)]);
    merge_origin(&bed, &File::new("a.csv").at(1_000).accounts(stages("original")), &[3]);
    let mended = File::new("m.csv").at(9_000).accounts(stages("mended"));
    merge_mended(&bed, mended.clone(), &[3]).unwrap();
    assert_eq!(bed.fields(), ["1|stage|mended"]);
    bed.merge(&File::new("b.csv").at(2_000).accounts(stages("newer"))).unwrap();
    assert_eq!(bed.fields(), ["1|stage|newer"]);
    // A replay of the object does not overtake what was mended of it.
    let bed = Bed::new(kind);
    merge_origin(&bed, &File::new("a.csv").at(1_000).accounts(stages("original")), &[3]);
    merge_mended(&bed, mended, &[3]).unwrap();
    let again = File { brings: Brings::Own { mended: 1 }, ..File::new("a.csv").at(1_000).generation(1) };
    bed.merge(&again.accounts(stages("again"))).unwrap();
    assert_eq!(bed.fields(), ["1|stage|mended"]);
}

/// R9: a row that a replay takes by itself was refused no longer, not even by a mended file that had it refused again.
pub(super) fn a_row_that_a_replay_takes_is_not_mended_any_more(kind: Kind) {
    let bed = Bed::new(kind);
    merge_origin(&bed, &File::new("a.csv").usage(replacing(&[1])), &[3, 4]);
    // Line 3 is mended, line 4 refused again.
    let origin = File::new("a.csv").delivery().object.dedup_key();
    let mended = File { brings: Brings::Mended { origin }, ..File::new("m.csv").at(5_000).usage(replacing(&[10])) };
    let mut staging = bed.stage(&mended);
    staging.mends(&[MendedRow { row: 0, origin: &origin_row(3) }]).unwrap();
    staging.rejects(&[reject(4)]).unwrap();
    staging.merge(RowCounts::default()).unwrap();
    assert_eq!(total(&bed), "11");
    // Another mapping reads line 4.
    let again = File { brings: Brings::Own { mended: 1 }, ..File::new("a.csv").generation(1) };
    bed.merge(&again.usage(replacing(&[1, 100]))).unwrap();
    assert_eq!(total(&bed), "111");
    let refused = merge_mended(&bed, File::new("m.csv").at(5_000).generation(1).usage(replacing(&[10, 100])), &[3, 4]);
    assert!(matches!(refused, Err(DestinationError::NotRefused { .. })), "{refused:?}");
    assert_eq!(total(&bed), "111");
}

/// R1: taken again, an object leaves out the rows that were mended, and those still count.
pub(super) fn a_replay_of_the_object_doubles_no_mended_row(kind: Kind) {
    let bed = Bed::new(kind);
    let file = || File::new("a.csv").usage(replacing(&[1]));
    let delivery = file().delivery();
    let taken = || {
        let Identity { integration, dedup_key, .. } = &delivery.identity;
        bed.destination.taken(&delivery.tenant, integration, dedup_key).unwrap()
    };
    assert_eq!(taken(), None);
    merge_origin(&bed, &file(), &[3, 4]);
    merge_mended(&bed, File::new("m.csv").at(5_000).usage(replacing(&[10])), &[3]).unwrap();
    let known = taken().unwrap();
    assert_eq!((known.object, known.mended), (delivery.object.clone(), vec![origin_row(3)]));

    // Whoever does not know of the mended row would double it.
    let error = bed.merge(&file().generation(1)).unwrap_err();
    assert!(matches!(error, DestinationError::MendedMeanwhile) && !error.is_files_fault(), "{error}");
    let again = File { brings: Brings::Own { mended: 1 }, ..file().generation(1) };
    merge_origin(&bed, &again, &[4]);
    assert_eq!(total(&bed), "11");
    assert_eq!(taken().unwrap().mended, [origin_row(3)]);
    // What is left is mended as before; what is not, no more.
    merge_mended(&bed, File::new("n.csv").at(6_000).usage(replacing(&[100])), &[4]).unwrap();
    assert_eq!(total(&bed), "111");
    let error = merge_mended(&bed, File::new("o.csv").usage(replacing(&[1_000])), &[5]).unwrap_err();
    assert!(matches!(&error, DestinationError::NotRefused { row } if *row == origin_row(5)), "{error}");
    assert!(error.is_files_fault());
}

/// R1
pub(super) fn a_replay_of_the_mended_file_takes_its_place(kind: Kind) {
    let bed = Bed::new(kind);
    merge_origin(&bed, &File::new("a.csv").usage(replacing(&[1])), &[3]);
    let mended = || File::new("m.csv").at(5_000);
    merge_mended(&bed, mended().usage(replacing(&[10])), &[3]).unwrap();
    merge_mended(&bed, mended().generation(1).usage(replacing(&[20])), &[3]).unwrap();
    assert_eq!(total(&bed), "21");
    merge_mended(&bed, mended().generation(1).usage(replacing(&[30])), &[3]).unwrap();
    assert_eq!(total(&bed), "21");
}

/// A row counts once, however often and under whatever key it is mended.
pub(super) fn rows_that_are_mended_again_count_once(kind: Kind) {
    let files = [
        (File::new("m.csv").at(5_000).usage(replacing(&[10, 20])), vec![3, 4]),
        (File::new("copy.csv").at(5_001).usage(replacing(&[10, 20])), vec![3, 4]),
        (File::new("better.csv").at(5_002).usage(replacing(&[10, 21, 100])), vec![3, 4, 5]),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let bed = Bed::new(kind);
        merge_origin(&bed, &File::new("a.csv").usage(replacing(&[1])), &[3, 4, 5, 6]);
        for number in order {
            let (file, lines) = &files[number];
            merge_mended(&bed, file.clone(), lines).unwrap();
        }
        assert_eq!(total(&bed), "132", "{order:?}");
        // What mends one of them alone cannot take back the others.
        let error = merge_mended(&bed, File::new("one.csv").at(6_000).usage(replacing(&[9])), &[4]).unwrap_err();
        assert!(matches!(&error, DestinationError::MendedInCompany { by, .. } if by == "better.csv"), "{error}");
        assert_eq!(total(&bed), "132", "{order:?}");
    }
}

/// A mended row that is rejected after it was staged is as much left to mend as before.
pub(super) fn a_mended_row_that_is_rejected_late_is_left_to_mend(kind: Kind) {
    let bed = Bed::new(kind);
    merge_origin(&bed, &File::new("a.csv").usage(replacing(&[1])), &[3, 4]);
    let origin = File::new("a.csv").delivery().object.dedup_key();
    let file = File { brings: Brings::Mended { origin }, ..File::new("m.csv").at(5_000).usage(replacing(&[10, 20])) };
    let mut staging = bed.stage(&file);
    let rows = [origin_row(3), origin_row(4)];
    staging.mends(&[MendedRow { row: 0, origin: &rows[0] }, MendedRow { row: 1, origin: &rows[1] }]).unwrap();
    staging.reject_row(1).unwrap();
    staging.merge(RowCounts::default()).unwrap();
    assert_eq!(total(&bed), "11");
    merge_mended(&bed, File::new("n.csv").at(6_000).usage(replacing(&[100])), &[4]).unwrap();
    assert_eq!(total(&bed), "111");
}

/// Rows of an object that is not there join nothing, and leave nothing.
pub(super) fn mended_rows_wait_for_their_object(kind: Kind) {
    let bed = Bed::new(kind);
    let mended = || File::new("m.csv").at(5_000).usage(replacing(&[10]));
    let error = merge_mended(&bed, mended(), &[3]).unwrap_err();
    assert!(matches!(error, DestinationError::OriginNotTaken { .. }) && !error.is_files_fault(), "{error}");
    merge_origin(&bed, &File::new("a.csv").usage(replacing(&[1])), &[3]);
    merge_mended(&bed, mended(), &[3]).unwrap();
    assert_eq!(total(&bed), "11");
}

/// Files leave joining to their reader: each row says which one it stands for.
pub(super) fn mended_rows_say_where_they_come_from(kind: Kind) {
    let bed = Bed::new(kind);
    let delivery = File::new("a.csv").delivery();
    let Identity { integration, dedup_key, .. } = &delivery.identity;
    merge_origin(&bed, &File::new("a.csv").usage(replacing(&[1])), &[3]);
    let taken = bed.destination.taken(&delivery.tenant, integration, dedup_key).unwrap().unwrap();
    assert_eq!((taken.object, taken.mended), (delivery.object.clone(), vec![]));
    merge_mended(&bed, File::new("m.csv").at(5_000).usage(replacing(&[10])), &[3]).unwrap();
    let mended = File::new("m.csv").delivery().identity.dedup_key;
    assert_eq!(bed.destination.taken(&delivery.tenant, integration, &mended).unwrap(), None);
    let read = |name: &str| {
        let paths = bed.files().into_iter().filter(|path| path.ends_with(name)).collect::<Vec<_>>();
        paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(read("mended.ndjson"), [format!("{{\"table\":0,\"row\":0,\"origin\":\"{ORIGIN}3\"}}\n")]);
    let mends = format!("\"mends\": \"{dedup_key}\"");
    assert_eq!(read("ingestion.json").iter().filter(|text| text.contains(&mends)).count(), 1);
}

/// R10
pub(super) fn mended_rows_are_sent_with_where_they_come_from(kind: Kind) {
    let bed = Bed::new(kind);
    let delivery = File::new("a.csv").delivery();
    let Identity { integration, dedup_key, .. } = &delivery.identity;
    merge_origin(&bed, &File::new("a.csv").usage(replacing(&[1])), &[3]);
    let taken = bed.destination.taken(&delivery.tenant, integration, dedup_key).unwrap().unwrap();
    assert_eq!((taken.object, taken.mended), (delivery.object.clone(), vec![]));
    merge_mended(&bed, File::new("m.csv").at(5_000).usage(replacing(&[10])), &[3]).unwrap();
    let mended = File::new("m.csv").delivery().identity.dedup_key;
    assert_eq!(bed.destination.taken(&delivery.tenant, integration, &mended).unwrap(), None);
    let bodies: Vec<_> = Hook::shared().seen_at(&bed.schema).iter().map(Request::json).collect();
    let mending: Vec<_> = bodies.iter().filter(|body| body["mends"] == dedup_key.as_str()).collect();
    assert_eq!(mending.len(), 1, "{bodies:?}");
    assert_eq!(mending[0]["mended"][0]["origin"], format!("{ORIGIN}3"));
    assert_eq!(mending[0]["usage"][0]["row"], 0);
}

/// R9, R10, R17: a row is the same row under another name of its integration.
pub(super) fn mended_rows_join_what_came_under_the_former_name(kind: Kind) {
    let bed = Bed::new(kind);
    let renamed = |file: File| File { integration: "sales", ..file };
    merge_origin(&bed, &File::new("a.csv").usage(replacing(&[1])), &[3, 4]);
    merge_mended(&bed, File::new("m.csv").at(5_000).usage(replacing(&[10])), &[3]).unwrap();
    super::names::rename(&bed, "crm", "sales").unwrap();
    assert_eq!(bed.rows("SELECT integration, count(*) FROM ingestion_history GROUP BY 1"), ["sales|2"]);
    let named = "SELECT DISTINCT substr(origin_row, 1, 11) FROM";
    for table in ["rejects", "mended_rows"] {
        assert_eq!(bed.rows(&format!("{named} {table}")), ["sales:acme/"], "{table}");
    }

    let origin = renamed(File::new("a.csv")).delivery().object.dedup_key();
    let mend = |file: File, line: u64| {
        let row = origin_row(line).replacen("crm:", "sales:", 1);
        let file = renamed(File { brings: Brings::Mended { origin: origin.clone() }, ..file });
        let mut staging = bed.stage(&file);
        staging.mends(&[MendedRow { row: 0, origin: &row }]).unwrap();
        staging.merge(RowCounts::default()).map(|summary| summary.merged)
    };
    mend(File::new("n.csv").at(6_000).usage(replacing(&[100])), 4).unwrap();
    assert_eq!(total(&bed), "111");
    // Mended before, and mended again.
    mend(File::new("o.csv").at(7_000).usage(replacing(&[20])), 3).unwrap();
    assert_eq!(total(&bed), "121");
    let replay = renamed(File { brings: Brings::Own { mended: 2 }, ..File::new("a.csv").generation(1) });
    bed.merge(&replay.usage(replacing(&[2]))).unwrap();
    assert_eq!(total(&bed), "122");
}

/// R9, R10, R17: a row is the same row when its object is in another place.
pub(super) fn mended_rows_join_what_came_from_the_former_place(kind: Kind) {
    let bed = Bed::new(kind);
    let moved = |file: File| File { bucket: "imports", key: format!("new/{}", file.key), ..file };
    merge_origin(&bed, &File::new("a.csv").usage(replacing(&[1])), &[3, 4]);
    merge_mended(&bed, File::new("m.csv").at(5_000).usage(replacing(&[10])), &[3]).unwrap();
    super::places::relocate(&bed, "crm", &super::places::relocation(["exports", ""], ["imports", "new/"])).unwrap();
    for table in ["rejects", "mended_rows"] {
        let named = format!("SELECT DISTINCT substr(origin_row, 1, 20) FROM {table}");
        assert_eq!(bed.rows(&named), ["crm:acme/imports/new"], "{table}");
    }
    let origin = moved(File::new("a.csv")).delivery().object.dedup_key();
    let mend = |file: File, line: u64| {
        let row = origin_row(line).replacen("exports/", "imports/new/", 1);
        let file = moved(File { brings: Brings::Mended { origin: origin.clone() }, ..file });
        let mut staging = bed.stage(&file);
        staging.mends(&[MendedRow { row: 0, origin: &row }]).unwrap();
        staging.merge(RowCounts::default()).map(|summary| summary.merged)
    };
    mend(File::new("n.csv").at(6_000).usage(replacing(&[100])), 4).unwrap();
    assert_eq!(total(&bed), "111");
    mend(File::new("o.csv").at(7_000).usage(replacing(&[20])), 3).unwrap();
    assert_eq!(total(&bed), "121");
    let replay = moved(File { brings: Brings::Own { mended: 2 }, ..File::new("a.csv").generation(1) });
    bed.merge(&replay.usage(replacing(&[2]))).unwrap();
    assert_eq!(total(&bed), "122");
    // A newer version takes the place of what the key brought.
    bed.merge(&moved(File::new("a.csv").version(2).at(8_000).usage(replacing(&[7])))).unwrap();
    assert_eq!(total(&bed), "7");
}

//! Aggregating, replacing and adding usage.

use super::*;

fn number(value: i64) -> Vec<Option<i64>> {
    vec![Some(value)]
}

pub(super) fn rows_of_one_file_are_aggregated(kind: Kind) {
    let bed = Bed::new(kind);
    let all = [
        ("avg", Aggregate::Avg),
        ("count", Aggregate::Count),
        ("last", Aggregate::Last),
        ("max", Aggregate::Max),
        ("min", Aggregate::Min),
        ("sum", Aggregate::Sum),
    ];
    let usage = Usage::of(all.iter().map(|(name, aggregate)| series(name, *aggregate, Repeat::Replace)).collect());
    // The newest date is not the last row; of two rows of one date the later one is last.
    let usage = usage
        .row("1", 9, 0, vec![Some(5); 6])
        .row("1", 9, 0, vec![Some(4); 6])
        .row("1", 3, 0, vec![Some(9); 6])
        .row("1", 40, 31, vec![Some(2); 6])
        .row("1", 8, 0, vec![None; 6]);
    let merged = bed.merge(&File::new("a.csv").usage(usage)).unwrap();
    assert_eq!((merged.created, merged.usage_values, merged.usage_records), (1, 24, 12));
    let january: Vec<String> = bed.usage().into_iter().filter(|row| row.contains("1970-01")).collect();
    let expected = [
        "avg|1970-01-01|6",
        "count|1970-01-01|3",
        "last|1970-01-01|4",
        "max|1970-01-01|9",
        "min|1970-01-01|4",
        "sum|1970-01-01|18",
    ];
    assert_eq!(january, expected.map(|row| format!("1|-|{row}")));
}

/// R9
pub(super) fn the_newest_object_replaces_and_older_ones_do_not(kind: Kind) {
    let bed = Bed::new(kind);
    let mau = || Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)]);
    bed.merge(&File::new("b.csv").at(20).usage(mau().row("1", 0, 0, number(7)).row("2", 0, 0, number(8)))).unwrap();
    bed.merge(&File::new("a.csv").at(10).usage(mau().row("1", 0, 0, number(1)).row("3", 0, 0, number(3)))).unwrap();
    assert_eq!(bed.usage(), ["1|-|mau|1970-01-01|7", "2|-|mau|1970-01-01|8", "3|-|mau|1970-01-01|3"]);
    let merged = bed.merge(&File::new("c.csv").at(30).usage(mau().row("2", 0, 0, number(9)))).unwrap();
    assert_eq!(merged.usage_records, 1);
    assert_eq!(bed.usage(), ["1|-|mau|1970-01-01|7", "2|-|mau|1970-01-01|9", "3|-|mau|1970-01-01|3"]);
    assert_eq!(bed.rows("SELECT key, objects FROM usage_records ORDER BY crm_id"), ["b.csv|1", "c.csv|1", "a.csv|1"]);
}

/// R9, R3
pub(super) fn adding_takes_every_objects_latest_version_once(kind: Kind) {
    let bed = Bed::new(kind);
    let calls = || Usage::of(vec![series("calls", Aggregate::Sum, Repeat::Add)]);
    let merge = |file: File| bed.merge(&file).unwrap();
    merge(File::new("a.csv").at(10).usage(calls().row("1", 0, 0, number(1)).row("2", 0, 0, number(1))));
    merge(File::new("b.csv").at(11).usage(calls().row("1", 0, 0, number(10))));
    assert_eq!(bed.usage(), ["1|-|calls|1970-01-01|11", "2|-|calls|1970-01-01|1"]);
    // A newer version of a.csv counts in the place of the older; what it no longer brings stays.
    merge(File::new("a.csv").version(2).at(12).usage(calls().row("1", 0, 0, number(100))));
    assert_eq!(bed.usage(), ["1|-|calls|1970-01-01|110", "2|-|calls|1970-01-01|1"]);
    merge(File::new("a.csv").version(2).generation(1).at(12).usage(calls().row("2", 0, 0, number(5))));
    assert_eq!(bed.usage(), ["1|-|calls|1970-01-01|11", "2|-|calls|1970-01-01|5"]);
    assert_eq!(bed.rows("SELECT objects, key FROM usage_records ORDER BY crm_id"), ["2|b.csv", "1|a.csv"]);
}

/// R5, R1: the version that was left out for its bytes is asked for again after the mapping was mended.
pub(super) fn a_replay_of_bytes_that_an_older_version_had_takes_its_place(kind: Kind) {
    for repeat in [Repeat::Add, Repeat::Replace] {
        let bed = Bed::new(kind);
        let calls = || Usage::of(vec![series("calls", Aggregate::Sum, repeat)]);
        let file = |version| File { content: Some(7), ..File::new("a.csv").version(version).at(version as i64) };
        bed.merge(&file(1).usage(calls().row("1", 0, 0, number(5)))).unwrap();
        bed.merge(&File::new("b.csv").at(1).usage(calls().row("2", 0, 0, number(1)))).unwrap();
        bed.merge(&file(2).generation(1).usage(calls().row("1", 31, 31, number(5)))).unwrap();
        assert_eq!(bed.usage(), ["1|-|calls|1970-02-01|5", "2|-|calls|1970-01-01|1"], "{repeat:?}");
        // Other bytes are another version: what it no longer brings stays (R3).
        bed.merge(&File::new("a.csv").version(3).generation(1).at(9).usage(calls().row("1", 0, 0, number(2)))).unwrap();
        assert_eq!(bed.usage().len(), 3, "{repeat:?}");
    }
}

pub(super) fn usage_is_kept_by_user(kind: Kind) {
    let bed = Bed::new(kind);
    let logins = || Usage::of(vec![series("logins", Aggregate::Sum, Repeat::Replace)]).by_email();
    let usage = logins()
        .user_row("1", "a@x", 0, 0, number(1))
        .user_row("1", "b@x", 0, 0, number(2))
        .user_row("1", "a@x", 0, 0, number(3))
        .user_row("2", "a@x", 0, 0, number(4));
    assert_eq!(bed.merge(&File::new("a.csv").usage(usage)).unwrap().usage_records, 3);
    bed.merge(&File::new("b.csv").at(2_000).usage(logins().user_row("1", "b@x", 0, 0, number(9)))).unwrap();
    assert_eq!(bed.usage(), ["1|a@x|logins|1970-01-01|4", "1|b@x|logins|1970-01-01|9", "2|a@x|logins|1970-01-01|4"]);
}

pub(super) fn decimals_of_different_scale_add_up_exactly(kind: Kind) {
    let bed = Bed::new(kind);
    let decimal = |scale| Series { value_type: ValueType::Decimal(scale), ..series("gb", Aggregate::Sum, Repeat::Add) };
    bed.merge(&File::new("a.csv").usage(Usage::of(vec![decimal(1)]).row("1", 0, 0, number(11)))).unwrap();
    bed.merge(&File::new("b.csv").usage(Usage::of(vec![decimal(3)]).row("1", 0, 0, number(1_234)))).unwrap();
    bed.merge(&File::new("c.csv").usage(Usage::of(vec![decimal(2)]).row("1", 0, 0, number(100)))).unwrap();
    assert_eq!(bed.usage(), ["1|-|gb|1970-01-01|3.334"]);
    // Two tables of one file, of two scales.
    let mut staging = bed.destination.stage(File::new("d.csv").delivery()).unwrap();
    for scale in [2, 4] {
        let usage = Usage::of(vec![decimal(scale)]).row("2", 0, 0, number(150));
        staging.open_table(None, Some(&usage.layout())).unwrap();
        staging.usage(&usage.batch(), &[]).unwrap();
    }
    assert_eq!(staging.merge(RowCounts::default()).unwrap().merged.usage_records, 1);
    assert_eq!(bed.usage(), ["1|-|gb|1970-01-01|3.334", "2|-|gb|1970-01-01|1.515"]);
}

pub(super) fn a_metric_keeps_its_type(kind: Kind) {
    let bed = Bed::new(kind);
    let mau = series("mau", Aggregate::Sum, Repeat::Add);
    bed.merge(&File::new("a.csv").usage(Usage::of(vec![mau.clone()]).row("1", 0, 0, number(1)))).unwrap();
    let other = Series { value_type: ValueType::Decimal(2), ..mau };
    let error = bed.merge(&File::new("b.csv").usage(Usage::of(vec![other]).row("1", 0, 0, number(1)))).unwrap_err();
    assert_eq!(error.to_string(), "field `Core / mau` is stored as integer, the mapper brings decimal");
}

/// R1
pub(super) fn a_replay_that_moves_usage_to_other_periods_leaves_none_behind(kind: Kind) {
    let bed = Bed::new(kind);
    let mau = || Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)]);
    bed.merge(&File::new("a.csv").at(10).usage(mau().row("1", 0, 0, number(1)))).unwrap();
    bed.merge(&File::new("b.csv").at(20).usage(mau().row("1", 0, 0, number(2)).row("1", 31, 31, number(3)))).unwrap();
    bed.merge(&File::new("b.csv").at(20).generation(1).usage(mau().row("1", 59, 59, number(4)))).unwrap();
    assert_eq!(bed.usage(), ["1|-|mau|1970-01-01|1", "1|-|mau|1970-03-01|4"]);
    // An earlier generation that comes late brings nothing.
    bed.merge(&File::new("c.csv").at(30).generation(1).usage(mau().row("1", 0, 0, number(8)))).unwrap();
    bed.merge(&File::new("c.csv").at(30).usage(mau().row("1", 0, 0, number(9)).row("1", 90, 90, number(9)))).unwrap();
    assert_eq!(bed.usage(), ["1|-|mau|1970-01-01|8", "1|-|mau|1970-03-01|4"]);
}

pub(super) fn usage_of_rows_that_matched_nothing_is_not_counted(kind: Kind) {
    let bed = Bed::new(kind);
    let mau = || Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)]);
    bed.merge(&File::new("a.csv").usage(mau().row("1", 0, 0, number(1)))).unwrap();
    let merged = bed
        .merge(&File::new("b.csv").at(2_000).skipping().usage(mau().row("1", 0, 0, number(2)).row(
            "2",
            0,
            0,
            number(2),
        )))
        .unwrap();
    assert_eq!((merged.unmatched, merged.usage_values, merged.usage_records), (1, 1, 1));
}

pub(super) fn a_sum_beyond_64_bits_fails_the_file(kind: Kind) {
    let bed = Bed::new(kind);
    let mau = || Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)]);
    let usage = mau().row("1", 0, 0, number(i64::MAX)).row("1", 1, 0, number(1));
    let error = bed.merge(&File::new("a.csv").usage(usage)).unwrap_err();
    assert!(matches!(error, DestinationError::Overflow) && error.is_files_fault(), "{error}");
    bed.merge(&File::new("b.csv").usage(mau().row("1", 0, 0, number(i64::MAX)))).unwrap();
    assert_eq!(bed.usage(), [format!("1|-|mau|1970-01-01|{}", i64::MAX)]);
}

pub(super) fn a_preview_tells_which_usage_changes(kind: Kind) {
    let bed = Bed::new(kind);
    let changes = |file: &File| {
        let preview = bed.preview(file);
        preview.usage.iter().map(|usage| usage["change"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mau = || Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)]);
    let calls = || Usage::of(vec![series("calls", Aggregate::Sum, Repeat::Add)]);
    let decimal = |scale| {
        let of = Series { value_type: ValueType::Decimal(scale), ..series("gb", Aggregate::Last, Repeat::Replace) };
        Usage::of(vec![of])
    };
    let first = File::new("a.csv").at(10).usage(mau().row("1", 0, 0, number(5)).row("2", 0, 0, number(7)));
    assert_eq!(changes(&first), ["created", "created"]);
    bed.merge(&first).unwrap();
    bed.merge(&File::new("calls.csv").at(11).usage(calls().row("1", 0, 0, number(4)))).unwrap();
    bed.merge(&File::new("gb.csv").at(12).usage(decimal(1).row("1", 0, 0, number(15)))).unwrap();

    // What counts is the record: rows of one file that come to the same leave it as it was.
    let next =
        mau().row("1", 0, 0, number(2)).row("1", 1, 0, number(3)).row("2", 0, 0, number(8)).row("2", 31, 31, number(7));
    assert_eq!(changes(&File::new("b.csv").at(20).usage(next)), ["unchanged", "unchanged", "updated", "created"]);
    // R2
    assert_eq!(changes(&File::new("older.csv").at(5).usage(mau().row("1", 0, 0, number(9)))), ["unchanged"]);
    // R1
    assert_eq!(changes(&first.clone().generation(1)), ["unchanged", "unchanged"]);
    // R9
    let more = |value| File::new("more.csv").at(21).usage(calls().row("1", 0, 0, number(value)));
    assert_eq!(changes(&more(0)), ["unchanged"]);
    assert_eq!(changes(&more(4)), ["updated"]);
    // The same number with more digits.
    let finer = |value| File::new("finer.csv").at(22).usage(decimal(3).row("1", 0, 0, number(value)));
    assert_eq!(changes(&finer(1_500)), ["unchanged"]);
    assert_eq!(changes(&finer(1_501)), ["updated"]);
    let unmatched = File::new("c.csv").at(23).skipping().usage(mau().row("9", 0, 0, number(1)));
    assert_eq!(changes(&unmatched), ["unmatched"]);
    assert_eq!(bed.usage().len(), 4, "nothing of it stayed");
}

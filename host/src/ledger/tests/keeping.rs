//! What is shown, exported, imported, and found again.

use super::*;

#[tokio::test]
async fn a_list_goes_page_by_page_through_what_the_filter_lets_through() {
    let bench = Bench::new();
    for key in ["a", "b/1", "b/1\u{1}", "b/2", "c"] {
        bench.complete(object(key, "old", 1), 1).await;
        bench.take(object(key, "new", 2)).await;
    }
    bench.complete(object("b/2", "new", 2), 2).await;
    let keys = |listed: &Listed| -> Vec<String> {
        let name = |entry: &Entry| format!("{}#{}", entry.object.key.as_str().escape_default(), entry.object.etag);
        listed.entries.iter().map(name).collect()
    };
    let first = Filter { prefix: "b/".to_owned(), limit: 2, ..Filter::default() };
    let page = bench.ledger.list(&bench.integration, first.clone()).await.unwrap();
    assert_eq!(keys(&page), ["b/1#new", "b/1\\u{1}#new"]);
    let page = bench.ledger.list(&bench.integration, Filter { after: page.next, ..first }).await.unwrap();
    assert_eq!(keys(&page), ["b/2#new"]);
    assert_eq!(page.next, None);
    let completed = Filter { states: vec![StateName::Completed], ..Filter::default() };
    assert_eq!(keys(&bench.ledger.list(&bench.integration, completed.clone()).await.unwrap()), ["b/2#new"]);
    let every = Filter { versions: Versions::Every, ..completed };
    assert_eq!(bench.ledger.list(&bench.integration, every).await.unwrap().entries.len(), 6);
}

#[tokio::test]
async fn one_key_is_shown_with_its_history() {
    let bench = Bench::new();
    bench.complete(object("k", "a", 1), 1).await;
    bench.complete(object("k", "b", 2), 2).await;
    bench.list(object("k", "a", 3), &policy(HOUR)).await;
    let entries = bench.ledger.show(&bench.integration, &"k".parse().unwrap()).await.unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.object.etag.as_str(), entry.arrival, entry.current, entry.reverted))
        .collect();
    assert_eq!(told, [("b", 2, true, false), ("a", 1, false, true)]);
    assert_eq!(entries[0].as_of().arrival, 2);
    assert_eq!(entries[0].identity().dedup_key.as_str(), "acme/exports/k#etag=b");
}

/// Makes some of everything.
async fn fill(bench: &Bench) {
    bench.complete(object("k", "a", 1), 1).await;
    bench.complete(object("k", "b", 2), 2).await;
    bench.list(object("k", "a", 3), &policy(HOUR)).await;
    let new = bench.take(object("a b+c:%\u{7}ü", "e", 4)).await;
    let facts = Facts {
        mapping: Some(mapping(1)),
        summary: Some(serde_json::json!({"rows": 3})),
        failure: Some(Failure { class: "content".to_owned(), message: "no header".to_owned(), hint: None }),
        ..Facts::at(at(5))
    };
    bench.ledger.record(&new, State::Quarantined { reason: "no header".to_owned() }, facts).await.unwrap();
    let pause = Some(Pause { reason: "asked".to_owned(), since: at(6) });
    bench.ledger.change_control(&bench.integration, |control| control.paused = pause).await.unwrap();
}

#[tokio::test]
async fn an_import_makes_the_ledger_that_was_exported() {
    let bench = Bench::new();
    fill(&bench).await;
    let text = bench.exported();
    let mut lines: Vec<_> = text.lines().collect();
    lines[1..].reverse();
    for text in [text.clone(), lines.join("\n")] {
        let copy = Bench::new();
        let imported = copy.ledger.import(&mut text.as_bytes()).unwrap();
        assert_eq!(imported, Imported { integrations: 1, objects: 3 });
        assert_eq!(copy.exported(), bench.exported());
        let admitted = copy.list(object("k", "a", 3), &policy(HOUR)).await;
        assert_eq!((admitted.reverted.len(), admitted.known.reverted), (0, 1));
        let new = copy.take(object("k", "a-2", 4)).await;
        assert!(copy.ledger.same_content(&new, content(1)).await.unwrap().is_some());
    }
}

/// Exports of version 1 stay readable.
#[test]
fn an_export_of_version_1_is_read() {
    let text = concat!(
        r#"{"format":"gristmill-ledger","version":1}"#,
        "\n",
        r#"{"integration":{"name":"accounts","control":{"first_seen":"1970-01-01T01:00:00Z","paused":null,"backfill":{"since":"1970-01-01T00:00:00Z"}}}}"#,
        "\n",
        r#"{"object":{"integration":"accounts","connection":"acme","bucket":"exports","key":"k","arrival":2,"version":{"etag":"e","size":10,"last_modified":"1970-01-01T00:00:01Z","effective_time":"1970-01-01T00:00:02Z","generation":1,"first_seen":"1970-01-01T01:00:00Z","changed":"1970-01-01T01:00:00Z","state":{"skipped":{"reason":"gone"}}}}}"#,
        "\n"
    );
    let bench = Bench::new();
    bench.ledger.import(&mut text.as_bytes()).unwrap();
    assert_eq!(bench.exported(), text);
}

#[tokio::test]
async fn an_import_that_fails_leaves_the_ledger_empty() {
    let bench = Bench::new();
    fill(&bench).await;
    let text = bench.exported();
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    let cases = [
        (text.replacen("gristmill-ledger", "other", 1), "this is not an exported ledger"),
        (String::new(), "this is not an exported ledger"),
        (newer, "the export has version 2, this version reads up to 1"),
        (text.replace("\"etag\":\"b\"", "\"etag\":\"\""), "cannot read line 5 of the export"),
    ];
    for (text, expected) in cases {
        let copy = Bench::new();
        let before = copy.exported();
        assert_eq!(copy.ledger.import(&mut text.as_bytes()).unwrap_err().to_string(), expected);
        assert_eq!(copy.exported(), before);
    }
    assert!(matches!(bench.ledger.import(&mut text.as_bytes()), Err(LedgerError::NotEmpty)));
}

#[tokio::test]
async fn what_was_recorded_is_there_after_opening_again() {
    let bench = Bench::new();
    fill(&bench).await;
    let before = bench.exported();
    let Bench { ledger, directory, .. } = bench;
    drop(ledger);
    let ledger = Ledger::open(&directory.path().join("ledger.redb")).unwrap();
    assert_eq!(exported(&ledger), before);
}

/// R14
#[test]
fn a_second_opening_is_refused_with_a_hint() {
    let bench = Bench::new();
    let error = Ledger::open(&bench.directory.path().join("ledger.redb")).unwrap_err();
    assert!(matches!(error, LedgerError::InUse { .. }), "{error:?}");
    assert!(error.hint().is_some() && !error.is_fatal());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a ledger of another version")]
fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.redb");
    {
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert("schema", SCHEMA + 1).unwrap();
        transaction.commit().unwrap();
    }
    let error = Ledger::open(&path).unwrap_err();
    assert!(error.to_string().ends_with("has schema version 2, this version reads up to 1"), "{error}");
}

#[tokio::test]
async fn a_dropped_caller_does_not_undo_what_it_asked_for() {
    let bench = Bench::new();
    let new = bench.take(object("k", "e", 1)).await;
    let record = bench.ledger.record(&new, State::Completed, Facts::at(at(2)));
    let _ = tokio::time::timeout(Duration::ZERO, record).await;
    let Bench { ledger, directory, integration } = bench;
    drop(ledger);
    let ledger = Ledger::open(&directory.path().join("ledger.redb")).unwrap();
    assert_eq!(ledger.overview(&integration).await.unwrap().counts, Counts::from([(StateName::Completed, 1)]));
}

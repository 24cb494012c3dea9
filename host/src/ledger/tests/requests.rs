//! What a person asks for (R1, R16), and what stands for a whole integration.

use super::*;

/// R1, R5
#[tokio::test]
async fn a_replay_raises_the_generation_and_finds_no_same_content() {
    let bench = Bench::new();
    let first = bench.complete(object("k", "e", 1), 1).await;
    let key = Selector::Key("k".parse().unwrap());
    let asked = bench.ledger.ask_again(&bench.integration, key, Again::Listed, at(5)).await.unwrap();
    assert_eq!((asked.keys, asked.examples), (1, vec![object("k", "e", 1)]));
    let again = bench.take(object("k", "e", 1)).await;
    assert_eq!(again.identity().generation, Generation(1));
    assert_eq!(again.as_of().arrival, first.as_of().arrival);
    assert!(again.as_of() > first.as_of());
    assert_eq!(bench.ledger.same_content(&again, content(1)).await.unwrap(), None);
}

/// R1: the ingestion that ran while the replay was asked for is not the one that was asked for.
#[tokio::test]
async fn a_record_of_an_older_generation_does_not_answer_a_replay() {
    let bench = Bench::new();
    let first = bench.take(object("k", "e", 1)).await;
    let every = Selector::Prefix(String::new());
    bench.ledger.ask_again(&bench.integration, every, Again::Listed, at(5)).await.unwrap();
    let recorded = bench.ledger.record(&first, State::Completed, Facts::at(at(6))).await.unwrap();
    assert_eq!(recorded, Recorded::Outdated);
    assert_eq!(bench.take(object("k", "e", 1)).await.identity().generation, Generation(1));
}

/// R1, R4: the hint that a reverted key's warning gives.
#[tokio::test]
async fn a_replay_of_a_reverted_key_takes_what_the_bucket_holds() {
    let bench = Bench::new();
    bench.complete(object("k", "a", 1), 1).await;
    let b = bench.complete(object("k", "b", 2), 2).await;
    bench.list(object("k", "a", 3), &policy(HOUR)).await;
    let key = Selector::Key("k".parse().unwrap());
    bench.ledger.ask_again(&bench.integration, key, Again::Listed, at(5)).await.unwrap();
    let again = bench.take(object("k", "a", 3)).await;
    assert!(again.as_of() > b.as_of());
    assert_eq!(bench.list(object("k", "b", 2), &policy(HOUR)).await.reverted.len(), 1);
}

/// R1
#[tokio::test]
async fn a_forgotten_key_is_taken_whichever_version_comes() {
    for etag in ["a", "b"] {
        for listed in ["a", "b"] {
            let bench = Bench::new();
            bench.complete(object("k", "a", 1), 1).await;
            bench.complete(object("k", "b", 2), 2).await;
            bench.list(object("k", listed, 2), &policy(HOUR)).await;
            let every = Selector::Prefix("k".to_owned());
            bench.ledger.ask_again(&bench.integration, every, Again::Every, at(5)).await.unwrap();
            let again = bench.take(object("k", etag, 3)).await;
            assert!(again.identity().generation > Generation(0), "{etag} after {listed}");
            assert_eq!(bench.ledger.same_content(&again, content(1)).await.unwrap(), None);
        }
    }
}

/// R7
#[tokio::test]
async fn only_files_with_rows_that_matched_no_account_are_unmatched() {
    let bench = Bench::new();
    let summary = |unmatched: u64| Some(serde_json::json!({ "merged": { "matched": 1, "unmatched": unmatched } }));
    let failure = |class: &str| Some(Failure { class: class.to_owned(), message: String::new(), hint: None });
    let quarantined = || State::Quarantined { reason: "for a test".to_owned() };
    let cases = [
        ("complete", State::Completed, summary(0), None),
        ("in-part", State::Completed, summary(2), None),
        ("nothing", quarantined(), None, failure("no_account_matched")),
        ("not-yet", failed(1, HOUR), None, failure("no_account_matched")),
        ("content", quarantined(), None, failure("content")),
        ("skipped", skipped(SkipReason::Backfill), None, None),
    ];
    for (key, state, summary, failure) in cases {
        let new = bench.take(object(key, "e", 1)).await;
        bench.ledger.record(&new, state, Facts { summary, failure, ..Facts::at(at(2)) }).await.unwrap();
    }
    // The same bytes under another ETag were left out, and so were their rows.
    let same = bench.take(object("in-part", "f", 3)).await;
    let of = object("in-part", "e", 1).dedup_key();
    bench.ledger.record(&same, skipped(SkipReason::SameContent { of }), Facts::at(at(4))).await.unwrap();
    bench.list(object("new", "e", 1), &policy(5)).await;
    // A version that the bucket went back to waits for a person who names it.
    let older = bench.take(object("reverted", "e", 1)).await;
    let unmatched = Facts { summary: summary(1), ..Facts::at(at(2)) };
    bench.ledger.record(&older, State::Completed, unmatched.clone()).await.unwrap();
    let newer = bench.take(object("reverted", "f", 2)).await;
    bench.ledger.record(&newer, State::Completed, unmatched).await.unwrap();
    bench.list(object("reverted", "e", 3), &policy(5)).await;

    let ask = || bench.ledger.ask_again(&bench.integration, Selector::Unmatched, Again::Listed, at(6));
    let asked = ask().await.unwrap();
    let taken: Vec<_> = asked.examples.iter().map(|object| (object.key.as_str(), object.etag.as_str())).collect();
    assert_eq!(taken, [("in-part", "f"), ("not-yet", "e"), ("nothing", "e")]);
    assert_eq!(asked.keys, 3);
    assert_eq!(ask().await.unwrap().keys, 0, "they are new again");
}

#[tokio::test]
async fn a_selector_takes_its_keys_and_no_others() {
    let prefix = |text: &str| Selector::Prefix(text.to_owned());
    let cases = [
        (Selector::Key("a/1".parse().unwrap()), vec!["a/1"]),
        (Selector::Key("a/".parse().unwrap()), vec![]),
        (prefix("a/"), vec!["a/1", "a/1\u{0}2", "a/3"]),
        (prefix(""), vec!["a/1", "a/1\u{0}2", "a/3", "b"]),
        (Selector::Since(at(3)), vec!["a/3", "b"]),
    ];
    for (selector, expected) in cases {
        let bench = Bench::new();
        for (key, last_modified) in [("a/1", 1), ("a/1\u{0}2", 2), ("a/3", 3), ("b", 4)] {
            bench.complete(object(key, "e", last_modified), 1).await;
        }
        let other: IntegrationName = "accounts-2".parse().unwrap();
        bench.ledger.admit(&other, vec![object("a/1", "e", 9)], &policy(HOUR)).await.unwrap();
        let asked = bench.ledger.ask_again(&bench.integration, selector.clone(), Again::Listed, at(9)).await.unwrap();
        let keys: Vec<_> = asked.examples.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(keys, expected, "{selector:?}");
        assert_eq!(asked.keys, expected.len() as u64);
    }
}

#[tokio::test]
async fn a_replay_of_thousands_of_keys_takes_each_once() {
    let bench = Bench::new();
    let objects: Vec<_> = (0..2_500).map(|n| object(&format!("{n:05}"), "e", 1)).collect();
    bench.ledger.admit(&bench.integration, objects.clone(), &policy(HOUR)).await.unwrap();
    let every = Selector::Prefix(String::new());
    let asked = bench.ledger.ask_again(&bench.integration, every, Again::Listed, at(9)).await.unwrap();
    assert_eq!((asked.keys, asked.examples.len()), (2_500, 100));
    let admitted = bench.ledger.admit(&bench.integration, objects, &policy(HOUR)).await.unwrap();
    assert!(admitted.work.iter().all(|new| new.identity().generation == Generation(1)));
}

/// R16
#[tokio::test]
async fn a_backfill_of_none_skips_what_is_there_and_takes_what_comes() {
    let bench = Bench::new();
    let listed = vec![object("a", "e", 1), object("b", "e", 2)];
    let skip = |objects| bench.ledger.skip_all(&bench.integration, objects, SkipReason::Backfill, at(HOUR));
    assert_eq!(skip(listed.clone()).await.unwrap(), 2);
    assert_eq!(skip(listed).await.unwrap(), 0);
    let page = vec![object("a", "e", 1), object("b", "e2", 1), object("c", "e", 1)];
    let admitted = bench.ledger.admit(&bench.integration, page, &policy(HOUR)).await.unwrap();
    let taken: Vec<_> = admitted.work.iter().map(|new| new.object().key.as_str()).collect();
    assert_eq!(taken, ["b", "c"], "a changed and an older new object are taken all the same");
    assert_eq!(admitted.known.skipped, 1);
}

/// R16
#[tokio::test]
async fn a_backfill_of_none_leaves_what_was_worked_on() {
    let bench = Bench::new();
    bench.complete(object("a", "e", 1), 1).await;
    let new = bench.take(object("b", "e", 1)).await;
    bench.ledger.record(&new, failed(1, 2), Facts::at(at(2))).await.unwrap();
    let listed = vec![object("a", "e", 1), object("b", "e", 1)];
    let skipped = bench.ledger.skip_all(&bench.integration, listed, SkipReason::Backfill, at(HOUR)).await.unwrap();
    assert_eq!(skipped, 0);
    assert_eq!(bench.state("b", "e").await, Some(failed(1, 2)));
}

#[tokio::test]
async fn confirmed_destinations_survive_a_failure() {
    let bench = Bench::new();
    let new = bench.take(object("k", "e", 1)).await;
    let delivered = State::Delivered { attempts: 1, retry_after: at(3) };
    let confirmed = |name: &str| vec![name.parse().unwrap()];
    let facts = Facts {
        confirmed: confirmed("store"),
        summary: Some(true.into()),
        mapping: Some(mapping(1)),
        ..Facts::at(at(2))
    };
    bench.ledger.record(&new, delivered, facts).await.unwrap();
    let new = bench.take(object("k", "e", 1)).await;
    assert_eq!((new.confirmed(), new.attempts()), (confirmed("store").as_slice(), 1));
    assert_eq!((new.summary(), new.delivered_under()), (Some(&true.into()), Some(&mapping(1))));
    bench.ledger.record(&new, failed(2, 3), Facts { confirmed: confirmed("lake"), ..Facts::at(at(3)) }).await.unwrap();
    let new = bench.take(object("k", "e", 1)).await;
    assert_eq!((new.confirmed().len(), new.attempts(), new.delivered_under()), (2, 2, None));
}

/// I4: the group's one commit is on disk before any of its callers hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_one_moment_are_each_answered_and_all_stored() {
    let bench = Bench::new();
    let objects: Vec<_> = (0..200).map(|n| object(&format!("{n}"), "e", 1)).collect();
    let admitted = bench.ledger.admit(&bench.integration, objects, &policy(HOUR)).await.unwrap();
    let tasks: Vec<_> = admitted
        .work
        .into_iter()
        .map(|new| {
            let ledger = bench.ledger.clone();
            tokio::spawn(async move { ledger.record(&new, State::Completed, Facts::at(at(2))).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), Recorded::Stored);
    }
    let counts = bench.ledger.overview(&bench.integration).await.unwrap().counts;
    assert_eq!(counts, Counts::from([(StateName::Completed, 200)]));
}

#[tokio::test]
async fn what_is_not_done_with_is_the_backlog() {
    let bench = Bench::new();
    let overview = async || bench.ledger.overview(&bench.integration).await.unwrap();
    assert_eq!(overview().await, Overview::default());
    bench.complete(object("done", "e", 1), 1).await;
    let (new, failed) = (object("new", "e", 7), object("failed", "e", 5));
    let both = new.size + failed.size;
    bench.take(new).await;
    let failed = bench.take(failed).await;
    let state = State::Failed { attempts: 1, retry_after: at(2 * HOUR) };
    bench.ledger.record(&failed, state, Facts::at(at(HOUR))).await.unwrap();
    let found = overview().await;
    assert_eq!(found.counts, Counts::from([StateName::Completed, StateName::New, StateName::Failed].map(|it| (it, 1))));
    assert_eq!(found.backlog, Backlog { objects: 2, bytes: both, oldest: Some(at(5)) });
}

#[tokio::test]
async fn a_control_record_is_kept() {
    let bench = Bench::new();
    assert_eq!(bench.ledger.control(&bench.integration).await.unwrap(), Control::default());
    let pause = Pause { reason: "no accounts yet".to_owned(), since: at(3) };
    let wanted = pause.clone();
    let changed = bench.ledger.change_control(&bench.integration, |control| control.paused = Some(wanted)).await;
    assert_eq!(changed.unwrap().paused, Some(pause.clone()));
    bench.take(object("k", "e", 1)).await;
    let control = bench.ledger.control(&bench.integration).await.unwrap();
    assert_eq!(control, Control { first_seen: Some(at(HOUR)), paused: Some(pause), ..Control::default() });
}

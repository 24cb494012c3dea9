//! What a listed object is, by what was recorded of it and of the other versions of its key (R2, R4, R5).

use super::*;

/// How a listed object comes out.
#[derive(Debug, PartialEq, Eq)]
enum Comes {
    Work { attempts: u32 },
    Known,
}

/// What is recorded of an object, and how it comes out of a listing at hour 1 under mapping 1.
#[tokio::test]
async fn each_state_decides_whether_a_listed_object_is_due() {
    use Comes::{Known, Work};
    let archived = |second| skipped(SkipReason::Archived { look_again: at(second) });
    let dedup_key = object("k", "e", 1).dedup_key();
    let quarantined = || State::Quarantined { reason: "bad".to_owned() };
    let cases = [
        (State::Completed, Some(1), Known),
        (State::Completed, Some(2), Known),
        (State::Delivered { attempts: 0, retry_after: at(2) }, Some(1), Work { attempts: 0 }),
        (State::Delivered { attempts: 3, retry_after: at(HOUR) }, Some(2), Work { attempts: 3 }),
        (State::Delivered { attempts: 3, retry_after: at(HOUR + 1) }, Some(2), Known),
        (failed(3, HOUR), Some(1), Work { attempts: 3 }),
        (failed(3, HOUR + 1), Some(1), Known),
        (failed(3, HOUR + 1), None, Known),
        (failed(3, HOUR + 1), Some(2), Work { attempts: 0 }),
        (quarantined(), Some(1), Known),
        (quarantined(), None, Known),
        (quarantined(), Some(2), Work { attempts: 0 }),
        (skipped(SkipReason::Backfill), None, Known),
        (skipped(SkipReason::SameContent { of: dedup_key.clone() }), None, Known),
        (skipped(SkipReason::Reverted { to: dedup_key }), None, Known),
        (archived(HOUR), None, Work { attempts: 0 }),
        (archived(HOUR + 1), None, Known),
        (skipped(SkipReason::Gone), None, Work { attempts: 0 }),
    ];
    for (state, under, expected) in cases {
        let bench = Bench::new();
        let new = bench.take(object("k", "e", 1)).await;
        let facts = Facts { mapping: under.map(mapping), ..Facts::at(at(2)) };
        bench.ledger.record(&new, state.clone(), facts).await.unwrap();
        let admitted = bench.list(object("k", "e", 1), &policy(HOUR)).await;
        let comes = admitted.work.first().map_or(Known, |new| Work { attempts: new.attempts() });
        assert_eq!(comes, expected, "{state:?} recorded under mapping {under:?}");
        assert_eq!(bench.state("k", "e").await, Some(state));
    }
}

#[tokio::test]
async fn a_registered_object_stays_new_until_something_is_recorded() {
    let bench = Bench::new();
    let first = bench.take(object("k", "e", 5)).await;
    let second = bench.take(object("k", "e", 5)).await;
    assert_eq!((first.identity(), first.as_of()), (second.identity(), second.as_of()));
    assert_eq!(first.as_of().arrival, 1);
    assert_eq!(bench.state("k", "e").await, None);
}

/// I2
#[tokio::test]
async fn two_integrations_over_one_bucket_both_get_every_object() {
    let bench = Bench::new();
    bench.complete(object("k", "e", 1), 1).await;
    let other = "usage".parse().unwrap();
    let admitted = bench.ledger.admit(&other, vec![object("k", "e", 1)], &policy(HOUR)).await.unwrap();
    assert_eq!(admitted.work.len(), 1);
    assert_eq!(bench.list(object("k", "e", 1), &policy(HOUR)).await.known.completed, 1);
}

/// I2
#[tokio::test]
async fn changed_etag_is_ingested_again() {
    let bench = Bench::new();
    bench.complete(object("k", "e1", 1), 1).await;
    let new = bench.take(object("k", "e2", 2)).await;
    assert_eq!((new.as_of().arrival, new.identity().generation), (2, Generation(0)));
}

/// R2: last-modified has whole seconds, and clocks step back.
#[tokio::test]
async fn a_later_version_is_never_ordered_before_an_earlier_one() {
    let bench = Bench::new();
    let mut before = bench.take(object("k", "e1", 100)).await;
    for (etag, last_modified) in [("e2", 100), ("e0", 50), ("e3", 200)] {
        let after = bench.take(object("k", etag, last_modified)).await;
        assert!(before.as_of() < after.as_of(), "{before:?} {after:?}");
        before = after;
    }
}

/// R2
#[tokio::test]
async fn a_newer_version_supersedes_unfinished_older_ones() {
    let unfinished = [None, Some(failed(1, HOUR)), Some(State::Delivered { attempts: 1, retry_after: at(HOUR) })];
    for state in unfinished {
        let bench = Bench::new();
        let old = bench.take(object("k", "e1", 1)).await;
        if let Some(state) = state {
            bench.ledger.record(&old, state, Facts::at(at(2))).await.unwrap();
        }
        bench.take(object("k", "e2", 2)).await;
        assert_eq!(bench.state("k", "e1").await, Some(skipped(SkipReason::Superseded)));
    }
    let bench = Bench::new();
    bench.complete(object("k", "e1", 1), 1).await;
    bench.take(object("k", "e2", 2)).await;
    assert_eq!(bench.state("k", "e1").await, Some(State::Completed));
}

/// R2: an older version that was at work when the newer one came.
#[tokio::test]
async fn what_an_older_version_leaves_undone_is_superseded_and_what_it_did_is_kept() {
    let bench = Bench::new();
    let old = bench.take(object("k", "e1", 1)).await;
    bench.take(object("k", "e2", 2)).await;
    let recorded = bench.ledger.record(&old, failed(1, 2), Facts::at(at(2))).await.unwrap();
    assert_eq!(recorded, Recorded::Superseded);
    assert_eq!(bench.state("k", "e1").await, Some(skipped(SkipReason::Superseded)));
    assert_eq!(bench.ledger.record(&old, State::Completed, Facts::at(at(2))).await.unwrap(), Recorded::Stored);
    assert_eq!(bench.state("k", "e1").await, Some(State::Completed));
    assert_eq!(bench.list(object("k", "e2", 2), &policy(HOUR)).await.work.len(), 1, "the newer one is still due");
}

/// R4
#[tokio::test]
async fn going_back_is_left_out_with_one_warning() {
    let bench = Bench::new();
    bench.complete(object("k", "a", 1), 1).await;
    bench.complete(object("k", "b", 2), 2).await;
    let first = bench.list(object("k", "a", 3), &policy(HOUR)).await;
    assert_eq!((first.work.len(), first.reverted.len()), (0, 1));
    let second = bench.list(object("k", "a", 3), &policy(HOUR)).await;
    assert_eq!((second.work.len(), second.reverted.len(), second.known.reverted), (0, 0, 1));
    let back = bench.list(object("k", "b", 4), &policy(HOUR)).await;
    assert_eq!((back.work.len(), back.known.completed), (0, 1));
    let again = bench.list(object("k", "a", 5), &policy(HOUR)).await;
    assert_eq!(again.reverted.len(), 1);
}

/// R4
#[tokio::test]
async fn going_back_is_taken_again_as_the_newest_when_asked() {
    let bench = Bench::new();
    let a = bench.complete(object("k", "a", 1), 1).await;
    let b = bench.complete(object("k", "b", 2), 2).await;
    let ingest = AdmitPolicy { on_revert: OnRevert::Ingest, ..policy(HOUR) };
    let again = bench.list(object("k", "a", 1), &ingest).await.work.remove(0);
    assert!(again.as_of() > b.as_of() && b.as_of() > a.as_of(), "A's values have to win in the end");
    assert_eq!(again.identity().generation, Generation(1));
    assert_eq!(again.identity().dedup_key, a.identity().dedup_key);
    bench.ledger.record(&again, State::Completed, Facts::at(at(9))).await.unwrap();
    assert_eq!(bench.list(object("k", "a", 1), &ingest).await.known.completed, 1);
}

/// R4: what was superseded before it was finished was never processed.
#[tokio::test]
async fn going_back_to_a_version_that_was_never_finished_takes_it() {
    let bench = Bench::new();
    let a = bench.take(object("k", "a", 1)).await;
    let b = bench.complete(object("k", "b", 2), 2).await;
    let again = bench.take(object("k", "a", 3)).await;
    assert!(again.as_of() > b.as_of());
    assert_eq!(again.identity().generation, Generation(1), "a destination may have confirmed the first one");
    let late = bench.ledger.record(&a, State::Completed, Facts::at(at(9))).await.unwrap();
    assert_eq!(late, Recorded::Outdated);
    assert_eq!(bench.list(object("k", "a", 3), &policy(HOUR)).await.work.len(), 1);
}

/// R5
#[tokio::test]
async fn the_same_bytes_under_a_new_etag_are_found() {
    let bench = Bench::new();
    let old = bench.complete(object("k", "e1", 1), 1).await;
    let new = bench.take(object("k", "e2-3", 2)).await;
    let found = bench.ledger.same_content(&new, content(1)).await.unwrap();
    let of = old.object().dedup_key();
    assert_eq!(found, Some(SameContent::Unchanged { of: of.clone() }));
    assert_eq!(bench.ledger.same_content(&new, content(2)).await.unwrap(), None);
    let facts = Facts { content: Some(content(1)), ..Facts::at(at(3)) };
    bench.ledger.record(&new, skipped(SkipReason::SameContent { of }), facts).await.unwrap();
    for etag in ["e2-3", "e1", "e2-3"] {
        let admitted = bench.list(object("k", etag, 4), &policy(HOUR)).await;
        assert_eq!((admitted.work.len(), admitted.reverted.len()), (0, 0), "{etag}");
    }
}

/// R5: "per key".
#[tokio::test]
async fn the_same_bytes_under_another_key_are_another_object() {
    let bench = Bench::new();
    bench.complete(object("k", "e1", 1), 1).await;
    let new = bench.take(object("k2", "e1", 2)).await;
    assert_eq!(bench.ledger.same_content(&new, content(1)).await.unwrap(), None);
}

/// R4, R5
#[tokio::test]
async fn older_bytes_under_a_new_etag_are_going_back() {
    let bench = Bench::new();
    let a = bench.complete(object("k", "a", 1), 1).await;
    bench.complete(object("k", "b", 2), 2).await;
    let new = bench.take(object("k", "a-2", 3)).await;
    let found = bench.ledger.same_content(&new, content(1)).await.unwrap();
    assert_eq!(found, Some(SameContent::Reverted { to: a.object().dedup_key() }));
}

/// R5: what came in between may stand in a destination all the same, merged by a process that could not record it.
#[tokio::test]
async fn bytes_that_another_version_may_have_replaced_are_taken_again() {
    let bench = Bench::new();
    bench.complete(object("k", "a", 1), 1).await;
    bench.take(object("k", "b", 2)).await;
    let new = bench.take(object("k", "a-2", 3)).await;
    assert_eq!(bench.ledger.same_content(&new, content(1)).await.unwrap(), None);
}

/// R5: bytes whose ingestion never completed were not processed.
#[tokio::test]
async fn bytes_of_a_failed_object_do_not_count_as_processed() {
    let bench = Bench::new();
    let old = bench.take(object("k", "e1", 1)).await;
    let facts = Facts { content: Some(content(1)), ..Facts::at(at(2)) };
    bench.ledger.record(&old, State::Quarantined { reason: "bad".to_owned() }, facts).await.unwrap();
    let new = bench.take(object("k", "e2", 3)).await;
    assert_eq!(bench.ledger.same_content(&new, content(1)).await.unwrap(), None);
}

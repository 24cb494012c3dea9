//! The disk fails at each call in turn. Whatever was answered has to be in the file that is left; the one change that
//! was not answered may be there or not, as a whole (I4).

use super::disk::{Disk, Fails, made, open, reopen};
use super::tests::exported;
use super::*;
use crate::object::MappingDigest;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn page(etag: &str) -> Vec<Object> {
    let object = |key: String| Object {
        connection: "acme".parse().unwrap(),
        bucket: "exports".parse().unwrap(),
        key: key.parse().unwrap(),
        etag: etag.parse().unwrap(),
        size: 1,
        last_modified: at(1),
    };
    (0..40).map(|n| object(format!("daily/{n:03}"))).collect()
}

/// Does the same work on every disk, and calls `done` after each change that was answered.
async fn work(ledger: &Ledger, done: &mut dyn FnMut(&Ledger)) -> Result<(), LedgerError> {
    let integration = "accounts".parse().unwrap();
    let policy = AdmitPolicy { now: at(10), on_revert: OnRevert::Ingest, mapping: MappingDigest::from_bytes([1; 32]) };
    for (round, etag) in ["a", "b", "a"].into_iter().enumerate() {
        let admitted = ledger.admit(&integration, page(etag), &policy).await?;
        done(ledger);
        for (place, new) in admitted.work.iter().enumerate().take(6) {
            let facts = Facts {
                content: Some(ContentHash::from_bytes([round as u8; 32])),
                mapping: Some(policy.mapping),
                ..Facts::at(at(11))
            };
            let state = match place {
                0 => State::Failed { attempts: 1, retry_after: at(90) },
                1 => State::Quarantined { reason: "bad".to_owned() },
                _ => State::Completed,
            };
            ledger.record(new, state, facts).await?;
            done(ledger);
        }
        let prefix = Selector::Prefix("daily/00".to_owned());
        ledger.ask_again(&integration, prefix, Again::Listed, at(12)).await?;
        done(ledger);
        ledger.change_control(&integration, |control| control.backfill = Some(Backfill::All)).await?;
        done(ledger);
    }
    Ok(())
}

/// Every index has to be the one that its versions make.
fn assert_indices_follow_from_versions(ledger: &Ledger) {
    let text = exported(ledger);
    let copy = reopen(&made());
    copy.import(&mut text.as_bytes()).unwrap();
    let keys = |ledger: &Ledger| -> Vec<(Vec<u8>, Vec<u8>)> {
        use redb::ReadableTable;
        let table = ledger.0.database.begin_read().unwrap().open_table(layout::KEYS).unwrap();
        let rows = table.iter().unwrap().map(|row| row.unwrap());
        rows.map(|(place, index)| (place.value().to_vec(), index.value().to_vec())).collect()
    };
    assert_eq!(keys(ledger), keys(&copy));
}

/// I4
#[tokio::test]
async fn whatever_call_fails_what_was_answered_is_there() {
    let start = made();
    let sound = Disk::new(&start, usize::MAX, Fails::Once);
    let ledger = open(&sound).unwrap();
    let after_opening = sound.calls();
    // What the ledger holds after so many answered changes.
    let mut model = vec![exported(&ledger)];
    work(&ledger, &mut |ledger| model.push(exported(ledger))).await.unwrap();
    assert_indices_follow_from_versions(&ledger);
    let calls = sound.calls();
    drop(ledger);
    assert!(calls > after_opening + model.len(), "each change writes and syncs");

    let mut failures_met = 0;
    for (fails_at, fails) in (0..calls).flat_map(|call| [(call, Fails::Once), (call, Fails::ForGood)]) {
        let disk = Disk::new(&start, fails_at, fails);
        let mut answered = 0;
        if let Ok(ledger) = open(&disk) {
            let failed = work(&ledger, &mut |_| answered += 1).await;
            if let Err(error) = failed {
                failures_met += 1;
                assert!(error.is_fatal(), "{error:?}");
                if matches!(error, LedgerError::Write { .. }) {
                    let integration = "accounts".parse().unwrap();
                    let refused = ledger.change_control(&integration, |control| control.paused = None).await;
                    assert!(refused.is_err(), "a ledger that failed takes no further change");
                }
            }
        }
        for bytes in [disk.written(), disk.synced()] {
            let ledger = reopen(&bytes);
            let found = exported(&ledger);
            let unanswered = model.get(answered + 1);
            assert!(
                found == model[answered] || Some(&found) == unanswered,
                "call {fails_at} failed ({fails:?}) after {answered} answered changes"
            );
            assert_indices_follow_from_versions(&ledger);
        }
    }
    assert!(failures_met > model.len());
}

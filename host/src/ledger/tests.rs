//! The rules of the ledger, each test against a file of its own.

use std::time::Duration;

use super::*;
use crate::object::{Generation, MappingDigest};

mod keeping;
mod names;
mod places;
mod requests;
mod versions;

const HOUR: i64 = 3_600;

/// A ledger in a directory of its own.
struct Bench {
    ledger: Ledger,
    integration: IntegrationName,
    directory: tempfile::TempDir,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn mapping(number: u8) -> MappingDigest {
    MappingDigest::from_bytes([number; 32])
}

fn content(number: u8) -> ContentHash {
    ContentHash::from_bytes([number; 32])
}

fn object(key: &str, etag: &str, last_modified: i64) -> Object {
    Object {
        connection: "acme".parse().unwrap(),
        bucket: "exports".parse().unwrap(),
        key: key.parse().unwrap(),
        etag: etag.parse().unwrap(),
        size: 10,
        last_modified: at(last_modified),
    }
}

fn policy(now: i64) -> AdmitPolicy {
    AdmitPolicy { now: at(now), on_revert: OnRevert::Skip, mapping: mapping(1) }
}

fn failed(attempts: u32, retry_after: i64) -> State {
    State::Failed { attempts, retry_after: at(retry_after) }
}

fn skipped(reason: SkipReason) -> State {
    State::Skipped { reason }
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&directory.path().join("ledger.redb")).unwrap();
        Self { ledger, integration: "accounts".parse().unwrap(), directory }
    }

    async fn list(&self, object: Object, policy: &AdmitPolicy) -> Admitted {
        self.ledger.admit(&self.integration, vec![object], policy).await.unwrap()
    }

    /// Lists an object that must come out as work.
    async fn take(&self, object: Object) -> NewObject {
        let mut admitted = self.list(object, &policy(HOUR)).await;
        assert_eq!(admitted.work.len(), 1, "{admitted:?}");
        admitted.work.remove(0)
    }

    async fn complete(&self, object: Object, number: u8) -> NewObject {
        let new = self.take(object).await;
        let facts = Facts { content: Some(content(number)), mapping: Some(mapping(1)), ..Facts::at(at(HOUR)) };
        assert_eq!(self.ledger.record(&new, State::Completed, facts).await.unwrap(), Recorded::Stored);
        new
    }

    async fn state(&self, key: &str, etag: &str) -> Option<State> {
        let entries = self.ledger.show(&self.integration, &key.parse().unwrap()).await.unwrap();
        entries.into_iter().find(|entry| entry.object.etag.as_str() == etag).unwrap().state
    }

    fn exported(&self) -> String {
        exported(&self.ledger)
    }
}

pub(super) fn exported(ledger: &Ledger) -> String {
    let mut text = Vec::new();
    ledger.export(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

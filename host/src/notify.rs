//! Tells webhooks of what somebody should know at three in the morning (R20): files that were merged in part, that
//! failed, that did not come, integrations that take nothing, and that things are well again.
//!
//! It owns the notices, their bounded queues and their delivery. It knows nothing of passes, and nobody waits for it: a
//! queue that is full loses the newest notice with an event, since the ledger and `status` still have the truth.
//!
//! # A delivery
//!
//! One JSON object ([`Notice`]), signed and posted as [`crate::post`] says. An answer of 2xx takes it; 408, 425, 429 and
//! 5xx are tried again, after `retry-after` where the answer has it; all else is not.
//!
//! Neither the address nor the secret stands in an event or an error: either may let in whoever has it.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Sender, channel};
use tokio::task::JoinHandle;

use crate::clock::random;
use crate::destination::RowCounts;
use crate::events;
use crate::ledger::{Failure, State};
use crate::object::{IntegrationName, Object, TenantName};
use crate::post::{Poster, Receiver};
use crate::retry::{self, ErrorClass, Step};

/// Notices that wait for one receiver.
const QUEUE: usize = 256;
/// How often a notice is tried.
const ATTEMPTS: u32 = 12;
/// The longest that a receiver's `retry-after` is obeyed.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// How long a receiver may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A file was merged less its rejected rows.
    Partial,
    /// A file failed: for the first time, or for good.
    Failed,
    /// No new file was completed in time.
    Overdue,
    /// A new file was completed after all.
    Arrived,
    /// Files failed before, and a later pass merged some and failed none.
    Recovered,
    /// An integration takes nothing: its last passes failed, or it waits for a person.
    Blocked,
    /// It takes files again.
    Unblocked,
}

/// What a receiver is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// The same whenever the same thing is told.
    pub id: String,
    /// What it is about.
    pub kind: Kind,
    /// When it was found.
    pub at: Timestamp,
    /// Whose integration it is.
    pub tenant: TenantName,
    /// Which integration.
    pub integration: IntegrationName,
    /// Which object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// Its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowCounts>,
    /// Where its reject files are, on the daemon's machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<PathBuf>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Whether and when it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Why nothing is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a person can do about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// From when on things were not as they should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Notice {
    /// With nothing but who and when. `about` tells it apart from others of its kind.
    pub fn new(kind: Kind, tenant: &TenantName, integration: &IntegrationName, about: &str, at: Timestamp) -> Self {
        let id = blake3::hash(format!("{kind:?}\0{integration}\0{about}").as_bytes()).to_hex().to_string();
        Self {
            id,
            kind,
            at,
            tenant: tenant.clone(),
            integration: integration.clone(),
            object: None,
            rows: None,
            rejects: Vec::new(),
            failure: None,
            state: None,
            reason: None,
            hint: None,
            since: None,
        }
    }
}

/// Who is told.
pub struct Webhook {
    /// Its name in the configuration.
    pub name: String,
    /// The only tenant whose integrations it is told of; none for all (R13).
    pub tenant: Option<TenantName>,
    /// Where its notices are posted to, once that is known; none where it cannot be known. Notices wait for that.
    pub receiver: Pin<Box<dyn Future<Output = Option<Receiver>> + Send>>,
}

/// Where notices are put. A clone is the same outbox; an empty one tells nobody.
#[derive(Debug, Clone, Default)]
pub struct Outbox(Arc<Mutex<Vec<Post>>>);

#[derive(Debug)]
struct Post {
    name: String,
    tenant: Option<TenantName>,
    queue: Sender<Notice>,
    work: JoinHandle<()>,
}

impl Outbox {
    /// Tells these from now on, and no longer those of before, who are still told what they were to be. Needs the async
    /// runtime.
    pub fn open(&self, webhooks: Vec<Webhook>) {
        let posts = webhooks.into_iter().map(|webhook| {
            let (queue, notices) = channel(QUEUE);
            let (name, tenant) = (webhook.name.clone(), webhook.tenant.clone());
            Post { name, tenant, queue, work: tokio::spawn(work(webhook, notices)) }
        });
        let posts = posts.collect();
        *self.posts() = posts;
    }

    /// Puts a notice in the queue of everyone whom it is for. Never waits.
    pub fn tell(&self, notice: &Notice) {
        for post in self.posts().iter() {
            let concerns = post.tenant.as_ref().is_none_or(|tenant| *tenant == notice.tenant);
            // A queue that is closed is that of somebody who cannot be told, which was said.
            if concerns && let Err(TrySendError::Full(_)) = post.queue.try_send(notice.clone()) {
                events::NoticeLost { notify: &post.name, notice, reason: "too many wait already" }.emit();
            }
        }
    }

    /// Tells what is still to be told, for as long as `grace` lasts.
    pub async fn drain(&self, grace: Duration) {
        let posts = std::mem::take(&mut *self.posts());
        let works: Vec<JoinHandle<()>> = posts.into_iter().map(|post| post.work).collect();
        let stops: Vec<_> = works.iter().map(JoinHandle::abort_handle).collect();
        if tokio::time::timeout(grace, futures::future::join_all(works)).await.is_err() {
            stops.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }

    fn posts(&self) -> MutexGuard<'_, Vec<Post>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn work(webhook: Webhook, mut notices: mpsc::Receiver<Notice>) {
    let Webhook { name, mut receiver, .. } = webhook;
    let mut first = None;
    let receiver = loop {
        tokio::select! {
            receiver = &mut receiver => break receiver,
            notice = notices.recv(), if first.is_none() => match notice {
                Some(notice) => first = Some(notice),
                // There is nothing to tell, and there will be nothing.
                None => return,
            },
        }
    };
    let Some(receiver) = receiver else { return };
    let poster = Poster::new(ANSWER);
    if let Some(notice) = first {
        deliver(&poster, (&name, &receiver), &notice).await;
    }
    while let Some(notice) = notices.recv().await {
        deliver(&poster, (&name, &receiver), &notice).await;
    }
}

async fn deliver(poster: &Poster, (name, receiver): (&str, &Receiver), notice: &Notice) {
    let lost = |reason: &str| events::NoticeLost { notify: name, notice, reason }.emit();
    let Ok(body) = serde_json::to_vec(notice) else { return lost("it cannot be written as JSON") };
    let body = Bytes::from(body);
    for attempt in 1..=ATTEMPTS {
        let refused = match poster.post(receiver, &notice.id, &body).await {
            Ok(()) => return events::NoticeTold { notify: name, notice, attempt }.emit(),
            Err(refused) => refused,
        };
        let soon = || match retry::next_step(ErrorClass::Network, attempt, random()) {
            Step::Retry { after } => Some(after),
            Step::Forget | Step::Quarantine | Step::Stop => None,
        };
        let pause = refused.wait().map(|wait| wait.min(LONGEST_WAIT)).or_else(soon);
        match pause.filter(|_| refused.may_pass() && attempt < ATTEMPTS) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return lost(&refused.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;

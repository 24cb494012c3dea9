//! Who is told of alarms: each webhook's address and secret, read where they stand.
//!
//! Nobody waits for that, neither a start nor a reload: what they stand on may be slow, or a service out of order. Whoever
//! is told something in the meantime is told it later.

use std::time::Duration;

use crate::clock::random;
use crate::config::Notify;
use crate::events;
use crate::notify::Webhook;
use crate::object::NotifyName;
use crate::post::{self, Receiver};
use crate::retry::{self, ErrorClass, Step};
use crate::secrets::{ExposeSecret, SecretError, SecretReference, SecretString, Secrets};

/// Why somebody cannot be told.
#[derive(Debug, thiserror::Error)]
enum ReceiverError {
    /// Its address or its secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Its address, which stands in a secret, is none.
    #[error("its address does not begin with `https://`, nor with `http://` for this machine")]
    Address,
}

/// One that begins to be told once its address and its secret are read. One for whom they cannot be read is left out,
/// loudly, and for good unless the cause may pass by itself.
pub(super) fn webhook(name: &NotifyName, settings: &Notify, secrets: &Secrets) -> Webhook {
    let (name, tenant) = (name.to_string(), settings.tenant.clone());
    let receiver = receiver(format!("notify.{name}"), settings.clone(), secrets.clone());
    Webhook { name, tenant, receiver: Box::pin(receiver) }
}

async fn receiver(part: String, settings: Notify, secrets: Secrets) -> Option<Receiver> {
    let mut attempts = 0;
    loop {
        let (wanted, place) = (settings.clone(), secrets.clone());
        let error = match tokio::task::spawn_blocking(move || read(&wanted, &place)).await.ok()? {
            Ok(receiver) => {
                if attempts > 0 {
                    events::PartEnabled { part: &part }.emit();
                }
                return Some(receiver);
            }
            Err(error) => error,
        };
        events::PartDisabled { part: &part, problem: &events::Chain(&error) }.emit();
        attempts += 1;
        match (error, retry::next_step(ErrorClass::Network, attempts, random())) {
            (ReceiverError::Secret(error), Step::Retry { after }) if error.may_pass() => {
                tokio::time::sleep(after.max(Duration::from_secs(1))).await;
            }
            _ => return None,
        }
    }
}

/// Blocks.
fn read(settings: &Notify, secrets: &Secrets) -> Result<Receiver, ReceiverError> {
    let value = |reference: &SecretReference| secrets.resolve(reference).map(|resolved| resolved.value);
    let url = match &settings.url {
        post::Address::Text(text) => SecretString::from(text.clone()),
        post::Address::Reference(reference) => value(reference)?,
    };
    if !post::is_allowed(url.expose_secret()) {
        return Err(ReceiverError::Address);
    }
    // Not without the signature that was asked for.
    Ok(Receiver { url, secret: settings.secret.as_ref().map(value).transpose()? })
}

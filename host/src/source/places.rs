//! What an integration may be set up with: the buckets that a connection sees, and the prefixes in them.

use std::collections::BTreeSet;

use aws_sdk_s3::types::EncodingType;

use crate::object::BucketName;

use super::error::Failure;
use super::identity::Identity;
use super::listing::{decoded, is_encoded};
use super::{Circle, Connection, FailureKind, SourceError};

/// Prefixes shown at most.
const PREFIXES: usize = 1_000;
/// Pages asked for at most: a page may be full of keys and have no prefix.
const PAGES: usize = 10;

/// The prefixes of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// In order; with grants, the part of each grant's scope before its star.
    pub prefixes: BTreeSet<String>,
    /// Whether there may be more.
    pub has_more: bool,
}

impl Connection {
    /// The names of the buckets that the credentials can see: with S3 Access Grants, those of which a part is granted.
    /// Credentials that may not list buckets are common and fine: the names are then given by hand.
    ///
    /// # Errors
    /// [`SourceError::ListBuckets`].
    pub async fn buckets(&self) -> Result<BTreeSet<BucketName>, SourceError> {
        let failed = |failure| SourceError::ListBuckets { connection: self.key.clone(), failure: Box::new(failure) };
        match &self.identity {
            Identity::Grants(grants) => {
                let scopes = grants.scopes(None).await.map_err(failed)?;
                Ok(scopes.iter().filter_map(|scope| scope_in(scope)?.0.parse().ok()).collect())
            }
            Identity::KeyPair(_) | Identity::Leased(_) | Identity::Granted(_) => self.listed().await.map_err(failed),
        }
    }

    async fn listed(&self) -> Result<BTreeSet<BucketName>, Failure> {
        let (mut names, mut circle) = (BTreeSet::new(), Circle::default());
        let mut token = None;
        loop {
            let request = self.client.list_buckets().set_continuation_token(token);
            let answer = self.identity.send(|| request.clone().send()).await?;
            names.extend(answer.buckets().iter().filter_map(|bucket| bucket.name()?.parse::<BucketName>().ok()));
            token = answer.continuation_token().filter(|token| !token.is_empty()).map(str::to_owned);
            match &token {
                None => return Ok(names),
                Some(token) if circle.closes_at(token) => return Err(endless()),
                Some(_) => {}
            }
        }
    }

    /// The prefixes of a bucket that end with the first slash; with S3 Access Grants, those that are granted.
    ///
    /// # Errors
    /// [`SourceError::List`], and [`SourceError::ListBuckets`] with grants.
    pub async fn prefixes(&self, bucket: &BucketName) -> Result<Prefixes, SourceError> {
        match &self.identity {
            Identity::Grants(grants) => {
                let asked = grants.scopes(Some(bucket)).await;
                let scopes = asked.map_err(|failure| SourceError::ListBuckets {
                    connection: self.key.clone(),
                    failure: Box::new(failure),
                })?;
                let own =
                    scopes.iter().filter_map(|scope| scope_in(scope)).filter(|(name, _)| *name == bucket.as_str());
                Ok(Prefixes { prefixes: own.map(|(_, prefix)| prefix.to_owned()).collect(), has_more: false })
            }
            Identity::KeyPair(_) | Identity::Leased(_) | Identity::Granted(_) => {
                self.common_prefixes(bucket).await.map_err(|failure| SourceError::list(bucket, "", failure))
            }
        }
    }

    async fn common_prefixes(&self, bucket: &BucketName) -> Result<Prefixes, Failure> {
        let mut found = Prefixes::default();
        let mut token = None;
        for _ in 0..PAGES {
            let request = self.client.list_objects_v2().bucket(bucket.as_str()).delimiter("/");
            let request = request.encoding_type(EncodingType::Url).set_continuation_token(token);
            let answer = self.identity.send(|| request.clone().send()).await?;
            let encoded = is_encoded(&answer);
            let prefixes = answer.common_prefixes().iter().filter_map(|common| common.prefix());
            found.prefixes.extend(prefixes.filter_map(|prefix| match encoded {
                true => decoded(prefix),
                false => Some(prefix.to_owned()),
            }));
            token = answer.next_continuation_token().map(str::to_owned);
            found.has_more = token.is_some();
            if token.is_none() || found.prefixes.len() >= PREFIXES {
                break;
            }
        }
        Ok(found)
    }
}

/// A list whose server gives the same tokens again and again.
pub(super) fn endless() -> Failure {
    Failure::new(FailureKind::Unexpected).with_message("the list goes round in a circle and has no end")
}

/// The bucket and the prefix of a grant's scope.
fn scope_in(scope: &str) -> Option<(&str, &str)> {
    let path = scope.strip_prefix("s3://")?;
    let path = path.strip_suffix('*').unwrap_or(path);
    Some(path.split_once('/').unwrap_or((path, "")))
}

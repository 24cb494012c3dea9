//! A role's credentials, from STS.

use std::time::Duration;

use aws_sdk_s3::config::Credentials;
use aws_sdk_sts::Client;

use crate::source::error::{Failure, FailureKind};

use super::Identity;

/// How a role is assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSettings {
    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    pub role_arn: String,
    /// What the role's trust policy asks for beside the caller. Not a secret.
    pub external_id: Option<String>,
    /// The name that the role's sessions have in its account's records.
    pub session_name: String,
    /// How long credentials are good.
    pub duration: Duration,
    /// The address of STS, where it is not Amazon's of the region.
    pub endpoint_url: Option<String>,
}

/// Assumes a role.
#[derive(Debug)]
pub(in crate::source) struct Role {
    settings: RoleSettings,
    /// Who assumes it.
    base: Identity,
    client: Client,
}

impl Role {
    /// The client sends as `base`.
    pub(in crate::source) fn new(settings: RoleSettings, base: Identity, client: Client) -> Self {
        Self { settings, base, client }
    }

    pub(super) async fn assume(&self) -> Result<Credentials, Failure> {
        let settings = &self.settings;
        let request = || {
            self.client
                .assume_role()
                .role_arn(&settings.role_arn)
                .set_external_id(settings.external_id.clone())
                .role_session_name(&settings.session_name)
                .duration_seconds(i32::try_from(settings.duration.as_secs()).unwrap_or(i32::MAX))
                .send()
        };
        let answer = self.base.send(request).await.map_err(|failure| self.judge(failure))?;
        let Some(issued) = answer.credentials() else {
            return Err(Failure::new(FailureKind::NotIssued)
                .of("AssumeRole")
                .with_message("there are none in the answer"));
        };
        let end = (*issued.expiration()).try_into().ok();
        let token = issued.session_token().to_owned();
        Ok(Credentials::new(issued.access_key_id(), issued.secret_access_key(), Some(token), end, "gristmill"))
    }

    /// What a refusal of STS comes to. It says of no refused role why: it may not be there, not trust the caller, or
    /// want another external id.
    fn judge(&self, failure: Failure) -> Failure {
        let mentions = |word| failure.message.as_ref().is_some_and(|message| message.contains(word));
        let kind = match &failure.kind {
            FailureKind::Denied => FailureKind::RoleDenied { role_arn: self.settings.role_arn.clone() },
            _ if mentions("DurationSeconds") => FailureKind::RoleDuration,
            kind => kind.clone().of_an_issuer(),
        };
        Failure { kind, ..failure }.of("AssumeRole")
    }
}

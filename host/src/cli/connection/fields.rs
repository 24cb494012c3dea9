//! Which keys of a connection's table a person may edit: that follows from its way to credentials.

use clap::ValueEnum;

use crate::config::edit::TableEdit;

/// A way to credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Mode {
    /// A pair of keys.
    AccessKey,
    /// What S3 Access Grants grant.
    AccessGrants,
    /// A role that is assumed.
    AssumeRole,
    /// Whatever the AWS SDK finds.
    DefaultChain,
}

/// The keys that every connection has.
const OF_ALL: [&str; 5] = ["name", "region", "endpoint_url", "force_path_style", "tenant"];
/// The pair of keys, which is changed as a whole.
const PAIR: [&str; 4] = ["access_key", "access_key_id", "secret_access_key", "session_token"];

impl Mode {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::AccessKey, Self::AccessGrants, Self::AssumeRole, Self::DefaultChain];

    /// Its table.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::AccessKey => "access_key",
            Self::AccessGrants => "access_grants",
            Self::AssumeRole => "assume_role",
            Self::DefaultChain => "default_chain",
        }
    }

    /// That of a connection's table.
    pub(super) fn of(table: &TableEdit<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| table.contains(mode.table()))
    }

    /// The keys of its table that may be edited.
    fn own(self) -> &'static [&'static str] {
        match self {
            Self::AccessKey | Self::DefaultChain => &[],
            Self::AccessGrants => &["account_id", "duration", "endpoint_url"],
            Self::AssumeRole => &["role_arn", "external_id", "session_name", "duration", "endpoint_url"],
        }
    }

    /// How its own keys are named: with its table where another key has the same name.
    fn named(self, key: &str) -> String {
        if OF_ALL.contains(&key) { format!("{}.{key}", self.table()) } else { key.to_owned() }
    }

    /// The path of a field in the connection's table, or why it cannot be edited.
    pub(super) fn path_of(self, field: &str) -> Result<String, String> {
        if OF_ALL.contains(&field) {
            return Ok(field.to_owned());
        }
        let (table, key) = field.split_once('.').unwrap_or((self.table(), field));
        if table == self.table() && self.own().contains(&key) {
            return Ok(format!("{table}.{key}"));
        }
        if field == "renamed_from" {
            return Err("the key is changed by `gristmill connection rename`".to_owned());
        }
        if field.split('.').any(|part| PAIR.contains(&part)) {
            return Err("a pair of keys is changed as a whole, by `gristmill connection rotate`".to_owned());
        }
        let others = Self::ALL.into_iter().filter(|mode| *mode != self);
        let its = |mode: &Self| mode.own().contains(&key) || *field == *mode.table() || table == mode.table();
        let editable = self.own().iter().map(|key| self.named(key));
        let editable: Vec<String> = OF_ALL.iter().map(|key| (*key).to_owned()).chain(editable).collect();
        let editable = format!("what can be edited: {}", editable.join(", "));
        Err(match others.into_iter().find(its) {
            Some(other) => format!(
                "`{field}` belongs to `{}`, and this connection has `{}`; {editable}",
                other.table(),
                self.table()
            ),
            None => format!("a connection with `{}` has no `{field}`; {editable}", self.table()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_edited_follows_from_the_way_to_credentials() {
        for mode in Mode::ALL {
            assert_eq!(mode.path_of("region").unwrap(), "region");
            assert!(mode.path_of("secret_access_key").unwrap_err().contains("connection rotate"));
            assert!(mode.path_of("access_key.session_token").unwrap_err().contains("connection rotate"));
            assert!(mode.path_of("renamed_from").unwrap_err().contains("connection rename"));
            assert!(mode.path_of("colour").unwrap_err().contains("has no `colour`; what can be edited: name, region"));
        }
        assert_eq!(Mode::AssumeRole.path_of("role_arn").unwrap(), "assume_role.role_arn");
        assert_eq!(Mode::AssumeRole.path_of("assume_role.endpoint_url").unwrap(), "assume_role.endpoint_url");
        assert_eq!(Mode::AccessGrants.path_of("endpoint_url").unwrap(), "endpoint_url");
        let refused = Mode::AccessKey.path_of("role_arn").unwrap_err();
        assert!(refused.starts_with("`role_arn` belongs to `assume_role`, and this connection has `access_key`"));
        assert!(
            Mode::AccessKey.path_of("access_grants.account_id").unwrap_err().contains("belongs to `access_grants`")
        );
        assert!(Mode::DefaultChain.path_of("duration").unwrap_err().contains("belongs to `access_grants`"));
    }
}

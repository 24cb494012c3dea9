//! Loading users from a file of this machine, so that `lookup_user` fields have someone to mean.
//!
//! The file goes through the decoder and the field mapper of an integration, into its tenant and the first of its
//! destinations that keeps accounts. A user is known by its id: the mapping has one identifier, with `match = "id"`, and
//! brings the fields `email` and `name`, or one of them. Of several rows with one id the last that says something counts, and
//! of several loads the last: a list of users is a statement of now, so loading one needs no identity (R1) and has no place
//! among the writes of files (R2). Users who stand in no file stay (R3). Memory is some 200 bytes a user.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::{Array, StringArray};
use serde::Serialize;

use crate::accounts::{Import, ImportError};
use crate::batch::{AccountBatch, AccountLayout, MatchKey, UsageBatch, UsageLayout, ValueType};
use crate::destination::users::{User, UsersMerged};
use crate::destination::{DestinationError, Intake};
use crate::ingest::Failure;
use crate::object::{DestinationName, IntegrationName, TenantName};
use crate::oversight::Oversight;

/// What the names of loads begin with, in reject files.
const NAME_SPACE: &str = "local:users";

/// What a load of users did.
#[derive(Debug, Clone, Serialize)]
pub struct ImportedUsers {
    /// The file.
    pub file: PathBuf,
    /// By whose mapping.
    pub integration: IntegrationName,
    /// Whose users.
    pub tenant: TenantName,
    /// Where they are.
    pub destination: DestinationName,
    /// Rows read.
    pub read: u64,
    /// Rows refused.
    pub rejected: u64,
    /// What became of the users.
    pub users: UsersMerged,
    /// The files that the refused rows stand in.
    pub reject_files: Vec<PathBuf>,
}

/// Loads a file of users. Blocks.
pub fn import(import: &Import, path: &Path, oversight: &Oversight) -> Result<ImportedUsers, ImportError> {
    let load = import.load_of(path, NAME_SPACE)?;
    let mut users = Users::default();
    let (rows, reject_files) = import.take(&load, &mut users, oversight)?;
    let (tenant, destination) = import.place();
    let merged = destination.destination.merge_users(tenant, &users.users).map_err(Failure::from)?;
    Ok(ImportedUsers {
        file: path.to_owned(),
        integration: load.identity.integration,
        tenant: tenant.clone(),
        destination: destination.name.clone(),
        read: rows.read,
        rejected: rows.rejected,
        users: merged,
        reject_files,
    })
}

/// What a field of a user's row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Email,
    Name,
}

/// Takes account records for users.
#[derive(Debug, Default)]
struct Users {
    users: Vec<User>,
    /// Where among them each id stands.
    places: HashMap<String, usize>,
    /// What the fields of the open table say.
    fields: Vec<Says>,
}

impl Users {
    fn take(&mut self, id: &str, says: impl Iterator<Item = (Says, String)>) {
        let place = match self.places.entry(id.to_owned()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.users.push(User { id: id.to_owned(), email: None, name: None });
                *new.insert(self.users.len() - 1)
            }
        };
        let Some(user) = self.users.get_mut(place) else { return };
        for (what, text) in says {
            match what {
                Says::Email => user.email = Some(text),
                Says::Name => user.name = Some(text),
            }
        }
    }
}

impl Intake for Users {
    fn open_table(
        &mut self,
        accounts: Option<&AccountLayout>,
        _usage: Option<&UsageLayout>,
    ) -> Result<(), DestinationError> {
        let refused = |brought: String| Err(DestinationError::NotOfUsers { brought });
        self.fields.clear();
        let Some(layout) = accounts else { return Ok(()) };
        if layout.identifiers != [vec![MatchKey::Id]] {
            return refused("other identifiers than one with `match = \"id\"`".to_owned());
        }
        for field in &layout.fields {
            match (field.name.as_str(), field.value_type) {
                ("email", ValueType::Text) => self.fields.push(Says::Email),
                ("name", ValueType::Text) => self.fields.push(Says::Name),
                ("email" | "name", _) => return refused(format!("`{}`, which is no text", field.name)),
                _ => return refused(format!("the field `{}`", field.name)),
            }
        }
        Ok(())
    }

    fn accounts(&mut self, batch: &AccountBatch, rejected: &[u32]) -> Result<(), DestinationError> {
        let Some(ids) = batch.identifiers.first() else { return Ok(()) };
        let fields: Vec<(Says, &StringArray)> = self
            .fields
            .iter()
            .zip(&batch.fields)
            .filter_map(|(says, column)| Some((*says, column.values.as_string_opt::<i32>()?)))
            .collect();
        for (record, row) in batch.rows.iter().enumerate() {
            if rejected.binary_search(row).is_ok() || ids.is_null(record) || ids.value(record).is_empty() {
                continue;
            }
            let said = fields.iter().filter(|(_, texts)| texts.is_valid(record));
            self.take(ids.value(record), said.map(|(says, texts)| (*says, texts.value(record).to_owned())));
        }
        Ok(())
    }

    fn usage(&mut self, _batch: &UsageBatch, _rejected: &[u32]) -> Result<(), DestinationError> {
        Ok(())
    }

    /// A mapper that holds rows back may refuse one whose record it gave before; that record says who there is all the same.
    fn reject_row(&mut self, _row: u32) -> Result<(), DestinationError> {
        Ok(())
    }
}

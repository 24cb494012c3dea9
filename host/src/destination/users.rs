//! Users: whom `lookup_user` fields mean, and the users that usage is kept by.
//!
//! An import brings them, and the last one that names a user says who that is. Nothing is ever taken away (R3).

use std::ops::ControlFlow;

use serde::Serialize;

/// One user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// What it is known by for good, and what is stored of it in account fields.
    pub id: String,
    /// Its address.
    pub email: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// What became of the users of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UsersMerged {
    /// Users that were not there.
    pub created: u64,
    /// Users whose address or name changed.
    pub updated: u64,
    /// Users who were there already, as they are.
    pub unchanged: u64,
}

/// Who is told of users.
pub type UserVisitor<'v> = dyn FnMut(&User) -> ControlFlow<()> + 'v;

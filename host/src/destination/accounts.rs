//! What a destination that keeps accounts tells of them: who they are and what their fields say now.

use std::ops::ControlFlow;

use serde_json::Value;

/// The kinds of keys that people see, in the order in which they are told.
pub const KEY_KINDS: [&str; 3] = ["crm_id", "domain", "name"];

/// Which accounts are asked for, or which users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// All of them.
    All,
    /// Accounts of which a CRM id, a domain or a name is this text, or a name, normalized, contains it. Users of whom the id is
    /// this text, or the address or the name contains it, in small or capital letters from A to Z.
    Like(&'a str),
}

/// What all accounts have in common: what a table of them has for columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountColumns {
    /// How many keys an account has at most, for each of [`KEY_KINDS`].
    pub keys: [usize; KEY_KINDS.len()],
    /// The fields, by their keys.
    pub fields: Vec<String>,
}

/// One account.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountRecord {
    /// The destination's own number for it.
    pub id: i64,
    /// When it was first seen, in UTC.
    pub created_at: String,
    /// Its keys, for each of [`KEY_KINDS`], sorted.
    pub keys: [Vec<String>; KEY_KINDS.len()],
    /// Its current values, each with the place of its field among the columns, rising.
    pub values: Vec<(usize, Value)>,
}

/// Who is told of accounts.
pub trait AccountVisitor {
    /// Told first, and once.
    fn columns(&mut self, columns: &AccountColumns) -> ControlFlow<()>;

    /// Told of each account.
    fn account(&mut self, account: &AccountRecord) -> ControlFlow<()>;
}

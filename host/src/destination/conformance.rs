//! One behaviour for all destinations: what each promises, through the trait alone. What a store in a database holds is
//! read through its views and its schema, which the stores have in common.
//!
//! A test is a function of the kind of destination; the list at the end makes a test of each pair. What only one kind
//! does is tested beside it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arrow_array::builder::{Int64Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Date32Array, StringArray};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field};
use gristmill_postgres_server::{DATABASE, PostgresServer, USER};
use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::types::Value as Stored;
use tempfile::TempDir;

use super::files::{Compression, FilesDestination, Form, Format};
use super::postgres::{Address, PostgresDestination, PostgresSettings, Tls};
use super::sqlite::SqliteDestination;
use super::webhook::tests::Hook;
use super::*;
use crate::batch::{
    AccountBatch, AccountLayout, Aggregate, FieldColumn, Identifier, Issues, MatchKey, OutputField, Period, Repeat,
    Semantic, Series, UsageBatch, UsageLayout, UserKey, ValueBlock, ValueType, WriteMode,
};
use crate::object::{AsOf, ContentHash, Generation, MappingDigest, Object, Relocation, Site};
use crate::secrets::{SecretReference, Secrets};

mod confirming;
mod data;
mod matching;
mod mended;
mod names;
mod order;
mod places;
mod resolving;
pub(super) mod storing;
mod telling;
mod usage;
mod users;

pub(super) use data::*;

/// Which destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    Postgres,
    /// Lines of JSON as they are.
    FilesNdjson,
    /// The same, compressed.
    FilesNdjsonZstd,
    FilesParquet,
    Webhook,
}

impl Kind {
    /// Whether it keeps accounts.
    fn can_match(self) -> bool {
        matches!(self, Self::Sqlite | Self::Postgres)
    }

    /// The form of its files, where it is files.
    fn form(self) -> Option<Form> {
        let (format, compression) = match self {
            Self::Sqlite | Self::Postgres | Self::Webhook => return None,
            Self::FilesNdjson => (Format::Ndjson, Compression::None),
            Self::FilesNdjsonZstd => (Format::Ndjson, Compression::Zstd),
            Self::FilesParquet => (Format::Parquet, Compression::Zstd),
        };
        Some(Form { format, compression })
    }
}

/// A destination in a place of its own.
pub(super) struct Bed {
    pub(super) kind: Kind,
    pub(super) directory: TempDir,
    /// The PostgreSQL schema, or the path of the webhook.
    pub(super) schema: String,
    pub(super) destination: Box<dyn Destination>,
}

impl Bed {
    pub(super) fn new(kind: Kind) -> Self {
        static SCHEMAS: AtomicU32 = AtomicU32::new(0);
        let directory = TempDir::new().unwrap();
        let schema = format!("bed_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        if kind == Kind::Postgres {
            PostgresDestination::new(postgres_settings(&schema), Secrets::new(None)).unwrap().migrate().unwrap();
        }
        let destination = open(kind, &directory, &schema).unwrap();
        Self { kind, directory, schema, destination }
    }

    /// The same place, opened once more.
    pub(super) fn open_again(&self) -> Result<Box<dyn Destination>, DestinationError> {
        open(self.kind, &self.directory, &self.schema)
    }

    /// The SQLite store of the default tenant.
    pub(super) fn database(&self) -> PathBuf {
        self.directory.path().join("stores/default.db")
    }

    pub(super) fn stage(&self, file: &File) -> Box<dyn Staging> {
        let mut staging = self.destination.stage(file.delivery()).unwrap();
        let layouts = (file.accounts.as_ref().map(Accounts::layout), file.usage.as_ref().map(Usage::layout));
        staging.open_table(layouts.0.as_ref(), layouts.1.as_ref()).unwrap();
        if let Some(accounts) = &file.accounts {
            staging.accounts(&accounts.batch(), &file.rejected).unwrap();
        }
        if let Some(usage) = &file.usage {
            staging.usage(&usage.batch(), &file.rejected).unwrap();
        }
        staging
    }

    pub(super) fn merge(&self, file: &File) -> Result<Merged, DestinationError> {
        self.stage(file).merge(RowCounts::default()).map(|summary| summary.merged)
    }

    pub(super) fn preview(&self, file: &File) -> Preview {
        self.stage(file).preview().unwrap()
    }

    /// The rows of a query, each as its values joined by `|`.
    pub(super) fn rows(&self, sql: &str) -> Vec<String> {
        match self.kind {
            Kind::Sqlite => sqlite_rows(&self.database(), sql),
            Kind::Postgres => PostgresServer::shared().query(&self.schema, sql),
            _ => unreachable!("only stores are asked in SQL"),
        }
    }

    /// Whether nothing at all was stored.
    pub(super) fn is_untouched(&self) -> bool {
        match self.kind {
            Kind::Sqlite => !self.database().exists(),
            Kind::Postgres => {
                self.rows("SELECT (SELECT count(*) FROM ingestions) + (SELECT count(*) FROM tenants)") == ["0"]
            }
            Kind::Webhook => Hook::shared().seen_at(&self.schema).is_empty() && self.files().is_empty(),
            _ => self.files().is_empty(),
        }
    }

    /// The files of a destination that cannot match, less those that are staged.
    fn files(&self) -> Vec<PathBuf> {
        let root = if self.kind == Kind::Webhook { "webhook" } else { "files" };
        let mut directories = vec![self.directory.path().join(root)];
        let mut files = Vec::new();
        while let Some(directory) = directories.pop() {
            for entry in directory.read_dir().unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true if path.ends_with(".staging") => {}
                    true => directories.push(path),
                    false => files.push(path),
                }
            }
        }
        files
    }

    /// Fields as people see them: `crm_id|field|value`.
    pub(super) fn fields(&self) -> Vec<String> {
        self.rows("SELECT coalesce(crm_id, domains, name), field, value FROM account_field_values ORDER BY 1, 2")
    }

    /// Usage as people see it: `crm_id|user|metric|period_start|value`.
    pub(super) fn usage(&self) -> Vec<String> {
        // `user` is a word of PostgreSQL's own, and its means have more digits than a double holds.
        let (user, value) = match self.kind {
            Kind::Postgres => (
                "account_user",
                "CASE aggregate WHEN 'avg' THEN value::double precision::text ELSE coalesce(value::text, text_value) END",
            ),
            _ => ("user", "value"),
        };
        self.rows(&format!(
            "SELECT coalesce(crm_id, domains), {user}, metric, period_start, {value} FROM usage_records
             ORDER BY 1 NULLS FIRST, 2 NULLS FIRST, 3, 4"
        ))
    }

    /// All accounts, each as its keys.
    fn keys(&self) -> Vec<String> {
        let together = match self.kind {
            Kind::Postgres => "string_agg(kind || '=' || value, ' ' ORDER BY kind, value)",
            _ => "group_concat(kind || '=' || value, ' ' ORDER BY kind, value)",
        };
        self.rows(&format!(
            "SELECT (SELECT {together} FROM account_keys k WHERE k.account = a.id) FROM accounts a ORDER BY 1"
        ))
    }
}

/// Where the tests' own server is.
pub(super) fn postgres_settings(schema: &str) -> PostgresSettings {
    let server = PostgresServer::shared();
    PostgresSettings {
        address: Address::Parts {
            host: "localhost".to_owned(),
            port: server.port(),
            database: DATABASE.to_owned(),
            user: USER.to_owned(),
            password: Some(SecretReference::File(server.password_file())),
        },
        tls: Tls::Off,
        ca_file: None,
        schema: schema.to_owned(),
        connect_timeout: Duration::from_secs(30),
        connections: 5,
    }
}

fn open(kind: Kind, directory: &TempDir, schema: &str) -> Result<Box<dyn Destination>, DestinationError> {
    Ok(match kind {
        Kind::Sqlite => {
            Box::new(SqliteDestination::open(directory.path().join("stores"), directory.path().join("staging"))?)
        }
        Kind::Postgres => Box::new(PostgresDestination::new(postgres_settings(schema), Secrets::new(None))?),
        Kind::Webhook => Box::new(super::webhook::tests::open(directory.path(), Hook::shared(), schema)?),
        _ => Box::new(FilesDestination::open(&directory.path().join("files"), kind.form().unwrap())?),
    })
}

#[expect(clippy::disallowed_methods, reason = "what a person would see")]
fn sqlite_rows(database: &std::path::Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(database).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| {
        let values: Vec<String> = (0..columns).map(|index| show(row.get_unwrap(index))).collect();
        Ok(values.join("|"))
    };
    statement.query_map([], read).unwrap().map(Result::unwrap).collect()
}

fn show(value: Stored) -> String {
    match value {
        Stored::Null => "-".to_owned(),
        Stored::Integer(number) => number.to_string(),
        Stored::Real(number) => number.to_string(),
        Stored::Text(text) => text,
        Stored::Blob(bytes) => format!("{bytes:x?}"),
    }
}

/// Makes a test of each pair of a kind and a test.
macro_rules! conform {
    ($($kind:ident: $variant:ident),+ => $tests:tt) => { $( conform! { @ $kind $variant $tests } )+ };
    (@ $kind:ident $variant:ident { $($module:ident: $($test:ident)*;)* }) => {
        mod $kind {
            use super::Kind;
            $($(
                #[test]
                fn $test() {
                    super::$module::$test(Kind::$variant);
                }
            )*)*
        }
    };
}

// Stores that keep accounts behave alike in everything.
conform! { sqlite: Sqlite, postgres: Postgres => {
    confirming:
        an_identity_is_confirmed_once_whatever_it_brings_later
        a_staging_that_was_dropped_leaves_nothing
        a_preview_leaves_nothing
        a_replay_is_an_identity_of_its_own
        what_was_never_confirmed_is_told_apart
        tenants_are_kept_apart
        a_last_confirmation_is_known_to_whoever_opens_the_place_next;
    matching:
        the_next_strategy_is_tried_on_a_blank_or_no_match
        an_ambiguous_identifier_is_counted_and_not_applied
        all_keys_of_a_composite_strategy_must_match
        an_account_takes_on_the_keys_that_its_records_bring
        the_id_of_an_account_matches_and_is_never_invented
        a_field_matches_by_its_current_value
        an_account_created_by_a_field_has_that_value
        several_accounts_are_skipped_or_the_first_or_all_are_taken_or_the_file_fails
        usage_of_a_row_that_matches_several_accounts_goes_to_all_of_them_if_asked_for
        identifiers_of_different_accounts_go_by_the_first_or_are_skipped_or_fail_the_file
        a_row_without_an_account_fails_the_file_if_asked_for
        too_many_rows_without_an_account_fail_the_file
        names_match_in_normalized_form_and_create_one_account_for_all_spellings
        names_that_came_by_another_key_match_in_normalized_form_later
        names_that_are_about_the_same_match_unless_two_are_as_near
        a_name_about_that_of_another_account_is_a_conflict;
    mended:
        mended_rows_count_with_their_object
        mended_rows_of_a_superseded_version_do_not_bring_it_back
        mended_fields_win_over_their_object_and_over_nothing_newer
        a_replay_of_the_object_doubles_no_mended_row
        a_row_that_a_replay_takes_is_not_mended_any_more
        a_replay_of_the_mended_file_takes_its_place
        rows_that_are_mended_again_count_once
        a_mended_row_that_is_rejected_late_is_left_to_mend
        mended_rows_wait_for_their_object
        mended_rows_join_what_came_under_the_former_name
        mended_rows_join_what_came_from_the_former_place;
    names:
        what_was_confirmed_is_confirmed_under_another_name;
    order:
        files_in_any_order_end_in_the_same_store
        files_that_are_moved_in_between_end_in_the_same_store;
    places:
        what_was_confirmed_is_confirmed_in_another_place
        an_object_takes_no_other_ones_place;
    resolving:
        records_of_another_destination_get_the_accounts_of_the_store
        a_file_is_refused_for_rows_that_the_store_does_not_know
        rows_that_are_rejected_late_are_not_asked_after;
    storing:
        an_identity_is_confirmed_at_most_once
        a_replay_replaces_what_the_object_contributed
        a_replay_with_the_same_content_changes_nothing
        an_older_object_does_not_overwrite_a_newer_one
        within_a_file_the_last_row_counts_and_a_null_keeps
        a_field_keeps_its_type
        decimals_are_stored_exactly
        a_file_in_which_nothing_matched_is_refused
        rejected_rows_bring_nothing_even_when_they_are_rejected_late
        rejects_are_kept_with_their_ingestion
        a_preview_tells_what_would_happen_and_writes_nothing
        tenants_match_among_their_own_accounts
        several_objects_are_staged_and_merged_at_once
        more_fields_than_a_table_has_columns_are_stored
        every_type_stands_as_people_read_it;
    telling:
        accounts_are_told_with_their_keys_and_current_values
        accounts_are_found_by_a_key_or_a_part_of_a_name
        accounts_are_told_in_order_however_many_until_nobody_listens;
    usage:
        rows_of_one_file_are_aggregated
        the_newest_object_replaces_and_older_ones_do_not
        adding_takes_every_objects_latest_version_once
        a_replay_of_bytes_that_an_older_version_had_takes_its_place
        usage_is_kept_by_user
        decimals_of_different_scale_add_up_exactly
        a_metric_keeps_its_type
        a_replay_that_moves_usage_to_other_periods_leaves_none_behind
        usage_of_rows_that_matched_nothing_is_not_counted
        a_sum_beyond_64_bits_fails_the_file
        a_preview_tells_which_usage_changes;
    users:
        users_are_kept_by_their_ids_and_told_of
        a_field_that_means_a_user_holds_its_id
        usage_tells_which_of_the_users_it_is_of;
} }

// These keep records as they come, and match none.
conform! { files_ndjson: FilesNdjson, files_ndjson_zstd: FilesNdjsonZstd, files_parquet: FilesParquet => {
    confirming:
        an_identity_is_confirmed_once_whatever_it_brings_later
        a_staging_that_was_dropped_leaves_nothing
        a_preview_leaves_nothing
        a_replay_is_an_identity_of_its_own
        what_was_never_confirmed_is_told_apart
        tenants_are_kept_apart
        a_last_confirmation_is_known_to_whoever_opens_the_place_next;
    mended:
        mended_rows_say_where_they_come_from;
    names:
        what_was_confirmed_is_confirmed_under_another_name;
    places:
        what_was_confirmed_is_confirmed_in_another_place
        an_object_takes_no_other_ones_place;
} }

conform! { webhook: Webhook => {
    names:
        what_was_confirmed_is_confirmed_under_another_name;
    places:
        what_was_confirmed_is_confirmed_in_another_place
        an_object_takes_no_other_ones_place;
    confirming:
        an_identity_is_confirmed_once_whatever_it_brings_later
        a_staging_that_was_dropped_leaves_nothing
        a_preview_leaves_nothing
        a_replay_is_an_identity_of_its_own
        what_was_never_confirmed_is_told_apart
        tenants_are_kept_apart
        a_last_confirmation_is_known_to_whoever_opens_the_place_next;
    mended:
        mended_rows_are_sent_with_where_they_come_from;
} }

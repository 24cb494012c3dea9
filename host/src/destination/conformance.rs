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

/// One object with its records.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) integration: &'static str,
    pub(super) bucket: &'static str,
    pub(super) key: String,
    pub(super) version: u64,
    pub(super) generation: u32,
    pub(super) second: i64,
    pub(super) matching: Matching,
    pub(super) rejected: Vec<u32>,
    pub(super) brings: Brings,
    /// Its bytes; the version's own if none.
    pub(super) content: Option<u8>,
    pub(super) accounts: Option<Accounts>,
    pub(super) usage: Option<Usage>,
}

impl File {
    pub(super) fn new(key: &str) -> Self {
        Self {
            integration: "crm",
            bucket: "exports",
            key: key.to_owned(),
            version: 1,
            generation: 0,
            second: 1_000,
            matching: Matching { on_no_match: OnNoMatch::Create, ..Matching::default() },
            rejected: Vec::new(),
            brings: Brings::OWN,
            content: None,
            accounts: None,
            usage: None,
        }
    }

    pub(super) fn at(mut self, second: i64) -> Self {
        self.second = second;
        self
    }

    pub(super) fn generation(mut self, generation: u32) -> Self {
        self.generation = generation;
        self
    }

    pub(super) fn version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    pub(super) fn skipping(self) -> Self {
        self.matching(Matching::default())
    }

    pub(super) fn matching(mut self, matching: Matching) -> Self {
        self.matching = matching;
        self
    }

    pub(super) fn accounts(mut self, accounts: Accounts) -> Self {
        self.accounts = Some(accounts);
        self
    }

    pub(super) fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    pub(super) fn delivery(&self) -> Delivery {
        let object = Object {
            connection: "acme".parse().unwrap(),
            bucket: self.bucket.parse().unwrap(),
            key: self.key.parse().unwrap(),
            etag: format!("v{}", self.version).parse().unwrap(),
            size: 10,
            last_modified: Timestamp::from_second(self.second).unwrap(),
        };
        let identity = Identity {
            integration: self.integration.parse().unwrap(),
            dedup_key: object.dedup_key(),
            generation: Generation(self.generation),
        };
        let as_of = AsOf {
            effective_time: object.last_modified,
            key: object.key.clone(),
            arrival: self.version,
            generation: identity.generation,
        };
        Delivery {
            identity,
            object,
            tenant: TenantName::default(),
            as_of,
            mapping: MappingDigest::from_bytes([1; 32]),
            content: ContentHash::from_bytes([self.content.unwrap_or(self.version as u8); 32]),
            matching: self.matching,
            brings: self.brings.clone(),
        }
    }
}

/// What a cell of a mapped field says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Keep,
    Clear,
    Text(String),
    Number(i64),
    List(Vec<&'static str>),
}

pub(super) fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// Account records of one table.
#[derive(Debug, Clone)]
pub(super) struct Accounts {
    pub(super) identifiers: Vec<Identifier>,
    pub(super) fields: Vec<OutputField>,
    pub(super) rows: Vec<(Vec<Option<String>>, Vec<Cell>)>,
}

impl Accounts {
    pub(super) fn by(identifiers: Vec<Identifier>, fields: Vec<OutputField>) -> Self {
        Self { identifiers, fields, rows: Vec::new() }
    }

    pub(super) fn by_crm_id(fields: Vec<OutputField>) -> Self {
        Self::by(vec![vec![MatchKey::CrmId]], fields)
    }

    /// Adds a record; an empty identifier is a null.
    pub(super) fn row(mut self, identifiers: &[&str], cells: Vec<Cell>) -> Self {
        self.rows.push((optional(identifiers), cells));
        self
    }

    pub(super) fn layout(&self) -> AccountLayout {
        AccountLayout { wanted: Vec::new(), identifiers: self.identifiers.clone(), fields: self.fields.clone() }
    }

    pub(super) fn batch(&self) -> AccountBatch {
        let fields = self.fields.iter().enumerate().map(|(index, field)| {
            let cells: Vec<&Cell> = self.rows.iter().map(|(_, cells)| &cells[index]).collect();
            let clear = cells.iter().map(|cell| **cell == Cell::Clear).collect::<BooleanBuffer>();
            FieldColumn { values: array(field.value_type, &cells), clear: Some(clear) }
        });
        AccountBatch {
            rows: (0..self.rows.len() as u32).collect(),
            identifiers: columns(self.rows.iter().map(|(identifiers, _)| identifiers)),
            fields: fields.collect(),
            issues: Issues::none(),
        }
    }
}

pub(super) fn optional(identifiers: &[&str]) -> Vec<Option<String>> {
    identifiers.iter().map(|value| (!value.is_empty()).then(|| (*value).to_owned())).collect()
}

pub(super) fn columns<'a>(rows: impl Iterator<Item = &'a Vec<Option<String>>> + Clone) -> Vec<StringArray> {
    let width = rows.clone().next().map_or(0, Vec::len);
    (0..width).map(|index| rows.clone().map(|row| row[index].as_deref()).collect()).collect()
}

pub(super) fn array(value_type: ValueType, cells: &[&Cell]) -> ArrayRef {
    match value_type {
        ValueType::Text => {
            let texts = cells.iter().map(|cell| if let Cell::Text(text) = cell { Some(text.as_str()) } else { None });
            Arc::new(texts.collect::<StringArray>())
        }
        ValueType::TextList => {
            let mut builder =
                ListBuilder::new(StringBuilder::new()).with_field(Field::new_list_field(DataType::Utf8, false));
            for cell in cells {
                if let Cell::List(items) = cell {
                    items.iter().for_each(|item| builder.values().append_value(item));
                }
                builder.append(matches!(cell, Cell::List(_)));
            }
            Arc::new(builder.finish())
        }
        _ => {
            let mut builder = Int64Builder::new();
            cells.iter().for_each(|cell| {
                builder.append_option(if let Cell::Number(number) = cell { Some(*number) } else { None })
            });
            Arc::new(builder.finish())
        }
    }
}

pub(super) fn field(name: &str, value_type: ValueType, write_mode: WriteMode) -> OutputField {
    OutputField { name: name.to_owned(), value_type, semantic: Semantic::Plain, unit: None, write_mode }
}

pub(super) fn plain(name: &str) -> OutputField {
    field(name, ValueType::Text, WriteMode::Overwrite)
}

/// Usage records of one table.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    pub(super) identifiers: Vec<Identifier>,
    pub(super) user: Option<UserKey>,
    pub(super) series: Vec<Series>,
    pub(super) rows: Vec<UsageRow>,
}

#[derive(Debug, Clone)]
pub(super) struct UsageRow {
    pub(super) identifiers: Vec<Option<String>>,
    pub(super) user: Option<String>,
    pub(super) date: i32,
    pub(super) period_start: i32,
    pub(super) values: Vec<Option<i64>>,
}

impl Usage {
    pub(super) fn of(series: Vec<Series>) -> Self {
        Self { identifiers: vec![vec![MatchKey::CrmId]], user: None, series, rows: Vec::new() }
    }

    pub(super) fn by_email(mut self) -> Self {
        self.user = Some(UserKey::Email);
        self
    }

    pub(super) fn row(self, crm_id: &str, date: i32, period_start: i32, values: Vec<Option<i64>>) -> Self {
        self.user_row(crm_id, "", date, period_start, values)
    }

    pub(super) fn user_row(
        mut self,
        crm_id: &str,
        user: &str,
        date: i32,
        period_start: i32,
        values: Vec<Option<i64>>,
    ) -> Self {
        let user = (!user.is_empty()).then(|| user.to_owned());
        self.rows.push(UsageRow { identifiers: optional(&[crm_id]), user, date, period_start, values });
        self
    }

    pub(super) fn layout(&self) -> UsageLayout {
        UsageLayout { wanted: Vec::new(), identifiers: self.identifiers.clone(), user: self.user }
    }

    pub(super) fn batch(&self) -> UsageBatch {
        let blocks = self.series.iter().enumerate().map(|(number, _)| {
            let mut values = Int64Builder::new();
            self.rows.iter().for_each(|row| values.append_option(row.values[number]));
            ValueBlock {
                entry_of: (0..self.rows.len() as u32).collect(),
                series_of: vec![number as u32; self.rows.len()],
                values: Arc::new(values.finish()),
            }
        });
        UsageBatch {
            rows: (0..self.rows.len() as u32).collect(),
            identifiers: columns(self.rows.iter().map(|row| &row.identifiers)),
            user: self.user.map(|_| self.rows.iter().map(|row| row.user.as_deref()).collect()),
            dates: self.rows.iter().map(|row| row.date).collect::<Vec<_>>().into(),
            period_starts: Date32Array::from_iter_values(self.rows.iter().map(|row| row.period_start)),
            announced: self.series.clone(),
            blocks: blocks.collect(),
            issues: Issues::none(),
        }
    }
}

pub(super) fn series(metric: &str, aggregate: Aggregate, repeat: Repeat) -> Series {
    Series {
        product: "Core".to_owned(),
        metric: metric.to_owned(),
        unit: None,
        value_type: ValueType::Integer,
        aggregate,
        period: Period::Monthly,
        repeat,
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

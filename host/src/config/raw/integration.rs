//! `[integrations.NAME]`.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::decode::{RawCsv, RawDecodeLimits, RawExcel};
use super::mapping::{RawField, RawIdentifier, RawUsage};
use super::tables;
use crate::account_fields::UndeclaredFields;
use crate::config::{Listing, OnMapperFailure};
use crate::destination::{Conflict, OnMultiple, OnNoMatch};

tables! {
    /// An integration: one bucket and prefix on one connection, and what to do with its files, under a name of letters,
    /// digits, `_` and `-`. Files that end in `.csv`, `.xlsx` or `.xls` are taken, each once for each content; a mistake
    /// in this table switches off this integration alone.
    struct RawIntegration {
        /// The key of the connection. Required.
        ///
        /// ```toml
        /// connection = "acme"
        /// ```
        connection: String,
        /// The bucket. Required. It is never written.
        ///
        /// ```toml
        /// bucket = "acme-exports"
        /// ```
        bucket: String,
        /// The name that it had before. What stands under that name, in the ledger and in the destinations, goes along at
        /// the next start or reload, once; reject files of that time can still be mended and uploaded. It may stay here.
        ///
        /// ```text
        /// renamed_from = "acme-old"
        /// ```
        renamed_from: String,
        /// Where its files were before they were copied or moved, with the same names behind the prefix, to where it looks
        /// now. What it took of them goes along at the next start or reload, once. It may stay here. What is left out of
        /// it is as it is now.
        ///
        /// ```text
        /// moved_from = { connection = "acme", bucket = "acme-exports-old", prefix = "daily/" }
        /// ```
        moved_from: RawSite,
        /// What the keys begin with. The default is nothing: the whole bucket.
        ///
        /// ```toml
        /// prefix = "daily/"
        /// ```
        prefix: String,
        /// How the bucket is listed: `whole`, or `append_only` where the keys of new files always come after all others, as
        /// with dates in them. Then a listing begins behind the last key, and everything is listed once a day, after a
        /// restart, and when a person asks for files. It saves nearly all of the requests under big prefixes.
        ///
        /// ```toml
        /// listing = "whole"
        /// ```
        listing: Listing,
        /// How many LIST requests it makes in a month of 30 days, about. A request lists 1,000 keys. No listing is cut short for
        /// it: where passes need more, they follow each other more slowly, and `gristmill status` says so. What a person asks
        /// for is done at once, and counts. The default is no limit.
        ///
        /// ```toml
        /// list_budget = 20000
        /// ```
        list_budget: i64,
        /// Patterns, one of which a key must fit. `*` and `?` stand for anything but `/`, `**` for any number of folders,
        /// `{a,b}` for either. A pattern without `/` is held against the key's last part, any other against the whole key,
        /// prefix included. The default is to take all.
        ///
        /// ```toml
        /// include = ["usage-*.csv", "daily/**/accounts.xlsx"]
        /// ```
        include: Vec<String>,
        /// Patterns of keys that are left out all the same.
        ///
        /// ```toml
        /// exclude = ["**/tmp/**", "*-draft.*"]
        /// ```
        exclude: Vec<String>,
        /// For how long a file must not have changed before it is taken. The default is not to wait.
        ///
        /// ```toml
        /// min_age = "5m"
        /// ```
        min_age: String,
        /// The day, in the integration's time zone, before which files changed that are never taken. The default is none.
        ///
        /// ```toml
        /// modified_since = 2026-01-31
        /// ```
        modified_since: toml::Value,
        /// Files of more bytes are left alone. The default is no limit.
        ///
        /// ```toml
        /// max_size = "2GiB"
        /// ```
        max_size: String,
        /// `false` switches the integration off; then nothing else in it is complained about.
        ///
        /// ```toml
        /// enabled = true
        /// ```
        enabled: bool,
        /// Whose integration it is. The default is `default`; once any table names a tenant, every integration must.
        ///
        /// ```toml
        /// tenant = "acme"
        /// ```
        tenant: String,
        /// The name of the destination, or several. Each file is decoded once, brought to all of them, and completed when
        /// each has confirmed it; one that fails is tried again alone. The first that matches accounts decides the counts
        /// and the reject file, and a file that it refuses goes to none. One that is added later gets the files that come
        /// from then on; `gristmill replay` brings it the others.
        ///
        /// ```toml
        /// destination = "main"
        /// ```
        ///
        /// Or:
        ///
        /// ```text
        /// destination = ["warehouse", "lake"]
        /// ```
        destination: RawDestinationNames,
        /// How often to look for new files. The default is the daemon's.
        ///
        /// ```toml
        /// poll_interval = "15m"
        /// ```
        poll_interval: String,
        /// How long it may take from one new file to the next. When no new file was completed for that long, the integration
        /// is unhealthy: `gristmill status` shows it first and exits non-zero, and the log says so once a day until a file
        /// comes. A new integration counts from its first pass; one that is paused by hand raises no alarm. The default is
        /// not to expect any.
        ///
        /// ```toml
        /// expect_file_within = "26h"
        /// ```
        expect_file_within: String,
        /// The time zone (IANA name) in which a file's day is reckoned and dates without an offset are read. The
        /// machine's own does not matter.
        ///
        /// ```toml
        /// timezone = "UTC"
        /// ```
        timezone: String,
        /// Whether a file whose bytes were taken before under the same key is left alone although its ETag is new.
        ///
        /// ```toml
        /// content_hash = true
        /// ```
        content_hash: bool,
        /// What happens when a key goes back to a content that was taken before: `skip` or `ingest`.
        ///
        /// ```toml
        /// on_revert = "skip"
        /// ```
        on_revert: RawOnRevert,
        /// Which of the files that are there on the first pass are taken: `all`, `none`, or those modified since a day.
        ///
        /// ```toml
        /// backfill = "all"
        /// ```
        ///
        /// Or:
        ///
        /// ```text
        /// backfill = "none"
        /// backfill = { since = 2026-01-31 }
        /// ```
        backfill: RawBackfill,
        /// With more files than this on the first pass the integration pauses until `gristmill backfill` says what to do
        /// with them.
        ///
        /// ```toml
        /// backfill_limit = 10000
        /// ```
        backfill_limit: i64,
        /// After how many days the ledger forgets a file that is gone from the bucket. Should the same file come back later, a
        /// store still knows that it had it; files that were written for others to load are written again.
        ///
        /// ```toml
        /// forget_after_days = 365
        /// ```
        forget_after_days: i64,
        /// With more rejected rows than this a file is not merged at all, though its rejects are still written; `0` is all or
        /// nothing. The default is no limit.
        ///
        /// ```toml
        /// max_rejects = 100
        /// ```
        max_rejects: i64,
        /// The same, as a share of the file's rows, from 0 to 1.
        ///
        /// ```toml
        /// max_reject_ratio = 0.05
        /// ```
        max_reject_ratio: f64,
        /// With a larger share of rows that match no account than this a file is not merged at all, from 0 to 1. Such
        /// rows count apart from rejected ones. The default is no limit.
        ///
        /// ```toml
        /// max_unmatched_ratio = 0.2
        /// ```
        max_unmatched_ratio: f64,
        /// What becomes of an account field that `account_fields` does not declare: `create` makes it with the first file
        /// that brings it, `refuse` allows no mapping to it. A file for which a custom mapper brings one fails.
        ///
        /// ```toml
        /// undeclared_fields = "create"
        /// ```
        undeclared_fields: UndeclaredFields,
        /// How CSV files are read.
        csv: RawCsv,
        /// How workbooks are read.
        excel: RawExcel,
        /// The most that is taken of a file.
        limits: RawDecodeLimits,
        /// How identifiers become accounts.
        matching: RawMatching,
        /// Which account a row belongs to.
        identifiers: Vec<RawIdentifier>,
        /// Which column becomes which account field.
        fields: Vec<RawField>,
        /// Which columns hold how much of a product an account used.
        usage: Vec<RawUsage>,
        /// Custom mappers in the place of the built-in one.
        mapper: RawMapperChoice,
    }

    /// Where files were.
    struct RawSite {
        /// The key of the connection that showed them. It need not be configured any more.
        ///
        /// ```toml
        /// connection = "acme"
        /// ```
        connection: String,
        /// The bucket that they were in.
        ///
        /// ```toml
        /// bucket = "acme-exports-old"
        /// ```
        bucket: String,
        /// What their keys began with.
        ///
        /// ```toml
        /// prefix = "daily/"
        /// ```
        prefix: String,
    }

    /// How identifiers become accounts.
    struct RawMatching {
        /// What happens to a row whose identifier matches no account: `skip` leaves it out and counts it, `create` makes
        /// the account, `error` fails the file.
        ///
        /// ```toml
        /// on_no_match = "skip"
        /// ```
        on_no_match: OnNoMatch,
        /// What happens to a row without identifier: `error` rejects it, `skip_row` passes it over with a warning. The
        /// built-in mapper reads it.
        ///
        /// ```toml
        /// on_blank = "error"
        /// ```
        on_blank: RawOnBlank,
        /// What happens to a row whose identifier matches several accounts: `skip` leaves it out and counts it, `first`
        /// takes the account that was there first, `all` takes all of them, `error` fails the file.
        ///
        /// ```toml
        /// on_multiple = "skip"
        /// ```
        on_multiple: OnMultiple,
        /// What happens to a row of which two identifiers match different accounts: `first` goes by the one that stands
        /// first, `skip` leaves the row out and counts it, `error` fails the file.
        ///
        /// ```toml
        /// conflict = "first"
        /// ```
        conflict: Conflict,
        /// When two names are the same: `exact`, letter by letter; `normalized`, when nothing but capital letters,
        /// accents, punctuation and blanks tells them apart; or `fuzzy`, when they have so large a share of their trigrams
        /// in common, and the next best name is this far behind.
        ///
        /// ```toml
        /// name_match = "exact"
        /// ```
        ///
        /// Or:
        ///
        /// ```text
        /// name_match = "normalized"
        /// name_match = { fuzzy = { threshold = 0.7, margin = 0.1 } }
        /// ```
        name_match: RawNameMatch,
    }

    /// When two names are similar enough.
    struct RawFuzzy {
        /// The share of trigrams in common, from 0.3 to 1.
        ///
        /// ```toml
        /// threshold = 0.7
        /// ```
        threshold: f64,
        /// How much less the next best name may share, from 0 to 1. A row with a nearer one matches several accounts.
        ///
        /// ```toml
        /// margin = 0.1
        /// ```
        margin: f64,
    }

    /// Custom mappers in the place of the built-in one, for either transform or both.
    struct RawMapperChoice {
        /// The mapper that makes account records, in the place of `fields`.
        ///
        /// ```toml
        /// field_mapping = "acme"
        /// ```
        field_mapping: String,
        /// The mapper that makes usage records, in the place of `usage`.
        ///
        /// ```toml
        /// product_usage = "acme"
        /// ```
        product_usage: String,
        /// The mapper's own settings, handed to it as JSON. Dates become text.
        ///
        /// ```toml
        /// settings = { anything = "the mapper's own" }
        /// ```
        settings: toml::Table,
        /// What becomes of a file on which a mapper itself fails, by a trap or by taking too long: `fail_file` quarantines it,
        /// `reject_row` rejects the row that the mapper fails on, up to ten of them, and takes the others.
        ///
        /// ```toml
        /// on_failure = "fail_file"
        /// ```
        on_failure: OnMapperFailure,
    }
}

/// One name, or several.
#[derive(Debug)]
pub(in crate::config) enum RawDestinationNames {
    /// A text.
    One(String),
    /// A list.
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for RawDestinationNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }
}

struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = RawDestinationNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name such as \"main\", or a list of names")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<RawDestinationNames, E> {
        Ok(RawDestinationNames::One(name.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<RawDestinationNames, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(names)).map(RawDestinationNames::Several)
    }
}

/// What happens when a key goes back to a content that was taken before.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawOnRevert {
    /// It is left alone.
    Skip,
    /// It is taken again.
    Ingest,
}

/// What happens to a row without identifier.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawOnBlank {
    /// It is rejected.
    Error,
    /// It is passed over.
    SkipRow,
}

/// Which of the files that are there on the first pass are taken.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawBackfill {
    /// All.
    All,
    /// None.
    None,
    /// Those modified since a day, which TOML writes as a date or as a text.
    Since(toml::Value),
}

/// When two names are the same.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawNameMatch {
    /// Letter by letter.
    Exact,
    /// Without what does not count.
    Normalized,
    /// About.
    Fuzzy(RawFuzzy),
}

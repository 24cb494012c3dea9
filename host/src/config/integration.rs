//! A checked integration.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize, Serializer};

use crate::account_fields::AccountFields;
use crate::decode::DecodeOptions;
use crate::destination::Matching;
use crate::object::{BucketName, ConnectionKey, DestinationName, IntegrationName, MapperName, Site, TenantName};
use crate::rejects::RejectLimits;
use crate::source::Wanted;

/// One bucket and prefix on one connection, and what to do with its files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Integration {
    /// Its name.
    pub name: IntegrationName,
    /// The name that it had before (R17).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<IntegrationName>,
    /// Where its objects were before (R17).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<Site>,
    /// Whose it is.
    pub tenant: TenantName,
    /// A key of [`Config::connections`](super::Config::connections).
    pub connection: ConnectionKey,
    /// The bucket.
    pub bucket: BucketName,
    /// What the keys begin with; empty for the whole bucket.
    pub prefix: String,
    /// How the bucket is listed.
    pub listing: Listing,
    /// LIST requests in a month of 30 days, at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_budget: Option<NonZeroU64>,
    /// Which of the objects there it takes.
    #[serde(skip_serializing_if = "Wanted::is_all")]
    pub wanted: Wanted,
    /// Names in [`Config::destinations`](super::Config::destinations), each once; at least one.
    pub destinations: Vec<DestinationName>,
    /// The time from one pass to the next; at least a second.
    #[serde(serialize_with = "super::units::serialize_duration")]
    pub poll_interval: Duration,
    /// How long it may take from one new file to the next; none where none is expected (R20). At least a second.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::units::serialize_optional_duration")]
    pub expect_file_within: Option<Duration>,
    /// Where its days begin (R8).
    pub timezone: Timezone,
    /// Whether bytes count beside ETags (R5).
    pub content_hash: ContentHashing,
    /// What happens when a key goes back to an earlier content (R4).
    pub on_revert: OnRevert,
    /// What becomes of a file on which a mapper itself fails.
    pub on_mapper_failure: OnMapperFailure,
    /// Which of the objects of the first pass are taken (R16).
    pub backfill: Backfill,
    /// With more objects on the first pass, the integration asks first (R16).
    pub backfill_limit: u64,
    /// For how many days an object has to be gone before the ledger forgets it (R18); at least one.
    pub forget_after_days: u32,
    /// How many rows of a file may be rejected (R11).
    pub reject_limits: RejectLimits,
    /// How its files are read.
    pub decode: DecodeOptions,
    /// How identifiers become accounts.
    pub matching: Matching,
    /// Which account fields it may bring.
    #[serde(skip_serializing_if = "AccountFields::are_open")]
    pub account_fields: AccountFields,
    /// What makes account records. At least one of this and `product_usage` is there.
    pub field_mapping: Option<Transform>,
    /// What makes usage records.
    pub product_usage: Option<Transform>,
}

impl Integration {
    /// The custom mappers that it uses; one that makes both kinds of records stands here twice.
    pub fn mappers(&self) -> impl Iterator<Item = &MapperName> {
        [&self.field_mapping, &self.product_usage].into_iter().flatten().filter_map(|transform| {
            match &transform.mapper {
                MapperChoice::BuiltIn => None,
                MapperChoice::Named(name) => Some(name),
            }
        })
    }
}

/// A mapper and its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transform {
    /// Which mapper.
    pub mapper: MapperChoice,
    /// Its settings: a JSON object, keys sorted. For the built-in mapper `{"identifiers": […], "fields": […], "usage":
    /// […]}`, the same for both transforms.
    #[serde(serialize_with = "serialize_text")]
    pub settings: Arc<str>,
}

/// Which mapper.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MapperChoice {
    /// The one that ships with the daemon.
    BuiltIn,
    /// A name in [`Config::mappers`](super::Config::mappers).
    Named(MapperName),
}

impl fmt::Display for MapperChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::Named(name) => name.fmt(f),
        }
    }
}

/// A time zone with its IANA name.
#[derive(Clone, PartialEq, Eq)]
pub struct Timezone {
    name: String,
    pub(super) zone: TimeZone,
}

impl Timezone {
    /// The IANA name, as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

/// The text is not the name of a time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a time zone")]
pub struct TimezoneError(String);

impl FromStr for Timezone {
    type Err = TimezoneError;
    fn from_str(name: &str) -> Result<Self, TimezoneError> {
        let zone = match name {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| TimezoneError(name.to_owned()))?,
        };
        Ok(Self { name: name.to_owned(), zone })
    }
}

impl fmt::Debug for Timezone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.name, f)
    }
}

impl Serialize for Timezone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

/// Whether bytes count beside ETags (R5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentHashing {
    /// Bytes that were taken under the same key are not taken again.
    On,
    /// A new ETag is enough to be taken.
    Off,
}

/// What happens when a key goes back to an earlier content (R4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRevert {
    /// It is skipped, with a warning.
    Skip,
    /// It is taken again.
    Ingest,
}

/// What becomes of a file on which a mapper itself fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMapperFailure {
    /// It is quarantined.
    #[default]
    FailFile,
    /// The row that the mapper fails on is rejected, and the file is begun again without it.
    RejectRow,
}

/// How a bucket is listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// From the first key to the last.
    #[default]
    Whole,
    /// From the last key that was seen, but for once a day: keys only grow.
    AppendOnly,
}

/// Which of the objects of the first pass are taken (R16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Backfill {
    /// All.
    All,
    /// None: those listed are recorded as skipped.
    None,
    /// Those modified at this time or later: the first moment of the given day in the integration's time zone.
    Since(Timestamp),
}

fn serialize_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

//! `ingestion.json`: what the records beside it came from.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::failed;
use crate::batch::{AccountLayout, Series, UsageLayout};
use crate::destination::{Delivery, DestinationError, Summary};
use crate::object::{AsOf, DedupKey, Identity, MappingDigest, Object, TenantName};

/// The version this program writes, and the newest it reads.
const VERSION: i64 = 1;

/// What a directory of records says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::destination) struct Manifest {
    version: i64,
    pub identity: Identity,
    pub tenant: TenantName,
    pub object: Object,
    /// The object that its rows belong to, where they are mended rejects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mends: Option<DedupKey>,
    pub as_of: AsOf,
    pub mapping: MappingDigest,
    pub summary: Summary,
    pub tables: Vec<Table>,
}

/// What the records of one table look like.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::destination) struct Table {
    pub accounts: Option<AccountLayout>,
    pub usage: Option<UsageLayout>,
    pub series: Vec<Series>,
}

impl Manifest {
    pub fn new(delivery: &Delivery, summary: Summary, tables: Vec<Table>) -> Self {
        Self {
            version: VERSION,
            identity: delivery.identity.clone(),
            tenant: delivery.tenant.clone(),
            object: delivery.object.clone(),
            mends: delivery.brings.origin().cloned(),
            as_of: delivery.as_of.clone(),
            mapping: delivery.mapping,
            summary,
            tables,
        }
    }

    /// Without what only a reader of the records needs.
    pub fn without_tables(&self) -> Self {
        Self { tables: Vec::new(), ..self.clone() }
    }

    /// Writes it; the caller flushes it.
    pub fn write(&self, path: &Path) -> Result<(), DestinationError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed("write", path)(error.into()))?;
        text.push(b'\n');
        let mut file = fs::File::create_new(path).map_err(failed("make", path))?;
        file.write_all(&text).map_err(failed("write", path))
    }
}

#[derive(Deserialize)]
struct Versioned {
    version: i64,
}

/// None when there is none.
pub(in crate::destination) fn read(path: &Path) -> Result<Option<Manifest>, DestinationError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed("read", path)(error)),
    };
    let unreadable = |error: serde_json::Error| failed("read", path)(error.into());
    let Versioned { version: found } = serde_json::from_slice(&text).map_err(unreadable)?;
    if found > VERSION {
        return Err(DestinationError::Schema { path: path.display().to_string(), found, known: VERSION });
    }
    serde_json::from_slice(&text).map(Some).map_err(unreadable)
}

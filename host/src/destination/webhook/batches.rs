//! Recorded lines, cut into batches. The same plan always makes the same batches.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::plan::Plan;
use crate::destination::DestinationError;
use crate::destination::files::manifest::Table;
use crate::destination::files::{MENDED, failed};
use crate::object::{AsOf, DedupKey, Identity, MappingDigest, Object, TenantName};

/// The version of the body.
const VERSION: u32 = 1;
/// The lists, in the order in which they are sent, and the files of their records.
const LISTS: [(&str, &str); 3] = [("mended", MENDED), ("accounts", "accounts.ndjson"), ("usage", "usage.ndjson")];

/// One batch, ready to be posted.
pub(super) struct Batch {
    /// From 1.
    pub number: u32,
    /// The delivery id.
    pub id: String,
    /// The body.
    pub body: Bytes,
}

/// What a body says before its records.
#[derive(Serialize)]
struct Head<'a> {
    version: u32,
    id: &'a str,
    tenant: &'a TenantName,
    identity: &'a Identity,
    object: &'a Object,
    as_of: &'a AsOf,
    mapping: MappingDigest,
    #[serde(skip_serializing_if = "Option::is_none")]
    mends: Option<&'a DedupKey>,
    prepared_at: Timestamp,
    batch: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<&'a [Table]>,
}

/// The batches of a delivery, one after the other. At most one is in memory, and one record behind it.
pub(super) struct Batches<'a> {
    plan: &'a Plan,
    directory: &'a Path,
    /// The list that is being read; beyond the last at the end.
    list: usize,
    lines: Option<(PathBuf, BufReader<File>)>,
    /// The next record, and its list.
    next: Option<(usize, Vec<u8>)>,
    number: u32,
    is_over: bool,
}

impl<'a> Batches<'a> {
    pub fn open(plan: &'a Plan, directory: &'a Path) -> Result<Self, DestinationError> {
        let mut batches = Self { plan, directory, list: 0, lines: None, next: None, number: 0, is_over: false };
        batches.next = batches.read()?;
        Ok(batches)
    }

    /// The next batch; none behind the last.
    pub fn next(&mut self) -> Result<Option<Batch>, DestinationError> {
        if self.is_over {
            return Ok(None);
        }
        self.number += 1;
        let id = self.plan.delivery_id(self.number);
        let mut body = self.head(&id)?;
        let (mut records, mut open) = (0, None);
        while let Some((list, line)) = self.next.take_if(|(_, line)| {
            let bytes = (body.len() + line.len()) as u64;
            records == 0 || records < self.plan.limits.records && bytes <= self.plan.limits.bytes
        }) {
            if open == Some(list) {
                body.push(b',');
            } else {
                let name = LISTS.get(list).map_or("", |(name, _)| name);
                let end = if open.is_some() { "]" } else { "" };
                body.extend_from_slice(format!("{end},\"{name}\":[").as_bytes());
                open = Some(list);
            }
            body.extend_from_slice(&line);
            records += 1;
            self.next = self.read()?;
        }
        if open.is_some() {
            body.push(b']');
        }
        self.is_over = self.next.is_none();
        body.extend_from_slice(format!(",\"last\":{}}}", self.is_over).as_bytes());
        Ok(Some(Batch { number: self.number, id, body: body.into() }))
    }

    /// The beginning of a body, an object that is still open.
    fn head(&self, id: &str) -> Result<Vec<u8>, DestinationError> {
        let manifest = &self.plan.manifest;
        let head = Head {
            version: VERSION,
            id,
            tenant: &manifest.tenant,
            identity: &manifest.identity,
            object: &manifest.object,
            as_of: &manifest.as_of,
            mapping: manifest.mapping,
            mends: manifest.mends.as_ref(),
            prepared_at: self.plan.prepared_at,
            batch: self.number,
            tables: (self.number == 1).then_some(&manifest.tables),
        };
        let mut text = serde_json::to_vec(&head).map_err(|error| failed("write", self.directory)(error.into()))?;
        text.pop();
        Ok(text)
    }

    /// The next record without the end of its line.
    fn read(&mut self) -> Result<Option<(usize, Vec<u8>)>, DestinationError> {
        loop {
            if let Some((path, lines)) = &mut self.lines {
                let mut line = Vec::new();
                if lines.read_until(b'\n', &mut line).map_err(failed("read", path))? > 0 {
                    line.pop_if(|last| *last == b'\n');
                    return Ok(Some((self.list, line)));
                }
                self.lines = None;
                self.list += 1;
            }
            let Some((_, name)) = LISTS.get(self.list) else { return Ok(None) };
            let path = self.directory.join(name);
            match File::open(&path) {
                Ok(file) => self.lines = Some((path, BufReader::with_capacity(1 << 16, file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.list += 1,
                Err(error) => return Err(failed("read", &path)(error)),
            }
        }
    }
}

//! One mapper at work on one file, and where it fails.

use std::sync::Arc;

use super::poison::{self, Place};
use super::{Failure, Recipe, Transform};
use crate::batch::{AccountBatch, AccountLayout, Batch, UsageBatch, UsageLayout};
use crate::events;
use crate::mapper::{Blame, FieldMapping, FileBudget, LogSink, Mapper, MapperError, Source, UsageMapping};
use crate::object::Object;

/// A mapper at work on one file.
pub(super) struct Open<M> {
    mapper: Arc<Mapper>,
    settings: Arc<str>,
    start: Start<M>,
    budget: FileBudget,
    instance: M,
}

type Start<M> = fn(&Mapper, FileBudget, LogSink) -> Result<M, MapperError>;

impl<M: Maps> Open<M> {
    pub(super) fn instantiate(
        transform: &Transform,
        object: &Object,
        recipe: &Recipe,
        start: Start<M>,
    ) -> Result<Self, Failure> {
        let (mapper, settings) = (Arc::clone(&transform.mapper), Arc::clone(&transform.settings));
        let log = events::mapper_log(&recipe.integration, mapper.name(), mapper.digest(), object);
        let budget = FileBudget { bytes: object.size };
        let instance = start(&mapper, budget, log).map_err(|source| failed(&mapper, None, source))?;
        Ok(Self { mapper, settings, start, budget, instance })
    }

    pub(super) fn call<T>(&mut self, call: impl FnOnce(&mut M, &str) -> Result<T, MapperError>) -> Result<T, Failure> {
        call(&mut self.instance, &self.settings).map_err(|source| failed(&self.mapper, None, source))
    }

    /// Maps a batch. Where the mapper fails, the row is looked for.
    pub(super) fn map(&mut self, batch: &Batch, of: &Table<'_>) -> Result<M::Mapped, Failure> {
        self.instance.map_batch(batch).map_err(|source| {
            let place = (source.blame() == Blame::Mapper).then(|| {
                let time = self.mapper.limits().batch_processor * LOOKING;
                poison::find(batch, of.table, of.source.sheet.as_ref(), time, |rows| self.fails_on(rows, of))
            });
            failed(&self.mapper, place.flatten(), source)
        })
    }

    /// Whether the mapper fails on these rows when they are all that it sees.
    fn fails_on(&self, rows: &Batch, of: &Table<'_>) -> bool {
        let attempt = (self.start)(&self.mapper.unmetered(), self.budget, Arc::new(|_| ())).and_then(|mut instance| {
            instance.open(of.source, of.header, &self.settings)?;
            instance.map_batch(rows).map(drop)
        });
        attempt.is_err_and(|error| error.blame() == Blame::Mapper)
    }
}

/// Batches' worth of processor time that the search for a row may take.
const LOOKING: u32 = 10;

fn failed(mapper: &Mapper, place: Option<Place>, source: MapperError) -> Failure {
    Failure::Mapper { mapper: mapper.name().to_owned(), place: place.map(Box::new), source }
}

/// What an instance is told of the open table.
pub(super) struct Table<'a> {
    pub(super) table: u32,
    pub(super) source: &'a Source,
    pub(super) header: &'a [String],
}

/// One transform of one file.
pub(super) trait Maps: Sized {
    type Layout;
    type Mapped;
    fn open(&mut self, source: &Source, header: &[String], settings: &str) -> Result<Self::Layout, MapperError>;
    fn map_batch(&mut self, batch: &Batch) -> Result<Self::Mapped, MapperError>;
}

impl Maps for FieldMapping {
    type Layout = AccountLayout;
    type Mapped = AccountBatch;

    fn open(&mut self, source: &Source, header: &[String], settings: &str) -> Result<AccountLayout, MapperError> {
        Self::open(self, source, header, settings)
    }

    fn map_batch(&mut self, batch: &Batch) -> Result<AccountBatch, MapperError> {
        Self::map_batch(self, batch)
    }
}

impl Maps for UsageMapping {
    type Layout = UsageLayout;
    type Mapped = UsageBatch;

    fn open(&mut self, source: &Source, header: &[String], settings: &str) -> Result<UsageLayout, MapperError> {
        Self::open(self, source, header, settings)
    }

    fn map_batch(&mut self, batch: &Batch) -> Result<UsageBatch, MapperError> {
        Self::map_batch(self, batch)
    }
}

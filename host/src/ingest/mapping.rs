//! One mapper at work on one file, and where it fails.

use std::sync::Arc;

use super::evidence::Evidence;
use super::poison::{self, Place};
use super::{Failure, Transform};
use crate::batch::{AccountBatch, AccountLayout, Batch, UsageBatch, UsageLayout};
use crate::events;
use crate::failed_call::{CallFailure, CallHead, FailedCall, Step, TransformKind};
use crate::mapper::{Blame, FieldMapping, FileBudget, LogSink, Mapper, MapperError, Source, UsageMapping, Worked};
use crate::object::{IntegrationName, Object, TenantName};

/// A mapper at work on one file.
pub(super) struct Open<M> {
    work: Work,
    instance: M,
}

/// What a mapper is at work on.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) transform: Transform,
    pub(super) tenant: TenantName,
    pub(super) budget: FileBudget,
}

impl<M: Maps> Open<M> {
    pub(super) fn instantiate(work: Work, of: &Table<'_>, log: LogSink) -> Result<Self, Failure> {
        match M::start(&work.transform.mapper, work.budget, log) {
            Ok(instance) => Ok(Self { work, instance }),
            Err(source) => Err(work.failed::<M>(Step::Start, of, None, source)),
        }
    }

    pub(super) fn open(&mut self, of: &Table<'_>) -> Result<M::Layout, Failure> {
        let opened = self.instance.open(of.source, of.header, &self.work.transform.settings);
        opened.map_err(|source| self.work.failed::<M>(Step::Open, of, None, source))
    }

    /// Maps a batch. Where the mapper fails, the row is looked for.
    pub(super) fn map(&mut self, batch: &Batch, of: &Table<'_>) -> Result<M::Mapped, Failure> {
        let mapped = self.instance.map_batch(batch);
        mapped.map_err(|source| self.work.failed::<M>(Step::MapBatch, of, Some(batch), source))
    }

    pub(super) fn finish(&mut self, of: &Table<'_>) -> Result<M::Mapped, Failure> {
        self.instance.finish().map_err(|source| self.work.failed::<M>(Step::Finish, of, None, source))
    }

    /// Says what the mapper did for the file.
    pub(super) fn say_worked(&self, integration: &IntegrationName, object: &Object) {
        let Work { transform: Transform { mapper, .. }, tenant, .. } = &self.work;
        let (digest, worked) = (mapper.digest(), self.instance.worked());
        events::MapperWorked { tenant, integration, mapper: mapper.name(), digest, object, worked }.emit();
    }
}

impl Work {
    /// A call failed: on which row, and what would make it fail again.
    fn failed<M: Maps>(&self, step: Step, of: &Table<'_>, batch: Option<&Batch>, source: MapperError) -> Failure {
        let mapper = self.transform.mapper.name().into();
        if source.blame() != Blame::Mapper {
            return Failure::Mapper { mapper, place: None, source, evidence: None };
        }
        let time = self.transform.mapper.limits().batch_processor * LOOKING;
        let sheet = of.source.sheet.as_ref();
        let place = batch
            .and_then(|batch| poison::find(batch, of.table, sheet, time, |rows| self.fails_on::<M>(rows, of)))
            .map(Box::new);
        let call = self.call::<M>(step, of, batch, place.as_deref(), &source);
        Failure::Mapper { mapper, place, source, evidence: Some(Box::new(Evidence::Call(Box::new(call)))) }
    }

    /// Whether the mapper fails on these rows when they are all that it sees.
    fn fails_on<M: Maps>(&self, rows: &Batch, of: &Table<'_>) -> bool {
        let mapper = self.transform.mapper.unmetered();
        let attempt = M::start(&mapper, self.budget, Arc::new(|_| ())).and_then(|mut instance| {
            instance.open(of.source, of.header, &self.transform.settings)?;
            instance.map_batch(rows).map(drop)
        });
        attempt.is_err_and(|error| error.blame() == Blame::Mapper)
    }

    fn call<M: Maps>(
        &self,
        step: Step,
        of: &Table<'_>,
        batch: Option<&Batch>,
        place: Option<&Place>,
        source: &MapperError,
    ) -> FailedCall {
        let Transform { mapper, settings } = &self.transform;
        let failure = CallFailure {
            code: source.code().to_owned(),
            message: source.to_string(),
            place: place.map(ToString::to_string),
        };
        let head = CallHead {
            contract: mapper.contract().to_owned(),
            transform: M::KIND,
            step,
            mapper: mapper.name().to_owned(),
            sha256: mapper.digest(),
            tenant: self.tenant.clone(),
            limits: mapper.limits(),
            file_bytes: self.budget.bytes,
            source: of.source.clone(),
            table: of.table,
            header: of.header.to_vec(),
            settings: settings.to_string(),
            failure,
        };
        FailedCall { head, batch: batch.cloned() }
    }
}

/// Batches' worth of processor time that the search for a row may take.
const LOOKING: u32 = 10;

/// What an instance is told of the open table.
pub(super) struct Table<'a> {
    pub(super) table: u32,
    pub(super) source: &'a Source,
    pub(super) header: &'a [String],
}

/// One transform of one file.
pub(super) trait Maps: Sized {
    const KIND: TransformKind;
    type Layout;
    type Mapped;
    fn start(mapper: &Mapper, budget: FileBudget, log: LogSink) -> Result<Self, MapperError>;
    fn open(&mut self, source: &Source, header: &[String], settings: &str) -> Result<Self::Layout, MapperError>;
    fn map_batch(&mut self, batch: &Batch) -> Result<Self::Mapped, MapperError>;
    fn finish(&mut self) -> Result<Self::Mapped, MapperError>;
    fn worked(&self) -> Worked;
    /// The header indices that it reads.
    fn wanted(layout: &Self::Layout) -> &[u32];
}

impl Maps for FieldMapping {
    const KIND: TransformKind = TransformKind::FieldMapping;
    type Layout = AccountLayout;
    type Mapped = AccountBatch;

    fn start(mapper: &Mapper, budget: FileBudget, log: LogSink) -> Result<Self, MapperError> {
        mapper.fields(budget, log)
    }

    fn open(&mut self, source: &Source, header: &[String], settings: &str) -> Result<AccountLayout, MapperError> {
        Self::open(self, source, header, settings)
    }

    fn map_batch(&mut self, batch: &Batch) -> Result<AccountBatch, MapperError> {
        Self::map_batch(self, batch)
    }

    fn finish(&mut self) -> Result<AccountBatch, MapperError> {
        Self::finish(self)
    }

    fn worked(&self) -> Worked {
        Self::worked(self)
    }

    fn wanted(layout: &AccountLayout) -> &[u32] {
        &layout.wanted
    }
}

impl Maps for UsageMapping {
    const KIND: TransformKind = TransformKind::ProductUsage;
    type Layout = UsageLayout;
    type Mapped = UsageBatch;

    fn start(mapper: &Mapper, budget: FileBudget, log: LogSink) -> Result<Self, MapperError> {
        mapper.usage(budget, log)
    }

    fn open(&mut self, source: &Source, header: &[String], settings: &str) -> Result<UsageLayout, MapperError> {
        Self::open(self, source, header, settings)
    }

    fn map_batch(&mut self, batch: &Batch) -> Result<UsageBatch, MapperError> {
        Self::map_batch(self, batch)
    }

    fn finish(&mut self) -> Result<UsageBatch, MapperError> {
        Self::finish(self)
    }

    fn worked(&self) -> Worked {
        Self::worked(self)
    }

    fn wanted(layout: &UsageLayout) -> &[u32] {
        &layout.wanted
    }
}

//! What mappers do and say.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::{debug, error, info, warn};

use super::Chain;
use crate::failed_call::{CallFailure, CallHead};
use crate::mapper::{CompileCost, LogLevel, LogLine, LogSink, Worked};
use crate::object::{ComponentDigest, IntegrationName, Object, TenantName};

/// A mapper failed on a row, and the file is begun again without it.
pub struct MapperRowLeftOut<'a> {
    /// Whose integration.
    pub tenant: &'a TenantName,
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Which object.
    pub object: &'a Object,
    /// How many rows are left out of it by now.
    pub rows: usize,
    /// Where the call is saved on which it failed.
    pub saved: Option<&'a Path>,
}

impl MapperRowLeftOut<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { tenant, integration, object, rows, saved } = self;
        let saved = saved.map(|path| path.display().to_string());
        warn!(
            event = "mapper_row_left_out", %tenant, %integration, %object, rows, saved,
            "a mapper failed on a row: it is rejected, and the file begun again without it"
        );
    }
}

/// A mapper failed in a call.
pub struct MapperFailed<'a> {
    /// Whose object.
    pub integration: &'a IntegrationName,
    /// The call.
    pub call: &'a CallHead,
    /// Which object it was at work on.
    pub object: &'a Object,
    /// Where the call is saved.
    pub saved: Option<&'a Path>,
}

impl MapperFailed<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, call: CallHead { tenant, mapper, sha256, step, failure, .. }, object, saved } = self;
        let CallFailure { code, message, place } = failure;
        let saved = saved.map(|path| path.display().to_string());
        warn!(
            event = "mapper_failed", %tenant, %integration, mapper, digest = %sha256, %object, call = %step, code,
            error = message, place = place.as_deref(), saved, "a mapper failed"
        );
    }
}

/// A call on which a mapper failed was to be saved, and could not be.
pub struct MapperCallNotSaved<'a> {
    /// Whose object.
    pub integration: &'a IntegrationName,
    /// The call.
    pub call: &'a CallHead,
    /// Which object it was at work on.
    pub object: &'a Object,
    /// Why.
    pub error: &'a dyn std::error::Error,
}

impl MapperCallNotSaved<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, call: CallHead { tenant, mapper, .. }, object, error } = self;
        warn!(
            event = "mapper_call_not_saved", %tenant, %integration, mapper, %object, error = %Chain(error),
            "what the mapper failed on is not saved"
        );
    }
}

/// A mapper is done with a file, or failed on it.
pub struct MapperWorked<'a> {
    /// Whose integration.
    pub tenant: &'a TenantName,
    /// Whose object.
    pub integration: &'a IntegrationName,
    /// The mapper.
    pub mapper: &'a str,
    /// SHA-256 of its component.
    pub digest: ComponentDigest,
    /// The file.
    pub object: &'a Object,
    /// What it did.
    pub worked: Worked,
}

impl MapperWorked<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { tenant, integration, mapper, digest, object, worked } = self;
        let Worked { calls, rows, spent, log_lines_dropped, log_bytes_dropped } = worked;
        debug!(
            event = "mapper_worked", %tenant, %integration, mapper, %digest, %object, calls, rows,
            processor_ms = spent.processor.as_millis() as u64, peak_memory = spent.memory, log_lines_dropped,
            log_bytes_dropped, "a mapper is done with a file"
        );
    }
}

/// A mapper is ready: compiled, or its code was there already.
pub struct MapperLoaded<'a> {
    /// Whose integration it is for.
    pub tenant: &'a TenantName,
    /// Which integration it is for.
    pub integration: &'a IntegrationName,
    /// The mapper.
    pub mapper: &'a str,
    /// SHA-256 of its component.
    pub digest: ComponentDigest,
    /// What compiling it took; none when its code was there already.
    pub compiled: Option<CompileCost>,
}

impl MapperLoaded<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { tenant, integration, mapper, digest, compiled } = self;
        match compiled {
            Some(cost) => info!(
                event = "mapper_loaded", %tenant, %integration, mapper, %digest, cache_hit = false,
                compile_seconds = cost.wall.as_secs_f64(), "a mapper was compiled"
            ),
            None => debug!(
                event = "mapper_loaded", %tenant, %integration, mapper, %digest, cache_hit = true, "a mapper was there"
            ),
        }
    }
}

/// A mapper failed on so many files in a row that it is kept from the others of its tenant.
pub struct MapperKeptBack<'a> {
    /// Whose files.
    pub tenant: &'a TenantName,
    /// The integration of the last one.
    pub integration: &'a IntegrationName,
    /// The mapper.
    pub mapper: &'a str,
    /// How many.
    pub files: u32,
    /// When one is tried again.
    pub until: Timestamp,
}

impl MapperKeptBack<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { tenant, integration, mapper, files, until } = self;
        error!(
            event = "mapper_kept_back", %tenant, %integration, mapper, files, until = format!("{until:.0}"),
            "a mapper is kept from further files"
        );
    }
}

/// A mapper took a file again after it had been kept back.
pub struct MapperLetBack<'a> {
    /// Whose files.
    pub tenant: &'a TenantName,
    /// The integration of that file.
    pub integration: &'a IntegrationName,
    /// The mapper.
    pub mapper: &'a str,
}

impl MapperLetBack<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { tenant, integration, mapper } = self;
        info!(event = "mapper_let_back", %tenant, %integration, mapper, "a mapper gets files again");
    }
}

/// Where the lines of one mapper at work on one object go.
pub fn mapper_log(
    (tenant, integration): (&TenantName, &IntegrationName),
    mapper: &str,
    digest: ComponentDigest,
    object: &Object,
) -> LogSink {
    let (tenant, integration, mapper) = (tenant.clone(), integration.clone(), mapper.to_owned());
    let object = object.to_string();
    Arc::new(move |line: LogLine| {
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    event = "mapper_log", %tenant, %integration, mapper, %digest, object, line = line.message,
                    "mapper"
                )
            };
        }
        match line.level {
            LogLevel::Debug => line!(debug),
            LogLevel::Info => line!(info),
            LogLevel::Warn => line!(warn),
            LogLevel::Error => line!(error),
        }
    })
}

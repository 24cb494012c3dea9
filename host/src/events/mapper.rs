//! What mappers do and say.

use std::sync::Arc;

use tracing::{debug, error, info, warn};

use crate::mapper::{LogLevel, LogLine, LogSink};
use crate::object::{ComponentDigest, IntegrationName, Object};

/// A mapper failed on a row, and the file is begun again without it.
pub struct MapperRowLeftOut<'a> {
    /// Whose.
    pub integration: &'a IntegrationName,
    /// Which object.
    pub object: &'a Object,
    /// How many rows are left out of it by now.
    pub rows: usize,
}

impl MapperRowLeftOut<'_> {
    /// Logs it.
    pub fn emit(self) {
        let Self { integration, object, rows } = self;
        warn!(
            event = "mapper_row_left_out", %integration, %object, rows,
            "a mapper failed on a row: it is rejected, and the file begun again without it"
        );
    }
}

/// Where the lines of one mapper at work on one object go.
pub fn mapper_log(integration: &IntegrationName, mapper: &str, digest: ComponentDigest, object: &Object) -> LogSink {
    let (integration, mapper, object) = (integration.clone(), mapper.to_owned(), object.to_string());
    Arc::new(move |line: LogLine| {
        macro_rules! line {
            ($level:ident) => {
                $level!(event = "mapper_log", %integration, mapper, %digest, object, line = line.message, "mapper")
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

//! A call on which a mapper failed, made again.
//!
//! The table is opened anew, in a new instance, and the call follows. What the mapper had kept of the batches before is not
//! there.

use super::mapping::{Maps, Open, Table, Work};
use super::{Failure, Transform};
use crate::batch::{AccountBatch, AccountLayout, UsageBatch, UsageLayout};
use crate::failed_call::{FailedCall, Step, TransformKind};
use crate::mapper::{FieldMapping, FileBudget, LogSink, UsageMapping};

/// What a mapper makes of a call that failed before.
#[derive(Debug)]
pub enum Repeated {
    /// It starts: that was all.
    Started,
    /// Account records; none where the call was the opening of a table.
    Accounts(AccountLayout, Option<AccountBatch>),
    /// Usage records; none where the call was the opening of a table.
    Usage(UsageLayout, Option<Box<UsageBatch>>),
}

/// Why a call could not be made again, or failed.
#[derive(Debug, thiserror::Error)]
pub enum RepeatError {
    /// It failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The mapper wants columns that the one which failed did not want.
    #[error("the mapper wants columns that were not saved: {}", columns.join(", "))]
    NotSaved {
        /// Their names, in backticks.
        columns: Vec<String>,
    },
    /// There are no rows where the call needs some.
    #[error("the saved call has no rows")]
    NoRows,
}

/// Makes the call again.
pub fn repeat(call: &FailedCall, transform: Transform, log: LogSink) -> Result<Repeated, RepeatError> {
    Ok(match call.head.transform {
        TransformKind::FieldMapping => match repeat_as::<FieldMapping>(call, transform, log)? {
            Some((layout, mapped)) => Repeated::Accounts(layout, mapped),
            None => Repeated::Started,
        },
        TransformKind::ProductUsage => match repeat_as::<UsageMapping>(call, transform, log)? {
            Some((layout, mapped)) => Repeated::Usage(layout, mapped.map(Box::new)),
            None => Repeated::Started,
        },
    })
}

/// The layout of the table, and what came of a call with or after its rows.
type Made<M> = Option<(<M as Maps>::Layout, Option<<M as Maps>::Mapped>)>;

fn repeat_as<M: Maps>(call: &FailedCall, transform: Transform, log: LogSink) -> Result<Made<M>, RepeatError> {
    let FailedCall { head, batch } = call;
    let of = Table { table: head.table, source: &head.source, header: &head.header };
    let work = Work { transform, tenant: head.tenant.clone(), budget: FileBudget { bytes: head.file_bytes } };
    let mut open = Open::<M>::instantiate(work, &of, log)?;
    if head.step == Step::Start {
        return Ok(None);
    }
    let layout = open.open(&of)?;
    let mapped = match head.step {
        Step::Start | Step::Open => None,
        Step::MapBatch => {
            let batch = batch.as_ref().ok_or(RepeatError::NoRows)?;
            let is_saved = |index: &&u32| batch.columns.get(**index as usize).is_some_and(Option::is_some);
            let missing = M::wanted(&layout).iter().filter(|index| !is_saved(index));
            let columns: Vec<String> =
                missing.filter_map(|index| head.header.get(*index as usize)).map(|name| format!("`{name}`")).collect();
            if !columns.is_empty() {
                return Err(RepeatError::NotSaved { columns });
            }
            Some(open.map(batch, &of)?)
        }
        Step::Finish => Some(open.finish(&of)?),
    };
    Ok(Some((layout, mapped)))
}

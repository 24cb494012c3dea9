//! What remains of a call on which a mapper failed, until it is saved or forgotten.

use std::path::{Path, PathBuf};

use super::{Failure, Pipeline};
use crate::events;
use crate::failed_call::FailedCall;
use crate::object::Object;

/// What would make a mapper fail again.
#[derive(Debug)]
pub enum Evidence {
    /// The call.
    Call(Box<FailedCall>),
    /// The call was saved.
    Saved(PathBuf),
}

impl Failure {
    /// The file in which the call is saved that a mapper failed on.
    pub fn saved_call(&self) -> Option<&Path> {
        let Self::Mapper { evidence, .. } = self else { return None };
        match evidence.as_deref()? {
            Evidence::Saved(path) => Some(path),
            Evidence::Call(_) => None,
        }
    }
}

/// Says that a mapper failed, and saves the call where the configuration wants that. Other failures stay as they are, and a
/// call that cannot be saved changes nothing but the log.
pub(super) fn save<S>(pipeline: &Pipeline<S>, object: &Object, mut failure: Failure) -> Failure {
    if let Failure::Mapper { evidence, .. } = &mut failure
        && let Some(Evidence::Call(call)) = evidence.take().map(|evidence| *evidence)
    {
        let (integration, head) = (&pipeline.settings.name, &call.head);
        let saved = pipeline.failed_calls.save(&call, pipeline.clock.now());
        let saved = saved.unwrap_or_else(|error| {
            events::MapperCallNotSaved { integration, call: head, object, error: &error }.emit();
            None
        });
        events::MapperFailed { integration, call: head, object, saved: saved.as_deref() }.emit();
        *evidence = saved.map(|path| Box::new(Evidence::Saved(path)));
    }
    failure
}

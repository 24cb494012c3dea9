//! What a component is and what it takes to compile and start it, held against the limits: for those who write mappers,
//! so everything that is wrong is said at once.

use std::time::{Duration, Instant};

use super::inspect::{self, Survey};
use super::{CompileCost, Exports, Limits, Mapper, MapperError, MapperHost, compile, digest};
use crate::object::ComponentDigest;

/// What may be wrong with one component before the rest of it is passed over.
const PROBLEMS: usize = 64;

/// What was found out about a component.
#[derive(Debug)]
pub struct Examination {
    /// Its SHA-256, by which a configuration pins it.
    pub digest: ComponentDigest,
    /// The version of the contract that it was built for.
    pub version: Option<String>,
    /// Which transforms it has.
    pub exports: Exports,
    /// The names of what it imports, control characters escaped.
    pub imports: Vec<String>,
    /// What compiling it took; none if it could not be compiled.
    pub compile: Option<CompileCost>,
    /// What starting it took; none if it does not start.
    pub start: Option<StartCost>,
    /// What is wrong with it.
    pub problems: Vec<MapperError>,
}

/// What starting an instance takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartCost {
    /// Time by the clock, from compiled code in memory to an instance that can be called.
    pub wall: Duration,
    /// Bytes of linear memory that it begins with.
    pub memory: usize,
}

impl MapperHost {
    /// Reads a component, compiles it anew, links and starts it. An error is one that says nothing of the component.
    pub fn examine(&self, bytes: &[u8], limits: Limits) -> Result<Examination, MapperError> {
        let Survey { outline, imports, version, problems } = inspect::survey(bytes, PROBLEMS);
        let digest = digest(bytes);
        let mut found =
            Examination { digest, version, exports: outline.exports, imports, compile: None, start: None, problems };
        if bytes.len() as u64 > limits.component {
            found.problems.push(MapperError::TooLarge { limit: limits.component });
        }
        if found.problems.iter().any(|problem| matches!(problem, MapperError::NotAComponent { .. })) {
            return Ok(found);
        }
        let compiled = match compile::compile(&self.launcher, bytes, self.settings, &limits.compile).map_err(Into::into)
        {
            Ok(compiled) => compiled,
            Err(error) => return found.with(error),
        };
        found.compile = Some(compiled.cost);
        if !found.problems.is_empty() {
            return Ok(found);
        }
        let component = match self.link(&compiled.code, outline) {
            Ok(component) => component.into(),
            Err(error) => return found.with(error),
        };
        let mapper = Mapper { name: "".into(), digest, limits, component, compiled: None, meter: Default::default() };
        let instances = u32::from(outline.exports.field_mapping) + u32::from(outline.exports.product_usage);
        let begun = Instant::now();
        match mapper.prove() {
            Ok(()) => {
                let wall = begun.elapsed() / instances.max(1);
                found.start = Some(StartCost { wall, memory: mapper.spent().memory });
            }
            Err(error) => return found.with(error),
        }
        Ok(found)
    }
}

impl Examination {
    /// Notes what is wrong with the component; an error of ours ends the examination.
    fn with(mut self, error: MapperError) -> Result<Self, MapperError> {
        if !error.is_mappers_fault() {
            return Err(error);
        }
        self.problems.push(error);
        Ok(self)
    }
}

//! A runtime for destinations that speak over the network, whose calls block.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};

use super::DestinationError;

/// The runtime whose one thread moves the bytes. It may be dropped where blocking is not allowed.
#[derive(Debug)]
pub(super) struct Background(Option<Runtime>);

impl Background {
    pub fn start(name: &str) -> Result<Self, DestinationError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build();
        Ok(Self(Some(runtime.map_err(DestinationError::Runtime)?)))
    }

    /// Waits for something, off the async threads.
    pub fn block_on<Awaited: Future>(&self, awaited: Awaited) -> Awaited::Output {
        self.runtime().block_on(awaited)
    }

    pub fn handle(&self) -> Handle {
        self.runtime().handle().clone()
    }

    fn runtime(&self) -> &Runtime {
        match &self.0 {
            Some(runtime) => runtime,
            None => unreachable!("it is taken only when this is dropped"),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

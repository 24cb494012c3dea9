//! The pages of one listing, with the objects that the integration wants.

use std::sync::Arc;

use super::PassError;
use crate::ingest::Pipeline;
use crate::oversight::{Oversight, Watch};
use crate::source::{Page, PageToken, Source, SourceError};

/// The pages of one listing, the next of which is fetched while one is worked.
pub(super) struct Listing<S> {
    pipeline: Arc<Pipeline<S>>,
    watch: Watch,
    next: Option<tokio::task::JoinHandle<Result<Page, SourceError>>>,
}

impl<S: Source> Listing<S> {
    pub(super) fn begin(pipeline: &Arc<Pipeline<S>>, oversight: &Oversight) -> Self {
        let mut listing = Self { pipeline: Arc::clone(pipeline), watch: oversight.watch.clone(), next: None };
        listing.fetch(None);
        listing
    }

    fn fetch(&mut self, after: Option<PageToken>) {
        let (pipeline, watch) = (Arc::clone(&self.pipeline), self.watch.clone());
        self.next = Some(tokio::spawn(async move {
            let _listing = watch.begin("listing");
            pipeline.source.list(after.as_ref()).await
        }));
    }

    pub(super) async fn next(&mut self) -> Result<Option<Page>, PassError> {
        let Some(next) = self.next.take() else { return Ok(None) };
        let page = next.await??;
        if page.next.is_some() {
            self.fetch(page.next.clone());
        }
        Ok(Some(page.of_wanted(&self.pipeline.settings.wanted, self.pipeline.clock.now())))
    }
}

impl<S> Drop for Listing<S> {
    fn drop(&mut self) {
        if let Some(next) = &self.next {
            next.abort();
        }
    }
}

//! The pages of one listing, with the objects that the integration wants.

use std::sync::Arc;

use super::PassError;
use super::census::Census;
use crate::ingest::Pipeline;
use crate::ledger::LedgerError;
use crate::oversight::{Oversight, Watch};
use crate::source::{Page, PageToken, Source, SourceError};

/// The pages of one listing, the next of which is fetched while one is worked.
pub(super) struct Listing<S> {
    pipeline: Arc<Pipeline<S>>,
    watch: Watch,
    census: Option<Census>,
    next: Option<tokio::task::JoinHandle<Result<Page, SourceError>>>,
}

impl<S: Source> Listing<S> {
    pub(super) fn begin(pipeline: &Arc<Pipeline<S>>, oversight: &Oversight) -> Self {
        let mut listing =
            Self { pipeline: Arc::clone(pipeline), watch: oversight.watch.clone(), census: None, next: None };
        listing.fetch(None);
        listing
    }

    /// The same, which also tells the ledger which keys are gone, if it is time for that.
    pub(super) async fn begin_counting(
        pipeline: &Arc<Pipeline<S>>,
        oversight: &Oversight,
    ) -> Result<Self, LedgerError> {
        let census = Census::begin(pipeline).await?;
        let mut listing = Self::begin(pipeline, oversight);
        listing.census = census;
        Ok(listing)
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
        if let Some(census) = &mut self.census {
            census.see(&self.pipeline, &page).await?;
        }
        if page.next.is_none()
            && let Some(census) = self.census.take()
        {
            census.end(&self.pipeline).await?;
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

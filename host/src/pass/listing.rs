//! The pages of one listing, with the objects that the integration wants.

use std::sync::Arc;

use super::PassError;
use super::census::Census;
use crate::config;
use crate::ingest::Pipeline;
use crate::ledger::{LedgerError, Stretch};
use crate::object::ObjectKey;
use crate::oversight::{Oversight, Watch};
use crate::source::{Page, PageToken, Source, SourceError};

/// The pages of one listing, the next of which is fetched while one is worked.
pub(super) struct Listing<S> {
    pipeline: Arc<Pipeline<S>>,
    watch: Watch,
    /// Looked at where a census or a mark needs them.
    keys: Option<Keys>,
    census: Option<Census>,
    next: Option<tokio::task::JoinHandle<Result<Page, SourceError>>>,
}

impl<S: Source> Listing<S> {
    /// A listing of everything.
    pub(super) fn begin(pipeline: &Arc<Pipeline<S>>, oversight: &Oversight) -> Self {
        Self::after(None, pipeline, oversight)
    }

    /// A listing of whatever may be new. Once a day it is one of everything, and tells the ledger which keys are gone.
    pub(super) async fn of_arrivals(pipeline: &Arc<Pipeline<S>>, oversight: &Oversight) -> Result<Self, LedgerError> {
        let grows = pipeline.settings.listing == config::Listing::AppendOnly;
        let start = pipeline.mark.start(pipeline.clock.now()).filter(|_| grows);
        let census = match start {
            None => Census::begin(pipeline).await?,
            Some(_) => None,
        };
        let mut listing = Self::after(start.map(PageToken::After), pipeline, oversight);
        listing.keys = (grows || census.is_some()).then(Keys::default);
        listing.census = census;
        Ok(listing)
    }

    fn after(start: Option<PageToken>, pipeline: &Arc<Pipeline<S>>, oversight: &Oversight) -> Self {
        let (pipeline, watch) = (Arc::clone(pipeline), oversight.watch.clone());
        let mut listing = Self { pipeline, watch, keys: None, census: None, next: None };
        listing.fetch(start);
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
        if let Some(keys) = &mut self.keys {
            let stretch = keys.see(&page);
            if let (Some(census), Some(stretch)) = (&self.census, stretch) {
                census.see(&self.pipeline, stretch).await?;
            }
        }
        if page.next.is_none()
            && let Some(census) = self.census.take()
        {
            census.end(&self.pipeline, self.last_key().is_some()).await?;
        }
        Ok(Some(page.of_wanted(&self.pipeline.settings.wanted, self.pipeline.clock.now())))
    }

    /// The last key so far, if there was any, and if they came in order.
    pub(super) fn last_key(&self) -> Option<&ObjectKey> {
        self.keys.as_ref().filter(|keys| keys.are_in_order)?.last.as_ref()
    }
}

impl<S> Drop for Listing<S> {
    fn drop(&mut self) {
        if let Some(next) = &self.next {
            next.abort();
        }
    }
}

/// The keys of a listing, page by page. S3 lists them in the order of their bytes; not every server does.
struct Keys {
    last: Option<ObjectKey>,
    are_in_order: bool,
}

impl Default for Keys {
    fn default() -> Self {
        Self { last: None, are_in_order: true }
    }
}

impl Keys {
    /// Goes on with the next page, whole as it was listed: what it shows, as long as all keys came in order.
    fn see(&mut self, page: &Page) -> Option<Stretch> {
        let mut keys: Vec<ObjectKey> = page.objects.iter().map(|object| object.key.clone()).collect();
        keys.sort_unstable();
        let after = self.last.take();
        self.are_in_order &= keys.first().is_none_or(|first| after.as_ref().is_none_or(|after| first > after));
        self.last = keys.last().or(after.as_ref()).cloned();
        let until = self.last.clone().filter(|_| page.next.is_some());
        self.are_in_order.then_some(Stretch { after, until, keys })
    }
}

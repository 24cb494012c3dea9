//! The pages of one listing, with the objects that the integration wants.

use std::sync::Arc;

use super::PassError;
use super::census::Census;
use crate::config;
use crate::ingest::Pipeline;
use crate::ledger::{LedgerError, Stretch};
use crate::object::ObjectKey;
use crate::oversight::{Oversight, Watch};
use crate::source::{Circle, Failure, FailureKind, Page, PageToken, Source, SourceError, Start};

/// The pages of one listing, the next of which is fetched while one is worked.
pub(super) struct Listing<S> {
    pipeline: Arc<Pipeline<S>>,
    watch: Watch,
    /// Where it began, when keys only grow.
    start: Option<Start>,
    /// Looked at where a census or a mark needs them.
    keys: Option<Keys>,
    census: Option<Census>,
    next: Option<tokio::task::JoinHandle<Result<Page, SourceError>>>,
    circle: Circle<PageToken>,
}

impl<S: Source> Listing<S> {
    /// A listing of everything.
    pub(super) fn begin(pipeline: &Arc<Pipeline<S>>, oversight: &Oversight) -> Self {
        Self::after(None, pipeline, oversight)
    }

    /// A listing of whatever may be new. Once a day it is one of everything, and tells the ledger which keys are gone.
    pub(super) async fn of_arrivals(pipeline: &Arc<Pipeline<S>>, oversight: &Oversight) -> Result<Self, LedgerError> {
        let grows = pipeline.settings.listing == config::Listing::AppendOnly;
        let start = grows.then(|| pipeline.mark.start(pipeline.clock.now()));
        let after = start.as_ref().and_then(|start| start.after.clone());
        let census = match after {
            None => Census::begin(pipeline).await?,
            Some(_) => None,
        };
        let mut listing = Self::after(after.map(PageToken::After), pipeline, oversight);
        listing.keys = (start.is_some() || census.is_some()).then(Keys::default);
        (listing.start, listing.census) = (start, census);
        Ok(listing)
    }

    fn after(start: Option<PageToken>, pipeline: &Arc<Pipeline<S>>, oversight: &Oversight) -> Self {
        let (pipeline, watch) = (Arc::clone(pipeline), oversight.watch.clone());
        let mut listing =
            Self { pipeline, watch, start: None, keys: None, census: None, next: None, circle: Circle::default() };
        listing.fetch(start);
        listing
    }

    fn fetch(&mut self, after: Option<PageToken>) {
        let (pipeline, watch) = (Arc::clone(&self.pipeline), self.watch.clone());
        pipeline.list_budget.spend(pipeline.clock.now());
        self.next = Some(tokio::spawn(async move {
            let _listing = watch.begin("listing");
            pipeline.source.list(after.as_ref()).await
        }));
    }

    pub(super) async fn next(&mut self) -> Result<Option<Page>, PassError> {
        let Some(next) = self.next.take() else { return Ok(None) };
        let page = next.await??;
        if let Some(next) = &page.next {
            if self.circle.closes_at(next) {
                return Err(self.goes_round().into());
            }
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

    /// A server that gives the same tokens again and again would be listed for ever.
    fn goes_round(&self) -> SourceError {
        let (bucket, prefix) = (&self.pipeline.settings.bucket, &self.pipeline.settings.prefix);
        let failure = Failure::new(FailureKind::Unexpected);
        SourceError::list(bucket, prefix, failure.with_message("the listing goes round in a circle and has no end"))
    }

    /// Where it began and what it has come to, when keys only grow and came in order.
    pub(super) fn reached(&self) -> Option<(Start, ObjectKey)> {
        self.start.clone().zip(self.last_key().cloned())
    }

    /// The last key so far, if there was any, and if they came in order.
    fn last_key(&self) -> Option<&ObjectKey> {
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
    /// Goes on with the next page, whole as it was listed: what it shows, as long as all keys came in order. A page without
    /// any key of ours belongs to the stretch of the next.
    fn see(&mut self, page: &Page) -> Option<Stretch> {
        if page.objects.is_empty() && page.next.is_some() {
            return None;
        }
        let mut keys: Vec<ObjectKey> = page.objects.iter().map(|object| object.key.clone()).collect();
        keys.sort_unstable();
        let after = self.last.take();
        self.are_in_order &= keys.first().is_none_or(|first| after.as_ref().is_none_or(|after| first > after));
        self.last = keys.last().or(after.as_ref()).cloned();
        let until = self.last.clone().filter(|_| page.next.is_some());
        self.are_in_order.then_some(Stretch { after, until, keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    fn page(keys: &[&str], goes_on: bool) -> Page {
        let object = |key: &&str| Object {
            connection: "main".parse().unwrap(),
            bucket: "exports".parse().unwrap(),
            key: key.parse().unwrap(),
            etag: "1".parse().unwrap(),
            size: 1,
            last_modified: jiff::Timestamp::UNIX_EPOCH,
        };
        let next = goes_on.then(|| PageToken::Continued("next".to_owned()));
        Page { objects: keys.iter().map(object).collect(), next, ..Page::default() }
    }

    /// After, until, and how many keys.
    type Seen = (Option<String>, Option<String>, usize);

    fn seen(pages: &[(&[&str], bool)]) -> Vec<Option<Seen>> {
        let mut keys = Keys::default();
        let text = |key: Option<ObjectKey>| key.map(|key| key.as_str().to_owned());
        let see = |(page, goes_on): &(&[&str], bool)| keys.see(&self::page(page, *goes_on));
        let stretches: Vec<_> = pages.iter().map(see).collect();
        stretches.into_iter().map(|stretch| stretch.map(|it| (text(it.after), text(it.until), it.keys.len()))).collect()
    }

    /// R18: what stands on no page yet is not missing.
    #[test]
    fn a_page_without_keys_says_nothing_of_those_that_are_still_to_come() {
        let some = |text: &str| Some(text.to_owned());
        let pages: &[(&[&str], bool)] = &[(&[], true), (&["b", "a"], true), (&[], true), (&["c"], true), (&[], false)];
        let expected =
            [None, Some((None, some("b"), 2)), None, Some((some("b"), some("c"), 1)), Some((some("c"), None, 0))];
        assert_eq!(seen(pages), expected);
        assert_eq!(seen(&[(&["b"], true), (&["a"], false)])[1], None, "out of order");
    }
}

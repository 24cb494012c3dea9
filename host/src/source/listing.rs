//! Listing: ListObjectsV2, a page at a time.

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use crate::object::{BucketName, ConnectionKey, ETag, Object, ObjectKey};

use super::error::{Failure, FailureKind};
use super::{Page, PageToken, S3Source, SourceError};

/// Keys a page; the most that S3 gives.
const PAGE: i32 = 1_000;

/// Suffixes of files that are ingested, in any case.
const SUFFIXES: [&str; 3] = [".csv", ".xlsx", ".xls"];

/// Whether a key's suffix is one of `.csv`, `.xlsx` and `.xls`, in any case.
pub fn is_ingestible(key: &str) -> bool {
    let key = key.as_bytes();
    SUFFIXES.iter().any(|suffix| {
        let start = key.len().checked_sub(suffix.len());
        start.and_then(|start| key.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
    })
}

/// One page of an integration's objects.
pub(super) async fn page(source: &S3Source, after: Option<&PageToken>) -> Result<Page, SourceError> {
    let fail = |failure| SourceError::list(&source.bucket, &source.prefix, failure);
    let answer = request(source, after).await?;
    let listing = Listing { connection: &source.connection.key, bucket: &source.bucket, encoded: is_encoded(&answer) };
    let mut page = Page { next: next(&answer, after).map_err(fail)?, ..Page::default() };
    for entry in answer.contents() {
        match listing.read(entry) {
            Entry::Ingestible(object) => page.objects.push(object),
            Entry::Other(_) => page.ignored.other_suffix += 1,
            Entry::FolderMarker => page.ignored.folder_markers += 1,
            Entry::Empty => page.ignored.empty += 1,
            Entry::Unusable => page.ignored.unusable += 1,
        }
    }
    page.objects.sort_by(|a, b| (a.last_modified, &a.key).cmp(&(b.last_modified, &b.key)));
    Ok(page)
}

/// The first page, as a test of the connection sees it: objects to ingest, and the others.
pub(super) async fn sample(source: &S3Source) -> Result<(Vec<Object>, Vec<Object>), SourceError> {
    let answer = request(source, None).await?;
    let listing = Listing { connection: &source.connection.key, bucket: &source.bucket, encoded: is_encoded(&answer) };
    let (mut ingestible, mut others) = (Vec::new(), Vec::new());
    for entry in answer.contents() {
        match listing.read(entry) {
            Entry::Ingestible(object) => ingestible.push(object),
            Entry::Other(object) => others.push(object),
            Entry::FolderMarker | Entry::Empty | Entry::Unusable => {}
        }
    }
    Ok((ingestible, others))
}

async fn request(source: &S3Source, after: Option<&PageToken>) -> Result<ListObjectsV2Output, SourceError> {
    let prefix = Some(source.prefix.clone()).filter(|prefix| !prefix.is_empty());
    let (continued, start_after) = match after {
        None => (None, None),
        Some(PageToken::Continued(token)) => (Some(token.clone()), None),
        Some(PageToken::After(key)) => (None, Some(key.as_str().to_owned())),
    };
    let connection = &source.connection;
    let request = connection
        .client
        .list_objects_v2()
        .bucket(source.bucket.as_str())
        .set_prefix(prefix)
        .set_continuation_token(continued)
        .set_start_after(start_after)
        .encoding_type(EncodingType::Url)
        .max_keys(PAGE);
    let sent = connection.send(|| request.clone().send()).await;
    sent.map_err(|failure| SourceError::list(&source.bucket, &source.prefix, failure))
}

/// Servers that do not know `EncodingType` do not repeat it, and then keys stand there as they are.
pub(super) fn is_encoded(answer: &ListObjectsV2Output) -> bool {
    answer.encoding_type() == Some(&EncodingType::Url)
}

fn next(answer: &ListObjectsV2Output, after: Option<&PageToken>) -> Result<Option<PageToken>, Failure> {
    if answer.is_truncated() != Some(true) {
        return Ok(None);
    }
    // Without these two checks a broken server would end the listing early, or never.
    let unexpected = |message| Failure::new(FailureKind::Unexpected).with_message(message);
    let Some(token) = answer.next_continuation_token().map(|token| PageToken::Continued(token.to_owned())) else {
        return Err(unexpected("the listing goes on, and the server does not say where"));
    };
    if Some(&token) == after {
        return Err(unexpected("the server gives the same continuation token twice"));
    }
    Ok(Some(token))
}

/// What one entry of a listing is.
#[derive(Debug, PartialEq)]
enum Entry {
    Ingestible(Object),
    Other(Object),
    FolderMarker,
    Empty,
    Unusable,
}

/// What the entries of one page have in common.
struct Listing<'a> {
    connection: &'a ConnectionKey,
    bucket: &'a BucketName,
    encoded: bool,
}

impl Listing<'_> {
    fn read(&self, entry: &aws_sdk_s3::types::Object) -> Entry {
        let Some(key) = entry.key().and_then(|key| self.key(key)) else {
            return Entry::Unusable;
        };
        let Some(size) = entry.size().and_then(|size| u64::try_from(size).ok()) else {
            return Entry::Unusable;
        };
        if size == 0 {
            return if key.as_str().ends_with('/') { Entry::FolderMarker } else { Entry::Empty };
        }
        let etag = entry.e_tag().and_then(unquoted);
        let last_modified = entry.last_modified().and_then(timestamp);
        let (Some(etag), Some(last_modified)) = (etag, last_modified) else {
            return Entry::Unusable;
        };
        let ingestible = is_ingestible(key.as_str());
        let (connection, bucket) = (self.connection.clone(), self.bucket.clone());
        let object = Object { connection, bucket, key, etag, size, last_modified };
        if ingestible { Entry::Ingestible(object) } else { Entry::Other(object) }
    }

    fn key(&self, key: &str) -> Option<ObjectKey> {
        if self.encoded { decoded(key)?.parse().ok() } else { key.parse().ok() }
    }
}

/// The ETag without the quotes that most servers put round it.
pub(super) fn unquoted(etag: &str) -> Option<ETag> {
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag).parse().ok()
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

/// Undoes `EncodingType=url`: S3 writes a space as `+`, others as `%20`, all of them a plus as `%2B`. A `%` that is not
/// followed by two hexadecimal digits stands for itself. None where the key is not UTF-8.
pub(super) fn decoded(key: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(digit(*high) << 4 | digit(*low));
                rest
            }
            [b'+', rest @ ..] => {
                bytes.push(b' ');
                rest
            }
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
    String::from_utf8(bytes).ok()
}

/// The value of a hexadecimal digit.
fn digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_suffixes_are_ingested_in_any_case() {
        for key in ["a.csv", "A.CSV", "x/y.Xlsx", "ü.XLS", ".csv"] {
            assert!(is_ingestible(key), "{key}");
        }
        for key in ["a.csv.gz", "a.xlsm", "csv", "a.csv/", "a.csv ", "", "é"] {
            assert!(!is_ingestible(key), "{key}");
        }
    }

    #[test]
    fn encoded_keys_are_decoded_as_every_server_writes_them() {
        for (encoded, key) in [
            ("a+b%2Bc.csv", "a b+c.csv"),
            ("a%20b.csv", "a b.csv"),
            ("100%25.csv", "100%.csv"),
            ("100%.csv", "100%.csv"),
            ("a%2", "a%2"),
            ("t%3A1/%C3%BC%0A.csv", "t:1/ü\n.csv"),
            ("%01", "\u{1}"),
            ("ü.csv", "ü.csv"),
            ("%2525", "%25"),
        ] {
            assert_eq!(decoded(encoded).as_deref(), Some(key), "{encoded}");
        }
        assert_eq!(decoded("%FF.csv"), None);
    }

    fn read(listing: &Listing<'_>, key: &str, size: i64, etag: &str) -> Entry {
        let entry = aws_sdk_s3::types::Object::builder().key(key).size(size).e_tag(etag);
        listing.read(&entry.last_modified(DateTime::from_secs(7)).build())
    }

    #[test]
    fn entries_are_objects_or_counted() {
        let (connection, bucket) = ("acme".parse().unwrap(), "exports".parse().unwrap());
        let listing = Listing { connection: &connection, bucket: &bucket, encoded: true };
        let Entry::Ingestible(object) = read(&listing, "a+b.CSV", 3, "\"abc-2\"") else { panic!() };
        assert_eq!(object.dedup_key().as_str(), "acme/exports/a b.CSV#etag=abc-2");
        assert_eq!((object.size, object.last_modified), (3, Timestamp::from_second(7).unwrap()));
        assert!(matches!(read(&listing, "a.txt", 3, "e"), Entry::Other(_)));
        assert_eq!(read(&listing, "folder/", 0, "e"), Entry::FolderMarker);
        assert_eq!(read(&listing, "a.csv", 0, "e"), Entry::Empty);
        assert_eq!(read(&listing, "a.csv", 3, "\"\""), Entry::Unusable);
        assert_eq!(read(&listing, "a.csv", -1, "e"), Entry::Unusable);
        assert_eq!(read(&listing, "%FF.csv", 3, "e"), Entry::Unusable);
        assert_eq!(read(&listing, &"k".repeat(1_025), 3, "e"), Entry::Unusable);
        let plain = Listing { encoded: false, ..listing };
        let Entry::Ingestible(object) = read(&plain, "a+b%20c.csv", 3, "W/\"e\"") else { panic!() };
        assert_eq!((object.key.as_str(), object.etag.as_str()), ("a+b%20c.csv", "e"));
    }

    #[test]
    fn a_listing_that_cannot_go_on_is_an_error() {
        let answer = ListObjectsV2Output::builder().is_truncated(true);
        assert!(next(&answer.clone().build(), None).is_err());
        let answer = answer.next_continuation_token("t").build();
        assert_eq!(next(&answer, None).unwrap(), Some(PageToken::Continued("t".to_owned())));
        assert!(next(&answer, Some(&PageToken::Continued("t".to_owned()))).is_err());
        assert_eq!(next(&ListObjectsV2Output::builder().build(), None).unwrap(), None);
    }
}

//! S3 over the store: the operations that the daemon, its demo and its tests use.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt, stream};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, ChecksumMode, ChecksumType, CommonPrefix,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, ETag,
    ETagCondition, EncodingType, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
    PutObjectInput, PutObjectOutput, StreamingBlob, UploadPartInput, UploadPartOutput,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};

use crate::issuer::Issuer;
use crate::store::{Content, Store, StoreError, Stored, whole_seconds};

/// Bytes a piece of a body.
const PIECE: usize = 64 << 10;

/// Keys a page at most.
const PAGE: usize = 1_000;

pub(crate) fn service(store: Arc<Store>, issuer: Issuer) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Operations { store, uploads: Mutex::default(), next: AtomicU64::new(1) });
    builder.set_auth(issuer);
    builder.set_validation(AnyName);
    builder.build()
}

struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}

struct Operations {
    store: Arc<Store>,
    /// By upload id, the parts so far.
    uploads: Mutex<HashMap<String, BTreeMap<i32, Bytes>>>,
    next: AtomicU64,
}

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
            StoreError::NoSuchKey(_) => S3ErrorCode::NoSuchKey,
            StoreError::Key(_) => S3ErrorCode::InvalidArgument,
            StoreError::Directory(_) => S3ErrorCode::InternalError,
        };
        S3Error::with_message(code, error.to_string())
    }
}

fn check_match(stored: &Stored, condition: Option<&ETagCondition>) -> S3Result {
    match condition {
        Some(ETagCondition::ETag(etag)) if etag.value() != stored.etag => {
            Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"))
        }
        _ => Ok(()),
    }
}

fn answer<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

async fn collected(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let gather = |mut bytes: BytesMut, piece: Bytes| async move {
        bytes.extend_from_slice(&piece);
        Ok(bytes)
    };
    body.try_fold(BytesMut::new(), gather)
        .await
        .map(BytesMut::freeze)
        .map_err(|error| S3Error::with_message(S3ErrorCode::IncompleteBody, error.to_string()))
}

/// `EncodingType=url` as S3 does it: a space as `+`, slashes as they are.
fn encoded(key: &str) -> String {
    key.bytes().fold(String::with_capacity(key.len()), |mut text, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => text.push(byte.into()),
            b' ' => text.push('+'),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

/// A page whose keys with a delimiter after the prefix are their common prefixes. A prefix may come again on the next page.
fn rolled_up(
    entries: Vec<(String, Arc<Stored>)>,
    prefix: &str,
    delimiter: &str,
) -> (Vec<(String, Arc<Stored>)>, BTreeSet<String>) {
    let mut common = BTreeSet::new();
    let mut contents = Vec::new();
    for (key, stored) in entries {
        match key.strip_prefix(prefix).and_then(|rest| rest.split_once(delimiter)) {
            Some((first, _)) => _ = common.insert(format!("{prefix}{first}{delimiter}")),
            None => contents.push((key, stored)),
        }
    }
    (contents, common)
}

impl Operations {
    fn uploads(&self) -> std::sync::MutexGuard<'_, HashMap<String, BTreeMap<i32, Bytes>>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl S3 for Operations {
    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let bucket = |name| Bucket { name: Some(name), ..Bucket::default() };
        let buckets = self.store.buckets().into_iter().map(bucket).collect();
        answer(ListBucketsOutput { buckets: Some(buckets), ..ListBucketsOutput::default() })
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        self.store.create(&request.input.bucket);
        answer(CreateBucketOutput::default())
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.store.list(&request.input.bucket, "", None, 0)?;
        answer(HeadBucketOutput::default())
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let most = input.max_keys.and_then(|most| usize::try_from(most).ok()).unwrap_or(PAGE).min(PAGE);
        let after = input.continuation_token.as_ref().or(input.start_after.as_ref()).cloned();
        let (store, bucket) = (Arc::clone(&self.store), input.bucket.clone());
        let listing = tokio::task::spawn_blocking(move || store.list(&bucket, &prefix, after.as_deref(), most));
        let listed = listing.await.map_err(S3Error::internal_error)??;
        let url = input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
        let next = listed.entries.last().filter(|_| listed.truncated).map(|(key, _)| key.clone());
        let object = |(key, stored): (String, Arc<Stored>)| Object {
            key: Some(if url { encoded(&key) } else { key }),
            e_tag: Some(ETag::Strong(stored.etag.clone())),
            size: i64::try_from(stored.size).ok(),
            last_modified: Some(whole_seconds(stored.modified).into()),
            ..Object::default()
        };
        let (contents, common) = match input.delimiter.as_deref() {
            Some(delimiter) => rolled_up(listed.entries, input.prefix.as_deref().unwrap_or_default(), delimiter),
            None => (listed.entries, BTreeSet::new()),
        };
        let contents: Vec<_> = contents.into_iter().map(object).collect();
        let common =
            common.into_iter().map(|prefix| CommonPrefix { prefix: Some(if url { encoded(&prefix) } else { prefix }) });
        answer(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix.map(|prefix| if url { encoded(&prefix) } else { prefix }),
            max_keys: i32::try_from(most).ok(),
            key_count: i32::try_from(contents.len()).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(listed.truncated),
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(common.collect()),
            delimiter: input.delimiter,
            encoding_type: input.encoding_type,
            start_after: input.start_after,
            ..ListObjectsV2Output::default()
        })
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let stored = self.store.get(&input.bucket, &input.key)?;
        check_match(&stored, input.if_match.as_ref())?;
        answer(HeadObjectOutput {
            content_length: i64::try_from(stored.size).ok(),
            e_tag: Some(ETag::Strong(stored.etag.clone())),
            last_modified: Some(whole_seconds(stored.modified).into()),
            ..HeadObjectOutput::default()
        })
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let stored = self.store.get(&input.bucket, &input.key)?;
        check_match(&stored, input.if_match.as_ref())?;
        let range = match input.range {
            Some(range) => range.check(stored.size)?,
            None => 0..stored.size,
        };
        let whole = input.range.is_none();
        let asked = input.checksum_mode.as_ref().is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
        let checksum = (whole && asked).then(|| STANDARD.encode(stored.crc64));
        answer(GetObjectOutput {
            content_length: i64::try_from(range.end - range.start).ok(),
            content_range: (!whole)
                .then(|| format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), stored.size)),
            accept_ranges: Some("bytes".to_owned()),
            e_tag: Some(ETag::Strong(stored.etag.clone())),
            last_modified: Some(whole_seconds(stored.modified).into()),
            checksum_type: checksum.as_ref().map(|_| ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
            checksum_crc64nvme: checksum,
            body: Some(body(&stored.content, range).await?),
            ..GetObjectOutput::default()
        })
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let content = collected(input.body).await?;
        let etag = self.store.put(&input.bucket, &input.key, content)?;
        answer(PutObjectOutput { e_tag: Some(ETag::Strong(etag)), ..PutObjectOutput::default() })
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.store.delete(&request.input.bucket, &request.input.key)?;
        answer(DeleteObjectOutput::default())
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let id = format!("upload-{}", self.next.fetch_add(1, Ordering::Relaxed));
        self.uploads().insert(id.clone(), BTreeMap::new());
        answer(CreateMultipartUploadOutput {
            bucket: Some(request.input.bucket),
            key: Some(request.input.key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        })
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let content = collected(input.body).await?;
        let etag = format!("part-{}", input.part_number);
        let mut uploads = self.uploads();
        let parts = uploads.get_mut(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        parts.insert(input.part_number, content);
        answer(UploadPartOutput { e_tag: Some(ETag::Strong(etag)), ..UploadPartOutput::default() })
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let parts = self.uploads().remove(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let parts: Vec<Bytes> = parts.into_values().collect();
        let etag = self.store.put_parts(&input.bucket, &input.key, &parts)?;
        answer(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(etag)),
            ..CompleteMultipartUploadOutput::default()
        })
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.uploads().remove(&request.input.upload_id);
        answer(AbortMultipartUploadOutput::default())
    }
}

async fn body(content: &Content, range: Range<u64>) -> S3Result<StreamingBlob> {
    match content {
        Content::Memory(bytes) => {
            let position = |at| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            let bytes = bytes.slice(position(range.start)..position(range.end));
            let pieces = (0..bytes.len())
                .step_by(PIECE)
                .map(move |start| Ok::<_, io::Error>(bytes.slice(start..bytes.len().min(start + PIECE))));
            Ok(StreamingBlob::wrap(stream::iter(pieces)))
        }
        Content::File(path) => {
            let mut file = tokio::fs::File::open(path).await.map_err(S3Error::internal_error)?;
            file.seek(SeekFrom::Start(range.start)).await.map_err(S3Error::internal_error)?;
            Ok(StreamingBlob::wrap(pieces(file, range.end - range.start)))
        }
    }
}

/// The next `missing` bytes of a file.
fn pieces(file: tokio::fs::File, missing: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    stream::try_unfold((file, missing), |(mut file, missing)| async move {
        let mut piece = BytesMut::with_capacity(PIECE.min(usize::try_from(missing).unwrap_or(PIECE)));
        if missing == 0 {
            return Ok(None);
        }
        match file.read_buf(&mut piece).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                let read = (read as u64).min(missing);
                piece.truncate(usize::try_from(read).unwrap_or(PIECE));
                Ok(Some((piece.freeze(), (file, missing - read))))
            }
        }
    })
}

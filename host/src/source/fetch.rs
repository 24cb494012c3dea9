//! Fetching: GetObject pinned to the listed ETag, streamed to the spool, taken up again where it breaks off, verified.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption};
use aws_smithy_checksums::ChecksumAlgorithm;
use aws_smithy_checksums::body::validate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::object::{ETag, Object};
use crate::oversight::Beat;
use crate::spool::{Digests, Reservation, SpoolError, SpoolWriter, SpooledObject};

use super::error::{Failure, FailureKind};
use super::listing::unquoted;
use super::{Connection, SourceError};

/// How often in a row a body is taken up again without having brought [`PROGRESS`] bytes.
const RESUMES: u32 = 4;
/// What a broken body must have brought for it not to count.
const PROGRESS: u64 = 8 << 20;
/// The pause before the first of those; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// Copies one listed version to the spool.
pub(super) async fn fetch(
    connection: &Connection,
    object: &Object,
    reservation: Reservation,
    beat: &Beat,
) -> Result<SpooledObject, SourceError> {
    let fail = |failure| SourceError::fetch(object, failure);
    let answer = get(connection, object, 0).await.map_err(fail)?;
    check_answer(object, &answer, 0).map_err(fail)?;
    let stored = Stored::of(object, &answer);
    let mut writer = reservation.write(stored.digests()).map_err(|error| SourceError::spool(object, error))?;
    let pieces = copy(connection, object, answer.body, &mut writer, beat).await?;
    let copy = writer.finish().await.map_err(|error| SourceError::spool(object, error))?;
    stored.verify(object, copy, pieces).await
}

/// Whether a body came in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pieces {
    /// The SDK saw all of it, and verified the checksum if there was one.
    One,
    /// No one has seen all of it yet.
    Several,
}

/// Streams the body, and its continuations where it breaks off.
async fn copy(
    connection: &Connection,
    object: &Object,
    body: ByteStream,
    writer: &mut SpoolWriter,
    beat: &Beat,
) -> Result<Pieces, SourceError> {
    let fail = |failure| SourceError::fetch(object, failure);
    let (mut pieces, mut start, mut resumes) = (Pieces::One, 0, 0);
    let mut broken = drain(object, body, writer, beat).await?;
    while let Some(failure) = broken {
        pieces = Pieces::Several;
        if failure.kind == FailureKind::Corrupt {
            return Err(fail(failure));
        }
        if writer.written() == object.size {
            // What broke off came after the last byte.
            break;
        }
        if writer.written() - start >= PROGRESS {
            resumes = 0;
        }
        if resumes >= RESUMES {
            return Err(fail(failure));
        }
        tokio::time::sleep(PAUSE * (1 << resumes)).await;
        (start, resumes) = (writer.written(), resumes + 1);
        broken = match get(connection, object, start).await {
            Ok(answer) => {
                check_answer(object, &answer, start).map_err(fail)?;
                drain(object, answer.body, writer, beat).await?
            }
            Err(failure) if passes(&failure.kind) => Some(failure),
            Err(failure) => return Err(fail(failure)),
        };
    }
    Ok(pieces)
}

/// Streams until the body ends; says how it broke off, if it did.
async fn drain(
    object: &Object,
    mut body: ByteStream,
    writer: &mut SpoolWriter,
    beat: &Beat,
) -> Result<Option<Failure>, SourceError> {
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => {
                writer.write(chunk).await.map_err(|error| SourceError::spool(object, error))?;
                beat.beat();
            }
            Err(error) => return Ok(Some(broken(&error))),
        }
    }
    let missing = object.size.saturating_sub(writer.written());
    Ok((missing > 0).then(|| Failure::new(FailureKind::Broken).with_message(format!("{missing} bytes are missing"))))
}

/// Whether a continuation that failed like this is worth asking for again.
fn passes(kind: &FailureKind) -> bool {
    matches!(kind, FailureKind::Network | FailureKind::Server | FailureKind::Throttled | FailureKind::Broken)
}

fn broken(error: &(dyn Error + 'static)) -> Failure {
    let mut cause = Some(error);
    let mut words = Vec::new();
    while let Some(error) = cause {
        if error.is::<validate::Error>() {
            return Failure::new(FailureKind::Corrupt).with_message("the server's checksum does not fit");
        }
        words.push(error.to_string());
        cause = error.source();
    }
    Failure::new(FailureKind::Broken).with_message(words.join(": "))
}

/// Asks for the object from `start` on. Of the whole, the server's checksum too, which the SDK then verifies.
async fn get(connection: &Connection, object: &Object, start: u64) -> Result<GetObjectOutput, Failure> {
    let request = connection
        .client
        .get_object()
        .bucket(object.bucket.as_str())
        .key(object.key.as_str())
        .if_match(format!("\"{}\"", object.etag));
    let request = match start {
        0 => request.checksum_mode(ChecksumMode::Enabled),
        _ => request.range(format!("bytes={start}-")),
    };
    connection.send(|| request.clone().send()).await
}

/// Not every server heeds `If-Match` and `Range`, so what comes is compared before it is taken.
fn check_answer(object: &Object, answer: &GetObjectOutput, start: u64) -> Result<(), Failure> {
    if answer.e_tag().and_then(unquoted).is_some_and(|etag| etag != object.etag) {
        return Err(Failure::new(FailureKind::Changed));
    }
    let expected = object.size - start;
    let announced = answer.content_length().and_then(|length| u64::try_from(length).ok());
    if announced.is_some_and(|announced| announced != expected) {
        let announced = announced.unwrap_or_default();
        return Err(Failure::new(FailureKind::Corrupt)
            .with_message(format!("the server announces {announced} bytes and listed {expected}")));
    }
    let begins = || answer.content_range()?.strip_prefix("bytes ")?.split_once('-')?.0.parse::<u64>().ok();
    if start > 0 && begins() != Some(start) {
        return Err(Failure::new(FailureKind::Corrupt)
            .with_message("the server does not give the rest of a body that broke off"));
    }
    Ok(())
}

/// What the server says of the stored bytes, to compare with what arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    md5: Option<[u8; 16]>,
    checksum: Option<Checksum>,
}

/// A checksum of the whole object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Checksum {
    algorithm: ChecksumAlgorithm,
    value: Vec<u8>,
}

impl Stored {
    fn of(object: &Object, answer: &GetObjectOutput) -> Self {
        let by_kms = matches!(
            answer.server_side_encryption(),
            Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
        );
        let by_customer = answer.sse_customer_algorithm().is_some();
        let md5 = if by_kms || by_customer { None } else { md5_of(&object.etag) };
        Self { md5, checksum: Checksum::of(answer) }
    }

    fn digests(&self) -> Digests {
        match self.md5 {
            Some(_) => Digests::ContentAndMd5,
            None => Digests::Content,
        }
    }

    async fn verify(self, object: &Object, copy: SpooledObject, pieces: Pieces) -> Result<SpooledObject, SourceError> {
        let corrupt =
            |message| Err(SourceError::fetch(object, Failure::new(FailureKind::Corrupt).with_message(message)));
        if copy.size() != object.size {
            return corrupt("there are more bytes than were listed");
        }
        if self.md5.is_some() && copy.md5() != self.md5 {
            return corrupt("the MD5 is not that of the ETag");
        }
        let Some(checksum) = self.checksum.filter(|_| pieces == Pieces::Several) else {
            return Ok(copy);
        };
        let path = copy.path().to_owned();
        let unreadable = |source| SourceError::spool(object, SpoolError::Read { path, source });
        let computed = tokio::task::spawn_blocking(move || {
            let found = digest(File::open(copy.path())?, checksum.algorithm.into_impl())?;
            Ok((copy, found == checksum.value))
        });
        let ended = |_| io::Error::other("a thread of ours ended unexpectedly");
        match computed.await.map_err(ended).flatten().map_err(unreadable)? {
            (copy, true) => Ok(copy),
            (_, false) => corrupt("the server's checksum does not fit"),
        }
    }
}

fn digest(mut file: impl Read, mut checksum: Box<dyn aws_smithy_checksums::http::HttpChecksum>) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        match buffer.get(..read) {
            Some([]) | None => return Ok(checksum.finalize().to_vec()),
            Some(bytes) => checksum.update(bytes),
        }
    }
}

impl Checksum {
    /// The first that the server gives; none of a checksum of parts, which says nothing of the whole.
    fn of(answer: &GetObjectOutput) -> Option<Self> {
        [
            ("crc64nvme", answer.checksum_crc64_nvme()),
            ("crc32c", answer.checksum_crc32_c()),
            ("crc32", answer.checksum_crc32()),
            ("sha256", answer.checksum_sha256()),
            ("sha1", answer.checksum_sha1()),
        ]
        .into_iter()
        .find_map(|(name, text)| {
            let value = STANDARD.decode(text?).ok()?;
            let algorithm = ChecksumAlgorithm::from_str(name).ok()?;
            Some(Self { algorithm, value })
        })
    }
}

/// The MD5 that an ETag is: of one part, and not of encrypted bytes, which the caller knows.
fn md5_of(etag: &ETag) -> Option<[u8; 16]> {
    let digits = etag.as_str().as_bytes();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u128::from_str_radix(etag.as_str(), 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod stalled_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_an_md5_only_where_it_looks_like_one() {
        let etag = |text: &str| text.parse::<ETag>().unwrap();
        let md5 = md5_of(&etag("d41d8cd98f00b204e9800998ecf8427e")).unwrap();
        assert_eq!((md5[0], md5[15]), (0xd4, 0x7e));
        for other in ["d41d8cd98f00b204e9800998ecf8427e-2", "+41d8cd98f00b204e9800998ecf8427e", "abc", "z"] {
            assert_eq!(md5_of(&etag(other)), None, "{other}");
        }
    }

    fn object(size: u64) -> Object {
        Object {
            connection: "acme".parse().unwrap(),
            bucket: "exports".parse().unwrap(),
            key: "a.csv".parse().unwrap(),
            etag: "d41d8cd98f00b204e9800998ecf8427e".parse().unwrap(),
            size,
            last_modified: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn md5_is_not_expected_of_what_is_encrypted_by_key() {
        let answer = GetObjectOutput::builder;
        let md5 = |answer: GetObjectOutput| Stored::of(&object(1), &answer).md5;
        assert!(md5(answer().build()).is_some());
        assert!(md5(answer().server_side_encryption(ServerSideEncryption::Aes256).build()).is_some());
        assert!(md5(answer().server_side_encryption(ServerSideEncryption::AwsKms).build()).is_none());
        assert!(md5(answer().sse_customer_algorithm("AES256").build()).is_none());
    }

    #[test]
    fn checksums_of_parts_are_not_compared() {
        let of = |text: &str| Checksum::of(&GetObjectOutput::builder().checksum_crc32(text).build());
        assert_eq!(of("AAAAAA==").unwrap().value, [0; 4]);
        assert_eq!(of("AAAAAA==-3"), None);
    }

    #[test]
    fn answers_of_servers_that_do_not_heed_conditions_are_refused() {
        let kind =
            |answer: GetObjectOutput, start| check_answer(&object(10), &answer, start).err().map(|found| found.kind);
        let answer = GetObjectOutput::builder;
        assert_eq!(kind(answer().build(), 0), None);
        assert_eq!(kind(answer().e_tag("\"d41d8cd98f00b204e9800998ecf8427e\"").content_length(10).build(), 0), None);
        assert_eq!(kind(answer().e_tag("\"other\"").build(), 0), Some(FailureKind::Changed));
        assert_eq!(kind(answer().content_length(11).build(), 0), Some(FailureKind::Corrupt));
        assert_eq!(kind(answer().content_length(10).build(), 4), Some(FailureKind::Corrupt));
        assert_eq!(kind(answer().content_length(6).build(), 4), Some(FailureKind::Corrupt));
        assert_eq!(kind(answer().content_length(6).content_range("bytes 4-9/10").build(), 4), None);
    }
}

//! Testing a connection: what its credentials may do, told apart.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use serde::{Serialize, Serializer};

use crate::object::{BucketName, Object, ObjectKey};

use super::error::{Failure, FailureKind};
use super::listing::sample;
use super::{Connection, S3Source, SourceError};

/// Keys shown at most.
const SAMPLES: usize = 10;

/// What a test of a connection found.
#[derive(Debug, Serialize)]
pub struct Probe {
    /// The bucket it was tried on.
    pub bucket: BucketName,
    /// The prefix it was tried below.
    pub prefix: String,
    /// Whether bucket and prefix can be listed: `s3:ListBucket` on the bucket.
    pub list: Verdict,
    /// Whether an object can be read: `s3:GetObject` on the prefix.
    pub read: Verdict,
    /// Whether it can be decrypted: `kms:Decrypt` on the object's key.
    pub decrypt: Verdict,
    /// Up to ten keys, those that would be ingested first.
    pub samples: Vec<ObjectKey>,
}

impl Probe {
    /// Whether nothing was refused.
    pub fn is_sound(&self) -> bool {
        [&self.list, &self.read, &self.decrypt].iter().all(|verdict| !matches!(verdict, Verdict::Refused(_)))
    }
}

/// The answer to one question of a test.
#[derive(Debug)]
pub enum Verdict {
    /// It works.
    Granted,
    /// It does not; the error's hint names the permission.
    Refused(SourceError),
    /// It could not be tried, because of this.
    Untried(&'static str),
}

/// `"granted"`, `{"refused": {"message": …, "hint": …}}`, or null where it could not be tried.
impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Refused {
            message: String,
            hint: Option<String>,
        }
        match self {
            Self::Granted => serializer.serialize_unit_variant("Verdict", 0, "granted"),
            Self::Refused(error) => {
                let refused = Refused { message: error.to_string(), hint: error.hint() };
                serializer.serialize_newtype_variant("Verdict", 1, "refused", &refused)
            }
            Self::Untried(_) => serializer.serialize_none(),
        }
    }
}

impl S3Source {
    /// Lists one page and reads one byte of one object; of the next one where that is archived, or gone since. Writes
    /// nothing (I7).
    pub async fn probe(&self) -> Probe {
        let (list, objects) = match sample(self).await {
            Ok((mut ingestible, others)) => {
                ingestible.extend(others);
                (Verdict::Granted, ingestible)
            }
            Err(error) => (Verdict::Refused(error), Vec::new()),
        };
        let mut verdicts = match &list {
            Verdict::Refused(_) => untried("no key is known, because listing failed"),
            Verdict::Granted | Verdict::Untried(_) => untried("there is no object to read"),
        };
        for object in objects.iter().take(SAMPLES) {
            verdicts = self.read_one(object).await;
            if !is_of_the_object(&verdicts.0) {
                break;
            }
        }
        let (read, decrypt) = verdicts;
        let samples = objects.into_iter().take(SAMPLES).map(|object| object.key).collect();
        Probe { bucket: self.bucket.clone(), prefix: self.prefix.clone(), list, read, decrypt, samples }
    }

    /// Reads the first byte. A refusal says by itself whether it is the key's only sometimes; that the head can be read
    /// and the byte cannot says so always, because only the body is encrypted.
    async fn read_one(&self, object: &Object) -> (Verdict, Verdict) {
        let Connection { client, identity, .. } = &self.connection;
        let request = client.get_object().bucket(object.bucket.as_str()).key(object.key.as_str()).range("bytes=0-0");
        let Err(failure) = identity.send(|| request.clone().send()).await else {
            return (Verdict::Granted, Verdict::Granted);
        };
        let refused = |failure| Verdict::Refused(SourceError::fetch(object, failure));
        match failure.kind {
            FailureKind::Kms => (Verdict::Granted, refused(failure)),
            FailureKind::Denied if self.head(object).await.is_some_and(|head| head.ssekms_key_id().is_some()) => {
                (Verdict::Granted, refused(Failure { kind: FailureKind::Kms, ..failure }))
            }
            _ => (refused(failure), Verdict::Untried("no object could be read")),
        }
    }

    async fn head(&self, object: &Object) -> Option<HeadObjectOutput> {
        let Connection { client, identity, .. } = &self.connection;
        let request = client.head_object().bucket(object.bucket.as_str()).key(object.key.as_str());
        identity.send(|| request.clone().send()).await.ok()
    }
}

/// Whether a refusal says something of that object alone, and nothing of what may be read.
fn is_of_the_object(verdict: &Verdict) -> bool {
    let Verdict::Refused(SourceError::Fetch { failure, .. }) = verdict else { return false };
    matches!(failure.kind, FailureKind::Gone | FailureKind::Archived)
}

fn untried(why: &'static str) -> (Verdict, Verdict) {
    (Verdict::Untried(why), Verdict::Untried(why))
}

//! A client that writes, which the daemon's own never does.

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region, RequestChecksumCalculation};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

/// The bucket with which readiness is tried.
const READY: &str = "gristmill-ready";

/// Stores, deletes and lists objects of an S3 server.
#[derive(Debug, Clone)]
pub struct Admin {
    client: Client,
}

impl Admin {
    /// A client of this server.
    pub fn new(endpoint: &str, access_key: &str, secret_key: &str) -> Self {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .force_path_style(true)
            .credentials_provider(Credentials::new(access_key, secret_key, None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            // Not every server knows the checksums that are sent by default.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .build();
        Self { client: Client::from_conf(config) }
    }

    /// Whether the server can make a bucket and store an object.
    pub(super) async fn is_ready(&self) -> bool {
        let made = self.client.create_bucket().bucket(READY).send().await;
        let stored = self.client.put_object().bucket(READY).key("ready").body(b"x".to_vec().into()).send().await;
        // It may have been made by an attempt whose object was refused.
        stored.is_ok() && (made.is_ok() || self.client.head_bucket().bucket(READY).send().await.is_ok())
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn create_bucket(&self, bucket: &str) {
        let answer = self.client.create_bucket().bucket(bucket).send().await;
        answer.unwrap_or_else(|error| panic!("cannot create `{bucket}`: {error:?}"));
    }

    /// Stores an object at once; gives its ETag without quotes.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn put(&self, bucket: &str, key: &str, content: impl Into<Vec<u8>>) -> String {
        let request = self.client.put_object().bucket(bucket).key(key).body(content.into().into());
        let answer = request.send().await.unwrap_or_else(|error| panic!("cannot put `{key}`: {error:?}"));
        answer.e_tag().unwrap_or_default().trim_matches('"').to_owned()
    }

    /// Stores an object in parts, of which all but the last have at least 5 MiB; gives its ETag without quotes.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn put_parts(&self, bucket: &str, key: &str, parts: &[&[u8]]) -> String {
        let begun = self.client.create_multipart_upload().bucket(bucket).key(key).send().await;
        let begun = begun.unwrap_or_else(|error| panic!("cannot begin `{key}`: {error:?}"));
        let upload = begun.upload_id().unwrap_or_default();
        let mut whole = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip(parts) {
            let request = self.client.upload_part().bucket(bucket).key(key).upload_id(upload).part_number(number);
            let answer = request.body(part.to_vec().into()).send().await;
            let answer = answer.unwrap_or_else(|error| panic!("cannot put part {number} of `{key}`: {error:?}"));
            let part = CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag().map(str::to_owned));
            whole = whole.parts(part.build());
        }
        let request = self.client.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload);
        let answer = request.multipart_upload(whole.build()).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("cannot complete `{key}`: {error:?}"));
        answer.e_tag().unwrap_or_default().trim_matches('"').to_owned()
    }

    /// Removes an object.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn delete(&self, bucket: &str, key: &str) {
        let answer = self.client.delete_object().bucket(bucket).key(key).send().await;
        answer.unwrap_or_else(|error| panic!("cannot delete `{key}`: {error:?}"));
    }
}

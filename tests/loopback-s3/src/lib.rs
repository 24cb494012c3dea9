//! S3 on loopback.

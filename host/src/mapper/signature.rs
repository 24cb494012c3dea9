//! Whether a component was signed by somebody whom the configuration trusts, in minisign's format: what the pinned digest
//! says of the file, a signature says of the person who answers for it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use minisign_verify::{PublicKey, Signature};

use super::MapperError;
use crate::object::SignerKey;

/// A signature file and the keys that it may be of.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The signature's file, as `minisign -S` writes it.
    pub signature: &'a Path,
    /// Whoever is trusted.
    pub by: &'a [SignerKey],
}

/// The largest signature file that is read, in bytes; its comments are the only part without a length.
const MAX_BYTES: u64 = 16 << 10;

impl Signed<'_> {
    /// Whether one of the keys signed these bytes.
    pub(super) fn verify(self, bytes: &[u8]) -> Result<(), MapperError> {
        let mut text = Vec::new();
        let read = File::open(self.signature).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text));
        let path = self.signature.to_owned();
        read.map_err(|source| MapperError::Io { what: "read the signature", path, source })?;
        verify_signature(self.signature, &String::from_utf8_lossy(&text), self.by, bytes)
    }
}

/// Whether one of the keys signed these bytes, by the text of a signature file.
pub fn verify_signature(path: &Path, text: &str, by: &[SignerKey], bytes: &[u8]) -> Result<(), MapperError> {
    let refused = |reason: String| MapperError::Unsigned { path: path.to_owned(), reason };
    let signature = Signature::decode(text).map_err(|_| refused("it is no signature".to_owned()))?;
    let mut reason = "none of the keys in `signed_by` signed it".to_owned();
    for key in by {
        let verified = PublicKey::from_base64(key.as_str()).and_then(|key| key.verify(bytes, &signature, false));
        match verified {
            Ok(()) => return Ok(()),
            Err(minisign_verify::Error::UnexpectedKeyId) => {}
            Err(minisign_verify::Error::UnexpectedAlgorithm) => {
                reason = "it is of minisign's old kind: sign again with `minisign -S -H`".to_owned();
            }
            Err(_) => reason = "it is of another file, or was changed".to_owned(),
        }
    }
    Err(refused(reason))
}

/// Where the signature of a component stands if nothing else is said.
pub fn signature_beside(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}

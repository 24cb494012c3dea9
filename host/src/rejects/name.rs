//! What a reject file is called. Whatever a key holds, its name is one plain file name below the integration's folder,
//! and two keys never share one.

use std::path::PathBuf;

use crate::object::{Identity, Object};

/// A longer key is cut, and told apart by its digest. A file name has at most 255 bytes.
const LONGEST_KEY: usize = 160;
/// Enough of an ETag to tell a key's versions apart.
const ETAG: usize = 12;

/// The path below the directory of reject files.
pub(super) fn of(identity: &Identity, object: &Object, sheet: Option<u32>) -> PathBuf {
    let sheet = sheet.map(|table| format!(".sheet-{}", u64::from(table) + 1)).unwrap_or_default();
    let etag: String = object.etag.as_str().chars().filter(char::is_ascii_alphanumeric).take(ETAG).collect();
    let name = format!("{}.{etag}.g{}{sheet}.rejects.csv", escaped(object.key.as_str()), identity.generation.0);
    PathBuf::from(identity.integration.as_str()).join(name)
}

/// Letters, digits, `.`, `_` and `-` stand for themselves, every other byte is `%` and two hexadecimal digits.
fn escaped(key: &str) -> String {
    let mut name = String::new();
    for (place, byte) in key.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && place > 0);
        if is_plain {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    if name.len() > LONGEST_KEY {
        // All ASCII by now. `~` stands in no escaped key.
        let digest = blake3::hash(key.as_bytes()).to_hex();
        name = format!("~{}~{}", &digest[..16], &name[name.len() - (LONGEST_KEY - 18)..]);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_becomes_one_harmless_file_name() {
        let cases = [
            ("daily/accounts.csv", "daily%2Faccounts.csv"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
            ("..", "%2E."),
            ("a b+ü\u{0}%", "a%20b%2B%C3%BC%00%25"),
        ];
        for (key, expected) in cases {
            assert_eq!(escaped(key), expected, "{key:?}");
        }
        let (one, other) = (escaped(&format!("1{}", "/".repeat(1_000))), escaped(&format!("2{}", "/".repeat(1_000))));
        assert_ne!(one, other);
        assert!(one.len() <= LONGEST_KEY);
    }
}

//! What a reject file is called. Whatever a key holds, its name is one plain file name below the integration's folder,
//! and two keys never share one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

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

/// The reject files of an integration, by the key that is in their names.
#[derive(Debug)]
pub struct FilesByKey {
    directory: PathBuf,
    /// What follows the key in each name.
    files: BTreeMap<String, Vec<String>>,
}

impl FilesByKey {
    /// Those of a directory; none where there is no such directory.
    ///
    /// # Errors
    /// What reading it met.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let mut all = Self { directory: directory.to_owned(), files: BTreeMap::new() };
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
            entries => entries?,
        };
        for entry in entries {
            if let Some((key, behind)) = entry?.file_name().to_str().and_then(split) {
                all.files.entry(key.to_owned()).or_default().push(behind.to_owned());
            }
        }
        Ok(all)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Gives those of one key the names of another.
    ///
    /// # Errors
    /// What renaming them met. What was renamed stays so.
    pub fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (escaped(from), escaped(to));
        let Some(files) = self.files.remove(&from) else { return Ok(()) };
        for behind in &files {
            fs::rename(self.directory.join(format!("{from}{behind}")), self.directory.join(format!("{to}{behind}")))?;
        }
        self.files.entry(to).or_default().extend(files);
        Ok(())
    }
}

/// The key in a name, as it stands there, and the rest: `.{etag}.g{generation}[.sheet-{number}].rejects.csv`.
fn split(name: &str) -> Option<(&str, &str)> {
    let parts = name.strip_suffix(".rejects.csv")?;
    let parts = match parts.rsplit_once('.') {
        Some((before, sheet)) if sheet.starts_with("sheet-") => before,
        Some(_) | None => parts,
    };
    let (parts, generation) = parts.rsplit_once('.')?;
    generation.strip_prefix('g')?.parse::<u32>().ok()?;
    let (key, _) = parts.rsplit_once('.')?;
    name.split_at_checked(key.len())
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
    use crate::object::{ETag, Generation, IntegrationName};

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

    /// R17
    #[test]
    fn files_get_the_names_of_another_key_and_keep_what_follows_it() {
        let directory = tempfile::tempdir().unwrap();
        let long = format!("old/{}.csv", "x/".repeat(90));
        let (integration, etag): (IntegrationName, ETag) = ("i".parse().unwrap(), "0-1".parse().unwrap());
        let named = |key: &str, generation, sheet| {
            let object = Object {
                connection: "c".parse().unwrap(),
                bucket: "b".parse().unwrap(),
                key: key.parse().unwrap(),
                etag: etag.clone(),
                size: 1,
                last_modified: jiff::Timestamp::UNIX_EPOCH,
            };
            let generation = Generation(generation);
            let identity = Identity { integration: integration.clone(), dedup_key: object.dedup_key(), generation };
            of(&identity, &object, sheet)
        };
        let all = [("old/a.g1.csv", 0, None), ("old/a.g1.csv", 2, Some(3)), (long.as_str(), 0, None), ("a", 0, None)];
        fs::create_dir(directory.path().join("i")).unwrap();
        for (key, generation, sheet) in all {
            fs::write(directory.path().join(named(key, generation, sheet)), "").unwrap();
        }
        let mut files = FilesByKey::read(&directory.path().join("i")).unwrap();
        for key in ["old/a.g1.csv", &long, "old/another"] {
            files.rename(key, &key.replacen("old/", "new/", 1)).unwrap();
        }
        for (key, generation, sheet) in all {
            let name = named(&key.replacen("old/", "new/", 1), generation, sheet);
            assert!(directory.path().join(&name).exists(), "{}", name.display());
        }
        assert_eq!(directory.path().join("i").read_dir().unwrap().count(), all.len());
    }
}

//! The objects: buckets in memory, and directories shown as buckets. Knows nothing of HTTP.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use md5::{Digest, Md5};
use s3s::crypto::{Checksum, Crc64Nvme};

use crate::Backing;

/// Why the store refuses.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such bucket.
    #[error("there is no bucket `{0}`")]
    NoSuchBucket(String),
    /// There is no such key.
    #[error("there is no key `{0}`")]
    NoSuchKey(String),
    /// A key that cannot be a file below a directory.
    #[error("`{0}` cannot be a file of a bucket that is a directory")]
    Key(String),
    /// A directory refuses.
    #[error("cannot use the bucket's directory")]
    Directory(#[from] io::Error),
}

/// One stored object.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub content: Content,
    pub size: u64,
    pub etag: String,
    pub crc64: [u8; 8],
    pub modified: SystemTime,
}

/// Where an object's bytes are.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Memory(Bytes),
    File(PathBuf),
}

/// Entries of a listing, and whether more follow.
#[derive(Debug)]
pub(crate) struct Listed {
    pub entries: Vec<(String, Arc<Stored>)>,
    pub truncated: bool,
}

#[derive(Debug)]
enum Bucket {
    Memory(BTreeMap<String, Arc<Stored>>),
    Directory(Directory),
}

#[derive(Debug)]
pub(crate) struct Store {
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

impl Store {
    pub fn new(buckets: Vec<(String, Backing)>) -> Self {
        let bucket = |backing| match backing {
            Backing::Memory => Bucket::Memory(BTreeMap::new()),
            Backing::Directory(root) => Bucket::Directory(Directory { root, ..Directory::default() }),
        };
        let buckets = buckets.into_iter().map(|(name, backing)| (name, bucket(backing))).collect();
        Self { buckets: Mutex::new(buckets) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, bucket: &str, run: impl FnOnce(&mut Bucket) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match self.lock().get_mut(bucket) {
            Some(found) => run(found),
            None => Err(StoreError::NoSuchBucket(bucket.to_owned())),
        }
    }

    pub fn buckets(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    pub fn create(&self, bucket: &str) {
        self.lock().entry(bucket.to_owned()).or_insert_with(|| Bucket::Memory(BTreeMap::new()));
    }

    pub fn put(&self, bucket: &str, key: &str, content: Bytes) -> Result<String, StoreError> {
        let etag = hex(&Md5::digest(&content));
        self.insert(bucket, key, content, etag)
    }

    pub fn put_parts(&self, bucket: &str, key: &str, parts: &[Bytes]) -> Result<String, StoreError> {
        let digests: Vec<u8> = parts.iter().flat_map(Md5::digest).collect();
        let etag = format!("{}-{}", hex(&Md5::digest(digests)), parts.len());
        self.insert(bucket, key, parts.concat().into(), etag)
    }

    fn insert(&self, bucket: &str, key: &str, content: Bytes, etag: String) -> Result<String, StoreError> {
        self.with(bucket, |bucket| {
            match bucket {
                Bucket::Memory(objects) => {
                    let crc64 = Crc64Nvme::checksum(&content);
                    let (size, modified) = (content.len() as u64, whole_seconds(SystemTime::now()));
                    let stored =
                        Stored { content: Content::Memory(content), size, etag: etag.clone(), crc64, modified };
                    objects.insert(key.to_owned(), Arc::new(stored));
                }
                Bucket::Directory(directory) => directory.put(key, &content, etag.clone())?,
            }
            Ok(etag)
        })
    }

    pub fn get(&self, bucket: &str, key: &str) -> Result<Arc<Stored>, StoreError> {
        self.with(bucket, |bucket| {
            let found = match bucket {
                Bucket::Memory(objects) => objects.get(key).map(Arc::clone),
                Bucket::Directory(directory) => directory.get(key)?,
            };
            found.ok_or_else(|| StoreError::NoSuchKey(key.to_owned()))
        })
    }

    pub fn delete(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        self.with(bucket, |bucket| {
            match bucket {
                Bucket::Memory(objects) => {
                    objects.remove(key);
                }
                Bucket::Directory(directory) => match fs::remove_file(directory.path(key)?) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                    _ => {}
                },
            }
            Ok(())
        })
    }

    pub fn set_last_modified(&self, bucket: &str, key: &str, time: SystemTime) -> Result<(), StoreError> {
        self.with(bucket, |bucket| match bucket {
            Bucket::Memory(objects) => {
                let stored = objects.get_mut(key).ok_or_else(|| StoreError::NoSuchKey(key.to_owned()))?;
                Arc::make_mut(stored).modified = whole_seconds(time);
                Ok(())
            }
            Bucket::Directory(directory) => {
                Ok(File::options().write(true).open(directory.path(key)?)?.set_modified(time)?)
            }
        })
    }

    /// Up to `most` keys with this prefix, in byte order. `after` is a key to start after; a directory is read anew
    /// only where there is none, so that one listing sees one state of it.
    pub fn list(&self, bucket: &str, prefix: &str, after: Option<&str>, most: usize) -> Result<Listed, StoreError> {
        self.with(bucket, |bucket| {
            let objects = match bucket {
                Bucket::Memory(objects) => objects,
                Bucket::Directory(directory) => directory.objects(after.is_none())?,
            };
            let start = match after {
                Some(after) if after >= prefix => Bound::Excluded(after),
                _ => Bound::Included(prefix),
            };
            let mut found = objects
                .range::<str, _>((start, Bound::Unbounded))
                .take_while(|(key, _)| key.starts_with(prefix))
                .map(|(key, stored)| (key.clone(), Arc::clone(stored)));
            let entries: Vec<_> = found.by_ref().take(most).collect();
            Ok(Listed { entries, truncated: found.next().is_some() })
        })
    }
}

/// A directory shown as a bucket: keys are paths below it.
#[derive(Debug, Default)]
struct Directory {
    root: PathBuf,
    /// What the last listing saw.
    seen: BTreeMap<String, Arc<Stored>>,
    /// ETags of objects put in parts, which their bytes do not tell; by key, with the MD5 of the whole.
    parts: HashMap<String, (String, String)>,
}

/// The beginning of the names of files in the making.
const UNFINISHED: &str = ".unfinished-";

impl Directory {
    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        let path = Path::new(key);
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let same = path.components().collect::<PathBuf>().as_os_str() == path.as_os_str();
        if plain && same && !key.is_empty() && !key.contains('\0') {
            Ok(self.root.join(path))
        } else {
            Err(StoreError::Key(key.to_owned()))
        }
    }

    fn put(&mut self, key: &str, content: &[u8], etag: String) -> Result<(), StoreError> {
        let path = self.path(key)?;
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        let unfinished = folder.join(format!("{UNFINISHED}{}", hex(&Md5::digest(key))));
        fs::write(&unfinished, content)?;
        fs::rename(unfinished, path)?;
        self.parts.insert(key.to_owned(), (hex(&Md5::digest(content)), etag));
        Ok(())
    }

    fn get(&mut self, key: &str) -> Result<Option<Arc<Stored>>, StoreError> {
        let Ok(path) = self.path(key) else { return Ok(None) };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(self.stored(key.to_owned(), path, &metadata)?)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn objects(&mut self, anew: bool) -> Result<&BTreeMap<String, Arc<Stored>>, StoreError> {
        if anew {
            let mut files = Vec::new();
            walk(&self.root, &mut files)?;
            let mut seen = BTreeMap::new();
            for path in files {
                let key = path.strip_prefix(&self.root).ok().and_then(Path::to_str).map(str::to_owned);
                // A file may have gone since the walk.
                if let (Some(key), Ok(metadata)) = (key, fs::metadata(&path)) {
                    let stored = self.stored(key.clone(), path, &metadata)?;
                    seen.insert(key, stored);
                }
            }
            self.seen = seen;
        }
        Ok(&self.seen)
    }

    /// The object that a file is, its digests taken only where size or time differ from what was seen.
    fn stored(&mut self, key: String, path: PathBuf, metadata: &fs::Metadata) -> io::Result<Arc<Stored>> {
        let (size, modified) = (metadata.len(), metadata.modified()?);
        let same = |seen: &&Arc<Stored>| seen.size == size && seen.modified == modified;
        if let Some(seen) = self.seen.get(&key).filter(same) {
            return Ok(Arc::clone(seen));
        }
        let (md5, crc64) = digests(&path)?;
        let etag = match self.parts.get(&key) {
            Some((whole, etag)) if *whole == md5 => etag.clone(),
            _ => md5,
        };
        let stored = Arc::new(Stored { content: Content::File(path), size, etag, crc64, modified });
        self.seen.insert(key, Arc::clone(&stored));
        Ok(stored)
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let unfinished = entry.file_name().to_str().is_none_or(|name| name.starts_with(UNFINISHED));
        if kind.is_dir() {
            walk(&entry.path(), files)?;
        } else if kind.is_file() && !unfinished {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn digests(path: &Path) -> io::Result<(String, [u8; 8])> {
    let mut file = File::open(path)?;
    let (mut md5, mut crc64) = (Md5::new(), Crc64Nvme::new());
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hex(&md5.finalize()), crc64.finalize())),
            read => {
                let bytes = buffer.get(..read).unwrap_or_default();
                md5.update(bytes);
                crc64.update(bytes);
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

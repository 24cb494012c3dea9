//! An S3-compatible server on loopback, for the demo and the tests. Never shipped.
//!
//! `store` holds buckets in memory or shows directories as buckets; `operations` speaks S3 over it; `faults` stands in
//! front and does what real servers do on bad days: refusals, broken and altered bodies, objects that change between
//! listing and reading. Requests are signed (SigV4) with the key pair of the [`Config`], one that was added to it, or with temporary credentials
//! that were obtained with it at the same address: by AssumeRole of STS (`sts`) or by GetDataAccess of S3
//! Access Grants (`access_grants`). `issuer` knows them again, and ends them
//! when it is told to.
//!
//! ETags are those of S3: the MD5 of an object put at once, the MD5 of the parts' MD5s with `-N` for one put in parts.
//! Keys list in byte order. Last-modified has whole seconds. There are no versions, permissions or regions.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::oneshot;

mod access_grants;
mod faults;
mod issuer;
mod operations;
mod serve;
mod signature;
mod store;
mod sts;

pub use faults::{Fault, Faults, Operation};
pub use issuer::Issuer;
use store::Store;
pub use store::StoreError;

/// What to serve.
#[derive(Clone)]
pub struct Config {
    /// The access key id that requests must carry.
    pub access_key: String,
    /// The secret that they must be signed with.
    pub secret_key: String,
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Buckets that exist from the start.
    pub buckets: Vec<(String, Backing)>,
}

impl Config {
    /// One empty bucket in memory and a free port, with the key pair `loopback` and `loopback-secret`.
    pub fn with_bucket(name: &str) -> Self {
        Self {
            access_key: "loopback".to_owned(),
            secret_key: "loopback-secret".to_owned(),
            port: 0,
            buckets: vec![(name.to_owned(), Backing::Memory)],
        }
    }
}

/// Where a bucket's objects are.
#[derive(Debug, Clone)]
pub enum Backing {
    /// In this process.
    Memory,
    /// The files below a directory, read anew for each listing: a file replaced on disk is a changed object.
    Directory(PathBuf),
}

/// A running server. It has a thread of its own, so that synchronous tests can use it, and ends when dropped.
pub struct Server {
    address: SocketAddr,
    store: Arc<Store>,
    faults: Faults,
    issuer: Issuer,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts serving; requests are answered from the moment this returns.
    ///
    /// # Errors
    /// What the system says about the port or the thread.
    pub fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let store = Arc::new(Store::new(config.buckets));
        let faults = Faults::new(Arc::clone(&store));
        let issuer = Issuer::new(&config.access_key, &config.secret_key);
        let service = operations::service(Arc::clone(&store), issuer.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = serve::serve(listener, service, faults.clone(), issuer.clone(), stopped);
        let thread = std::thread::Builder::new().name("loopback-s3".to_owned()).spawn(move || {
            runtime.block_on(serving);
            // Requests still open are of no interest to anyone.
            runtime.shutdown_background();
        })?;
        Ok(Self { address, store, faults, issuer, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What goes wrong, to order.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Who gives out temporary credentials.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Stores an object at once; gives its ETag without quotes.
    ///
    /// # Errors
    /// When there is no such bucket, or its directory refuses.
    pub fn put(&self, bucket: &str, key: &str, content: impl Into<Bytes>) -> Result<String, StoreError> {
        self.store.put(bucket, key, content.into())
    }

    /// Stores an object in parts; gives its ETag, which ends in `-N`.
    ///
    /// # Errors
    /// When there is no such bucket, or its directory refuses.
    pub fn put_parts(&self, bucket: &str, key: &str, parts: &[Bytes]) -> Result<String, StoreError> {
        self.store.put_parts(bucket, key, parts)
    }

    /// Removes an object; nothing when there is none.
    ///
    /// # Errors
    /// When there is no such bucket, or its directory refuses.
    pub fn delete(&self, bucket: &str, key: &str) -> Result<(), StoreError> {
        self.store.delete(bucket, key)
    }

    /// Sets when an object was stored.
    ///
    /// # Errors
    /// When there is no such bucket or key, or its directory refuses.
    pub fn set_last_modified(&self, bucket: &str, key: &str, time: SystemTime) -> Result<(), StoreError> {
        self.store.set_last_modified(bucket, key, time)
    }

    /// Waits for the server to end, which it does only by itself.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

//! Faults to order: each stands for one thing that real servers, networks and other writers do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::store::Store;

/// The operations that faults are ordered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum Operation {
    ListBuckets,
    ListObjectsV2,
    HeadObject,
    GetObject,
    AssumeRole,
    GetDataAccess,
    ListCallerAccessGrants,
}

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The server answers with an error.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The code: `AccessDenied`.
        code: String,
        /// The message.
        message: String,
        /// Headers of the answer beyond the usual.
        headers: Vec<(String, String)>,
    },
    /// The connection ends without an answer.
    Reset,
    /// The connection ends after so many bytes of the body.
    Truncate {
        /// Bytes that arrive.
        after: u64,
    },
    /// The body stands still after so many bytes, and the connection stays.
    Stall {
        /// Bytes that arrive.
        after: u64,
    },
    /// One byte of the body is another.
    Corrupt {
        /// Its position in the body.
        at: u64,
    },
    /// There is a pause before each piece of the body. A piece has at most 64 KiB.
    Slow {
        /// The pause.
        pause: Duration,
    },
    /// Someone stores other content under the key, just before the request is answered.
    Replace {
        /// The content.
        content: Bytes,
    },
    /// Someone deletes the key, just before the request is answered.
    Delete,
}

impl Fault {
    /// An error with this status, code and message.
    pub fn refuse(status: u16, code: &str, message: &str) -> Self {
        Self::Refuse { status, code: code.to_owned(), message: message.to_owned(), headers: Vec::new() }
    }

    /// What S3 says when it is asked for too much.
    pub fn slow_down() -> Self {
        Self::refuse(503, "SlowDown", "Please reduce your request rate.")
    }

    /// What S3 says when there is no permission.
    pub fn access_denied() -> Self {
        Self::refuse(403, "AccessDenied", "Access Denied")
    }
}

#[derive(Debug)]
struct Order {
    operation: Operation,
    key: Option<String>,
    /// How often it still happens; none for always.
    times: Option<u32>,
    fault: Fault,
}

#[derive(Debug, Default)]
struct Book {
    orders: Vec<Order>,
    seen: HashMap<Operation, u64>,
    allowances: HashMap<String, Allowance>,
}

/// How many requests a second a bucket takes.
#[derive(Debug)]
struct Allowance {
    per_second: f64,
    /// Requests that may come at once now.
    left: f64,
    counted: Instant,
    refused: u64,
}

impl Allowance {
    fn takes_one_more(&mut self) -> bool {
        let gained = self.counted.elapsed().as_secs_f64() * self.per_second;
        (self.left, self.counted) = ((self.left + gained).min(self.per_second), Instant::now());
        let takes = self.left >= 1.0;
        match takes {
            true => self.left -= 1.0,
            false => self.refused += 1,
        }
        takes
    }
}

/// The faults ordered from a server, and its count of requests. Clones share them.
#[derive(Debug, Clone)]
pub struct Faults {
    book: Arc<Mutex<Book>>,
    store: Arc<Store>,
}

impl Faults {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { book: Arc::default(), store }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders a fault for the next `times` requests of an operation. Orders for one request happen in the order in
    /// which they were given, one a request.
    pub fn next(&self, operation: Operation, times: u32, fault: Fault) {
        self.book().orders.push(Order { operation, key: None, times: Some(times), fault });
    }

    /// Orders a fault for the next `times` requests of an operation that name this key.
    pub fn next_of(&self, operation: Operation, key: &str, times: u32, fault: Fault) {
        self.book().orders.push(Order { operation, key: Some(key.to_owned()), times: Some(times), fault });
    }

    /// Orders a fault for every request of an operation that names this key, until [`Faults::clear`].
    pub fn always_of(&self, operation: Operation, key: &str, fault: Fault) {
        self.book().orders.push(Order { operation, key: Some(key.to_owned()), times: None, fault });
    }

    /// Has a bucket take so many requests a second and refuse the others with [`Fault::slow_down`].
    pub fn at_most(&self, bucket: &str, per_second: u32) {
        let per_second = f64::from(per_second);
        let allowance = Allowance { per_second, left: per_second, counted: Instant::now(), refused: 0 };
        self.book().allowances.insert(bucket.to_owned(), allowance);
    }

    /// How many requests for a bucket were more than it takes.
    pub fn too_many(&self, bucket: &str) -> u64 {
        self.book().allowances.get(bucket).map_or(0, |allowance| allowance.refused)
    }

    /// Takes back all orders.
    pub fn clear(&self) {
        self.book().orders.clear();
    }

    /// How many requests of an operation have arrived, those with faults included.
    pub fn seen(&self, operation: Operation) -> u64 {
        self.book().seen.get(&operation).copied().unwrap_or_default()
    }

    /// The fault of a request that has arrived, if one is ordered. What another writer does is done already.
    pub(crate) fn of(&self, operation: Operation, bucket: &str, key: &str) -> Option<Fault> {
        let mut book = self.book();
        *book.seen.entry(operation).or_default() += 1;
        if book.allowances.get_mut(bucket).is_some_and(|allowance| !allowance.takes_one_more()) {
            return Some(Fault::slow_down());
        }
        let fits = |order: &Order| order.operation == operation && order.key.as_deref().is_none_or(|of| of == key);
        let position = book.orders.iter().position(fits)?;
        let order = book.orders.get_mut(position)?;
        let fault = order.fault.clone();
        if let Some(times) = &mut order.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                book.orders.remove(position);
            }
        }
        drop(book);
        match fault {
            // An order for a bucket that is not there has no effect, as a request for it has none.
            Fault::Replace { content } => {
                let _ = self.store.put(bucket, key, content);
                None
            }
            Fault::Delete => {
                let _ = self.store.delete(bucket, key);
                None
            }
            fault => Some(fault),
        }
    }
}

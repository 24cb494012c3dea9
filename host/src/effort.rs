//! The processor time that the files of a tenant take beyond what they warrant, and how they stand back for it.
//!
//! A file warrants some processor time by its size, more than any of its steps needs that does its work well. What a
//! tenant's files take beyond that is its *excess*: a mapper that spends a second on every batch makes nearly nothing
//! else. Excess is forgiven at the pace of the tenant's share of the processors. A tenant that is behind with more than a
//! quarter of a second stands back: the threads of its files go on at the lowest priority, which on an idle machine costs them
//! nothing, and beside another tenant's files leaves these what they need.
//!
//! It uses no other module, and does not know what a mapper is.
//!
//! # Invariants
//!
//! - Files that take what they warrant never stand back, however many and however large: they make no excess.
//! - A thread that stands back does so to its end, for a priority cannot be raised again. So every thread that keeps a
//!   [`Pace`] belongs to one file and ends with it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;
use rustix::time::{ClockId, clock_gettime};

/// What a file warrants whatever its size: an instance of a mapper in a slow language is started and ended.
const WARRANTED: Duration = Duration::from_millis(20);
/// What each mebibyte warrants. Decoded, mapped by compiled code and written as JSON lines, one takes about 5 ms (1.3 M
/// rows of 156 bytes a second); the rest is for slower languages and destinations.
const WARRANTED_PER_MEBIBYTE: Duration = Duration::from_millis(100);
/// The excess from which on a tenant stands back.
const PATIENCE: Duration = Duration::from_millis(250);
/// The most that is remembered: whoever mends a mapper is forgiven within minutes.
const REMEMBERED: Duration = Duration::from_secs(30);
/// The lowest priority there is. A thread of it has about a seventieth of the time of one beside it at the usual one.
const STANDING_BACK: i32 = 19;

/// The priority of work that has a deadline and no hurry: beside a thread at the usual one it has a quarter of the time.
const ASIDE: i32 = 5;

/// Lets this thread, and the processes that it starts, do their work aside. It must end with that work.
pub fn stand_aside() {
    lower_priority(ASIDE);
}

/// Where the system forbids it, the thread goes on as it is.
fn lower_priority(to: i32) {
    let _ = setpriority_process(None, to);
}

/// What all tenants are behind with.
#[derive(Debug, Default)]
pub struct Efforts<Tenant>(Mutex<BTreeMap<Tenant, Effort>>);

impl<Tenant: Ord + Clone> Efforts<Tenant> {
    /// A tenant's, the same whenever it is asked for.
    pub fn of(&self, tenant: &Tenant) -> Effort {
        lock(&self.0).entry(tenant.clone()).or_insert_with(|| Effort(Some(Arc::default()))).clone()
    }

    /// Changes the share of the processors that a tenant is forgiven from now on.
    pub fn change(&self, tenant: &Tenant, share: f64) {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        if let Some(excess) = &self.of(tenant).0 {
            lock(excess).change(share * processors as f64, Instant::now());
        }
    }
}

/// What one tenant is behind with. By default it is nobody's and never behind.
#[derive(Debug, Clone, Default)]
pub struct Effort(Option<Arc<Mutex<Excess>>>);

impl Effort {
    /// That of one file of so many bytes.
    pub fn of_file(&self, bytes: u64) -> FileEffort {
        let mebibytes = bytes as f64 / f64::from(1 << 20);
        let warranted = WARRANTED + WARRANTED_PER_MEBIBYTE.mul_f64(mebibytes);
        FileEffort { tenant: self.clone(), warranted: Arc::new(Mutex::new(warranted)) }
    }

    /// Whether the tenant's files stand back now.
    pub fn stands_back(&self) -> bool {
        self.0.as_ref().is_some_and(|excess| lock(excess).add(Duration::ZERO, Instant::now()).stands_back())
    }
}

/// What one file is behind with, shared by its threads.
#[derive(Debug, Clone)]
pub struct FileEffort {
    tenant: Effort,
    /// What is left of what it warrants.
    warranted: Arc<Mutex<Duration>>,
}

impl FileEffort {
    /// Begins to look at what this thread takes for the file.
    pub fn pace(&self) -> Pace {
        let mut pace = Pace { file: self.clone(), counted: thread_processor_time(), priority: Priority::Usual };
        pace.stand_back_if(self.tenant.stands_back());
        pace
    }

    /// Counts what a thread took.
    fn take(&self, taken: Duration) {
        let excess = {
            let mut warranted = lock(&self.warranted);
            let excess = taken.saturating_sub(*warranted);
            *warranted = warranted.saturating_sub(taken);
            excess
        };
        if let Some(all) = self.tenant.0.as_ref().filter(|_| !excess.is_zero()) {
            lock(all).add(excess, Instant::now());
        }
    }
}

/// What one thread takes for a file. It stays on that thread.
#[derive(Debug)]
pub struct Pace {
    file: FileEffort,
    /// The thread's processor time up to which it is counted.
    counted: Duration,
    priority: Priority,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Priority {
    Usual,
    Lowest,
}

impl Pace {
    /// Counts what the thread took since it was last looked at, and has it stand back if its tenant does.
    pub fn look(&mut self) {
        let now = thread_processor_time();
        self.file.take(now.saturating_sub(std::mem::replace(&mut self.counted, now)));
        self.stand_back_if(self.priority == Priority::Usual && self.file.tenant.stands_back());
    }

    fn stand_back_if(&mut self, behind: bool) {
        if behind {
            lower_priority(STANDING_BACK);
            self.priority = Priority::Lowest;
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.file.take(thread_processor_time().saturating_sub(self.counted));
    }
}

/// Time that is owed, and forgiven at a steady pace.
#[derive(Debug)]
struct Excess {
    owed: Duration,
    /// What is forgiven in a second, in seconds.
    forgiven: f64,
    /// Until when it is forgiven.
    at: Instant,
}

impl Default for Excess {
    fn default() -> Self {
        Self { owed: Duration::ZERO, forgiven: 0.0, at: Instant::now() }
    }
}

impl Excess {
    fn add(&mut self, excess: Duration, now: Instant) -> &Self {
        let forgiven = now.saturating_duration_since(self.at).mul_f64(self.forgiven);
        self.at = self.at.max(now);
        self.owed = self.owed.saturating_sub(forgiven).saturating_add(excess).min(REMEMBERED);
        self
    }

    fn change(&mut self, forgiven: f64, now: Instant) {
        self.add(Duration::ZERO, now);
        self.forgiven = forgiven;
    }

    fn stands_back(&self) -> bool {
        self.owed > PATIENCE
    }
}

/// How much processor time this thread has taken.
pub(crate) fn thread_processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // The clock counts up from zero; both conversions always succeed.
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain values: whoever panicked left them whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_tenant_stands_back_while_it_is_behind_and_no_longer() {
        let began = Instant::now();
        let mut excess = Excess { owed: Duration::ZERO, forgiven: 0.1, at: began };
        assert!(!excess.add(SECOND / 5, began).stands_back(), "a little is borne");
        assert!(excess.add(SECOND, began).stands_back());
        assert!(excess.add(Duration::ZERO, began + 9 * SECOND).stands_back());
        assert!(!excess.add(Duration::ZERO, began + 10 * SECOND).stands_back(), "a tenth of a second for each second");
    }

    #[test]
    fn an_hour_of_excess_is_forgiven_within_minutes() {
        let began = Instant::now();
        let mut excess = Excess { owed: Duration::ZERO, forgiven: 0.1, at: began };
        assert!(excess.add(3600 * SECOND, began).stands_back());
        assert!(!excess.add(Duration::ZERO, began + 300 * SECOND).stands_back());
    }

    #[test]
    fn without_a_share_nothing_is_forgiven_and_a_new_one_holds_from_now_on() {
        let began = Instant::now();
        let mut excess = Excess { owed: Duration::ZERO, forgiven: 0.0, at: began };
        assert!(excess.add(2 * SECOND, began + 3600 * SECOND).stands_back());
        excess.change(1.0, began + 7200 * SECOND);
        assert!(excess.add(Duration::ZERO, began + 7200 * SECOND).stands_back());
        assert!(!excess.add(Duration::ZERO, began + 7202 * SECOND).stands_back(), "a second for each second");
    }

    #[test]
    fn a_file_owes_only_what_it_takes_beyond_its_size_whichever_of_its_threads_took_it() {
        let efforts = Efforts::<&str>::default();
        let acme = efforts.of(&"acme");
        let file = acme.of_file(10 << 20);
        for _ in 0..2 {
            file.take(Duration::from_millis(510));
        }
        assert_eq!(owed(&acme), Duration::ZERO);
        file.clone().take(3 * SECOND);
        assert_eq!(owed(&efforts.of(&"acme")), 3 * SECOND);
        assert!(acme.stands_back());
        assert!(!efforts.of(&"other").stands_back(), "another tenant is not behind for it");
    }

    #[test]
    fn what_is_nobodys_is_never_behind() {
        let effort = Effort::default();
        effort.of_file(0).take(3600 * SECOND);
        assert!(!effort.stands_back());
    }

    /// The priority of the calling thread.
    fn priority() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[test]
    fn threads_of_a_tenant_that_is_behind_have_the_lowest_priority_and_no_others() {
        let usual = priority();
        let efforts = Efforts::<&str>::default();
        let file = efforts.of(&"acme").of_file(0);
        let (before, after, new) = std::thread::scope(|scope| {
            let at_work = scope.spawn(|| {
                let mut pace = file.pace();
                let before = priority();
                file.take(2 * SECOND);
                pace.look();
                (before, priority())
            });
            let (before, after) = at_work.join().unwrap();
            let new = scope.spawn(|| {
                let _pace = efforts.of(&"acme").of_file(1 << 30).pace();
                priority()
            });
            (before, after, new.join().unwrap())
        });
        assert_eq!((before, after, new), (usual, STANDING_BACK, STANDING_BACK));
        let other = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                efforts.of(&"other").of_file(0).pace().look();
                priority()
            });
            other.join().unwrap()
        });
        assert_eq!((other, priority()), (usual, usual));
    }

    fn owed(effort: &Effort) -> Duration {
        lock(effort.0.as_ref().unwrap()).owed
    }
}

//! A seeded simulation of everything between a listing and a ledger.
//!
//! The passes, the ingestion, the built-in mapper and the ledger are the real ones. The bucket, the destinations, the
//! ledger's disk and the clock are in memory, so that each can fail and the process can end at any step. Hundreds of
//! seeds make as many histories of uploads, replays and faults; after each process the invariants are looked at, and
//! when the faults have ended, so is what each destination holds (I1 to I3, R1 to R5).
//!
//! A failure names its seed; `GRISTMILL_SIMULATION_SEED=17` runs that one alone. Pauses are random in real life, too, so
//! time goes by in steps longer than any of them.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::config;
use crate::failed_call::FailedCalls;
use crate::ingest::{DestinationSet, NamedDestination, Pipeline, Recipe, RecipeBreakers, Transform};
use crate::ledger::disk::{self, Disk, Fails};
use crate::ledger::{Again, Entry, LedgerError, Place, Selector, SkipReason, State};
use crate::mapper::{Mapper, MapperHost};
use crate::notify::Outbox;
use crate::object::{ContentHash, IntegrationName, ObjectKey};
use crate::oversight::Oversight;
use crate::pass::{Keeping, PassError, PassReport, Slots, pass};
use crate::source::{FailureKind, ListBudget, Mark};
use crate::spool::Spool;
use crate::worker::Launcher;

use world::{Fault, Hand, Step, Stored, World};

mod expectation;
mod passes;
mod world;

/// Which seed to run instead of all.
const SEED: &str = "GRISTMILL_SIMULATION_SEED";
/// How many seeds are run.
const SEEDS: u64 = 400;
/// What a history does before its faults end.
const ACTIONS: usize = 30;
/// Longer than any pause.
const LONG: SignedDuration = SignedDuration::from_hours(25);
/// The keys of a bucket. More than two pages of them, and more than a pass holds back.
const KEYS: usize = 7;

/// Numbers that follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// The built-in mapper, compiled once for all.
fn mapper() -> Arc<Mapper> {
    static MAPPER: OnceLock<(MapperHost, Arc<Mapper>)> = OnceLock::new();
    let (_, mapper) = MAPPER.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let host = MapperHost::start(directory.path().join("mappers"), Launcher::at("/nonexistent")).unwrap();
        host.compile_built_in();
        let mapper = host.built_in().unwrap();
        (host, mapper)
    });
    Arc::clone(mapper)
}

/// A world, and what runs in it.
struct Simulation {
    world: Arc<Mutex<World>>,
    settings: config::Integration,
    spool: Spool,
    slots: Slots,
    directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    /// The ledger's bytes while no process runs.
    disk: Vec<u8>,
    uploads: u64,
}

/// A process, from its start to its end.
struct Process {
    hand: Hand,
    pipeline: Arc<Pipeline<Hand>>,
    disk: Arc<Disk>,
}

impl Simulation {
    fn new(more: &str, slots: Slots) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gristmill.toml");
        let state = directory.path().display();
        let text = format!(
            "[daemon]\nstate_dir = \"{state}\"\n[connections.main]\ndefault_chain = {{}}\nregion = \"us-east-1\"\n\
             [destinations.main]\nfiles.path = \"main\"\n[destinations.second]\nfiles.path = \"second\"\n\
             [integrations.simulated]\nconnection = \"main\"\nbucket = \"exports\"\nmatching = {{ on_no_match = \"create\" }}\n\
             identifiers = [{{ column = \"Account\", match = \"crm_id\" }}]\n\
             fields = [{{ column = \"Name\", field = \"name\", type = \"text\" }}]\n{more}\n"
        );
        std::fs::write(&path, text).unwrap();
        let loaded = config::load(&path).unwrap();
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let settings = loaded.config.integrations.into_values().next().unwrap();
        let spool = Spool::open(directory.path().join("spool"), 1 << 20, 0).unwrap();
        let world = World { now: Timestamp::from_second(1_750_000_000).unwrap(), ..World::default() };
        Self {
            world: Arc::new(Mutex::new(world)),
            settings,
            spool,
            slots,
            directory,
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            disk: disk::made(),
            uploads: 0,
        }
    }

    fn name(&self) -> IntegrationName {
        self.settings.name.clone()
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Starts a process. Its disk may fail for good at one of its calls.
    fn start(&mut self, disk_fails_at: usize) -> Result<Process, LedgerError> {
        let disk = Disk::new(&self.disk, disk_fails_at, Fails::ForGood);
        self.world().disk = Some(Arc::clone(&disk));
        let hand = Hand::of(&self.world);
        let opened = disk::open(&disk);
        if opened.is_err() {
            self.disk = disk.written();
        }
        let ledger = opened?;
        let settings = &self.settings;
        let of = |transform: &Option<config::Transform>| {
            let settings = Arc::clone(&transform.as_ref()?.settings);
            Some(Transform { mapper: mapper(), settings })
        };
        let launcher = Launcher::at("/nonexistent");
        let names = settings.destinations.iter().cloned().enumerate();
        let destinations =
            names.map(|(store, name)| NamedDestination { name, destination: Arc::new(hand.on_store(store)) });
        let pipeline = Arc::new(Pipeline {
            settings: settings.clone(),
            place: Place {
                server: "loopback".to_owned(),
                connection: settings.connection.clone(),
                bucket: settings.bucket.clone(),
                prefix: settings.prefix.clone(),
            },
            source: hand.clone(),
            recipe: Recipe::new(settings, of(&settings.field_mapping), None, launcher),
            destinations: DestinationSet::of(destinations.collect()).unwrap(),
            ledger,
            spool: self.spool.clone(),
            rejects_directory: self.directory.path().join("rejects"),
            outbox: Outbox::default(),
            clock: Arc::new(hand.clone()),
            mark: Mark::default(),
            list_budget: ListBudget::new(settings.list_budget),
            failed_calls: FailedCalls::default(),
            breakers: RecipeBreakers::default(),
            is_compared: AtomicBool::new(false),
        });
        Ok(Process { hand, pipeline, disk })
    }

    /// Ends a process; `cut` is a power cut.
    fn end(&mut self, process: Process, cut: bool) {
        self.world().crash();
        let Process { pipeline, disk, .. } = process;
        drop(pipeline);
        self.disk = if cut { disk.synced() } else { disk.written() };
    }

    fn pass(&self, process: &Process) -> Result<PassReport, PassError> {
        self.runtime.block_on(pass(&process.pipeline, &self.slots, &Oversight::default()))
    }

    fn entries(&self, process: &Process, key: &ObjectKey) -> Result<Vec<Entry>, LedgerError> {
        self.runtime.block_on(process.pipeline.ledger.show(&self.name(), key))
    }

    fn again(&self, process: &Process, selector: Selector, again: Again) -> Result<(), LedgerError> {
        let now = self.world().now;
        self.runtime.block_on(process.pipeline.ledger.ask_again(&self.name(), selector, again, now)).map(drop)
    }

    /// Stores content under a key. The ETag is the content's, unless it was uploaded in parts.
    fn put(&mut self, key: &ObjectKey, content: Bytes, in_parts: bool) {
        self.uploads += 1;
        let digest = blake3::hash(&content).to_hex();
        let etag = if in_parts { format!("{digest}-{}", self.uploads) } else { digest.to_string() };
        let mut world = self.world();
        let stored = Stored { content, etag: etag.parse().unwrap(), last_modified: world.now - world.server_behind };
        world.bucket.insert(key.clone(), stored);
    }
}

fn key(number: usize) -> ObjectKey {
    format!("k{number}.csv").parse().unwrap()
}

/// A file that says one thing of the account called like its key.
fn says(key: &ObjectKey, value: u64, rows: Rows) -> Bytes {
    match rows {
        Rows::Good => format!("Account,Name\n{key},{value}\n"),
        Rows::OneBad => format!("Account,Name\n{key},{value}\n,nobody\n"),
        Rows::Unreadable => format!("Wrong,Header\n{key},{value}\n"),
    }
    .into()
}

#[derive(Debug, Clone, Copy)]
enum Rows {
    Good,
    OneBad,
    Unreadable,
}

fn hash(content: &[u8]) -> ContentHash {
    ContentHash::from_bytes(*blake3::hash(content).as_bytes())
}

fn is_readable(content: &[u8]) -> bool {
    content.starts_with(b"Account")
}

/// A history: what is done, and what the model knows of it.
struct History {
    seed: u64,
    random: Random,
    simulation: Simulation,
    /// For the message of a failure.
    done: Vec<String>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let on_revert = random.of(&["skip", "ingest"]);
        let backfill = random.of(&["\"all\"", "\"none\""]);
        let hashing = random.of(&["true", "true", "false"]);
        let destinations = random.of(&["\"main\"", "[\"main\", \"second\"]", "[\"main\", \"second\"]"]);
        let more = format!(
            "destination = {destinations}\non_revert = \"{on_revert}\"\nbackfill = {backfill}\ncontent_hash = {hashing}"
        );
        let slots = Slots::new(random.of(&[1, 1, 3]), random.of(&[Keeping::Half, Keeping::Nothing]));
        let simulation = Simulation::new(&more, slots);
        Self { seed, random, simulation, done: vec![more] }
    }

    fn say(&mut self, what: impl Into<String>) {
        self.done.push(what.into());
    }

    #[track_caller]
    fn check(&self, is_so: bool, what: &str) {
        let (seed, done) = (self.seed, self.done.join("\n  "));
        assert!(is_so, "{SEED}={seed}: {what}\n  {done}");
    }

    fn run(mut self) {
        self.change_bucket();
        let mut process = None;
        for _ in 0..ACTIONS {
            let mut running = match process.take() {
                Some(running) => running,
                None => match self.start() {
                    Some(started) => started,
                    None => continue,
                },
            };
            let ended = self.act(&mut running);
            match ended || running.hand.has_ended() || running.pipeline.ledger.failure().is_some() {
                true => {
                    let cut = self.random.one_in(2);
                    self.say(if cut { "— the power is cut" } else { "— the process ends" });
                    self.simulation.end(running, cut);
                }
                false => process = Some(running),
            }
        }
        if let Some(process) = process {
            self.simulation.end(process, true);
        }
        self.come_to_rest();
    }

    fn start(&mut self) -> Option<Process> {
        let disk_fails_at = if self.random.one_in(4) { self.random.below(400) } else { usize::MAX };
        self.say(format!("start, disk fails at {disk_fails_at}"));
        let started = self.simulation.start(disk_fails_at).ok()?;
        self.check_invariants(&started);
        Some(started)
    }

    /// Does one thing. Whether the process has ended by it.
    fn act(&mut self, process: &mut Process) -> bool {
        match self.random.below(12) {
            0..=2 => self.change_bucket(),
            3 => {
                let time = self.random.of(&[SignedDuration::from_secs(1), SignedDuration::from_mins(1), LONG]);
                self.say(format!("{time:#} pass"));
                self.simulation.world().now += time;
            }
            4..=5 => self.plan_fault(),
            6 => {
                let key = key(self.random.below(KEYS));
                let again = self.random.of(&[Again::Listed, Again::Every]);
                self.say(format!("{again:?} again: {key}"));
                return self.simulation.again(process, Selector::Key(key), again).is_err();
            }
            7 if self.random.one_in(3) => {
                self.say("replay of everything");
                let all = Selector::Prefix(String::new());
                return self.simulation.again(process, all, Again::Listed).is_err();
            }
            _ => {
                let passed = self.simulation.pass(process);
                self.say(format!("pass: {passed:?}"));
                self.simulation.world().now += SignedDuration::from_secs(1);
                if let Err(PassError::Ledger(_)) = passed {
                    return true;
                }
                self.check_invariants(process);
            }
        }
        false
    }

    fn change_bucket(&mut self) {
        let changes = 1 + self.random.below(4);
        // A clock that is set back brings newer versions with older times (R2).
        self.simulation.world().server_behind = SignedDuration::from_secs(self.random.of(&[0, 0, 10]));
        for _ in 0..changes {
            let key = key(self.random.below(KEYS));
            let rows = self.random.of(&[Rows::Good, Rows::Good, Rows::Good, Rows::OneBad, Rows::Unreadable]);
            // Few values, so that keys go back to what they were (R4).
            let value = self.random.below(4) as u64;
            let in_parts = self.random.one_in(3);
            match self.random.below(8) {
                0 => {
                    self.say(format!("delete {key}"));
                    self.simulation.world().bucket.remove(&key);
                }
                1 => {
                    let Some(stored) = self.simulation.world().current(&key).cloned() else { continue };
                    self.say(format!("{key}: the same bytes again, in parts: {in_parts}"));
                    self.simulation.put(&key, stored.content, in_parts);
                }
                _ => {
                    self.say(format!("{key}: {value} {rows:?}, in parts: {in_parts}"));
                    self.simulation.put(&key, says(&key, value, rows), in_parts);
                }
            }
            // Some in the same second (R2).
            if self.random.one_in(2) {
                self.simulation.world().now += SignedDuration::from_secs(1);
            }
        }
    }

    fn plan_fault(&mut self) {
        let step = self.random.of(&Step::ALL);
        let kinds = [
            FailureKind::Gone,
            FailureKind::Changed,
            FailureKind::Denied,
            FailureKind::Kms,
            FailureKind::Archived,
            FailureKind::Throttled,
            FailureKind::Skewed,
            FailureKind::Network,
            FailureKind::Broken,
            FailureKind::Server,
            FailureKind::Corrupt,
            FailureKind::NoSuchBucket,
            FailureKind::Credentials,
            FailureKind::Unexpected,
        ];
        let fault = match step {
            _ if self.random.one_in(2) => Fault::Crash,
            Step::List | Step::Fetch => Fault::Source(self.random.of(&kinds)),
            Step::Confirmed | Step::Stage | Step::Accounts | Step::BeforeCommit | Step::AfterCommit => {
                Fault::Destination
            }
        };
        let after = self.random.below(4) as u32;
        self.say(format!("after {after} more of {step:?}: {fault:?}"));
        self.simulation.world().faults.push((step, after, fault));
    }

    /// What has to hold at every moment.
    fn check_invariants(&self, process: &Process) {
        let world = self.simulation.world();
        self.check(world.violations.is_empty(), &format!("{:?}", world.violations));
        drop(world);
        for key in (0..KEYS).map(key) {
            let Ok(entries) = self.simulation.entries(process, &key) else { return };
            let world = self.simulation.world();
            for entry in &entries {
                let identity = entry.identity();
                let is_complete = entry.state == Some(State::Completed);
                for (name, store) in self.simulation.settings.destinations.iter().zip(&world.stores) {
                    let is_said = entry.confirmed.contains(name);
                    self.check(is_said || !is_complete, &format!("I1: {identity:?} is complete and not in {name}"));
                    let is_so = !is_said || store.has_merged(&identity);
                    self.check(is_so, &format!("I1: {identity:?} is said to be in {name}, which never confirmed it"));
                }
            }
        }
    }

    /// No more faults: passes until nothing is due, with all the time in the world, and a person who mends what has been
    /// given up because of them.
    fn come_to_rest(mut self) {
        self.simulation.world().faults.clear();
        let process = self.simulation.start(usize::MAX).unwrap();
        for _ in 0..3 {
            self.simulation.world().now += LONG;
            let passed = self.simulation.pass(&process);
            self.say(format!("in peace: {passed:?}"));
            self.check(passed.is_ok_and(|report| !report.unfinished), "the pass succeeds");
        }
        let quarantined = |entry: &Entry| entry.current && matches!(entry.state, Some(State::Quarantined { .. }));
        for key in (0..KEYS).map(key) {
            let content = self.simulation.world().current(&key).map(|stored| stored.content.clone());
            let entries = self.simulation.entries(&process, &key).unwrap();
            if content.is_some_and(|content| is_readable(&content)) && entries.iter().any(quarantined) {
                self.say(format!("a person replays {key}"));
                self.simulation.again(&process, Selector::Key(key), Again::Listed).unwrap();
            }
        }
        let mended = self.simulation.pass(&process);
        self.say(format!("mended: {mended:?}"));
        let last = self.simulation.pass(&process).unwrap();
        self.check(last.listed == last.known, &format!("nothing is due any more: {last:?}"));
        self.check_invariants(&process);
        self.check_contributions();
        for key in (0..KEYS).map(key) {
            self.check_key(&process, &key);
        }
        self.take_everything_again(&process);
        self.simulation.end(process, false);
    }

    /// R1: what is asked for again is taken again, once, and replaces what it brought before.
    fn take_everything_again(&mut self, process: &Process) {
        self.say("replay of everything, in peace");
        let before = self.simulation.world().stores.each_ref().map(|store| store.merges.len());
        self.simulation.again(process, Selector::Prefix(String::new()), Again::Listed).unwrap();
        let passed = self.simulation.pass(process);
        self.say(format!("again: {passed:?}"));
        self.check_invariants(process);
        self.check_contributions();
        let world = self.simulation.world();
        let destinations = self.simulation.settings.destinations.len();
        for (store, before) in world.stores.iter().zip(before).take(destinations) {
            for (key, stored) in world.bucket.iter().filter(|(_, stored)| is_readable(&stored.content)) {
                let taken = store.merges.iter().skip(before).filter(|(_, of, _)| of == key).count();
                self.check(taken == 1, &format!("R1: {key} is taken {taken} times"));
                let value = store.value(key.as_str()).map(str::to_owned);
                self.check(value == brings(&stored.content), &format!("R1: {key} says {value:?}"));
            }
        }
    }

    /// I3: each object stands in the store once, with its newest generation alone (R1).
    fn check_contributions(&self) {
        let world = self.simulation.world();
        for store in &world.stores {
            for (dedup_key, held) in &store.contributions {
                let of_object = store.merges.iter().filter(|(identity, _, _)| identity.dedup_key == *dedup_key);
                let newest = of_object.map(|(identity, _, _)| identity.generation).max();
                self.check(newest == Some(held.identity.generation), &format!("{dedup_key} holds {:?}", held.identity));
            }
        }
    }

    /// What stands in the bucket is what each store says, or there is a rule why not.
    fn check_key(&self, process: &Process, key: &ObjectKey) {
        (0..self.simulation.settings.destinations.len()).for_each(|store| self.check_key_in(store, process, key));
    }

    fn check_key_in(&self, store: usize, process: &Process, key: &ObjectKey) {
        let Some(stored) = self.simulation.world().current(key).cloned() else { return };
        let settings = &self.simulation.settings;
        let entries = self.simulation.entries(process, key).unwrap();
        let entry = entries.iter().find(|entry| entry.object.etag == stored.etag);
        let Some(entry) = entry else { return self.check(false, &format!("{key} was never listed")) };
        let world = self.simulation.world();
        let content = hash(&stored.content);
        let held = &world.stores[store];
        let value = held.value(key.as_str());
        let brings = brings(&stored.content);
        let shown = format!("{key}: the bucket says {brings:?}, store {store} {value:?}, the ledger {entry:?}");
        let merges: Vec<_> = held.merges.iter().filter(|(_, of, _)| of == key).collect();
        let taken_before = merges.iter().any(|(_, _, merged)| *merged == content);
        match &entry.state {
            // R4: content that was taken before and that a newer one replaced.
            _ if entry.reverted => {
                self.check(settings.on_revert == config::OnRevert::Skip && taken_before, &format!("R4: {shown}"));
            }
            Some(State::Completed) => {
                self.check(value == brings.as_deref(), &format!("the newest content counts: {shown}"));
                self.check(held.contributions.contains_key(&entry.object.dedup_key()), &format!("I1: {shown}"));
            }
            // R5
            Some(State::Skipped { reason: SkipReason::SameContent { .. } }) => {
                self.check(settings.content_hash == config::ContentHashing::On, &format!("R5: {shown}"));
                self.check(taken_before && value == brings.as_deref(), &format!("R5: {shown}"));
            }
            // R4
            Some(State::Skipped { reason: SkipReason::Reverted { .. } }) => {
                self.check(settings.on_revert == config::OnRevert::Skip && taken_before, &format!("R4: {shown}"));
            }
            // R16
            Some(State::Skipped { reason: SkipReason::Backfill }) => {
                self.check(settings.backfill == config::Backfill::None, &format!("R16: {shown}"));
            }
            Some(State::Quarantined { .. }) => {
                self.check(brings.is_none(), &format!("only what cannot be read is given up: {shown}"));
                self.check(!taken_before, &format!("I8: {shown}"));
            }
            None
            | Some(
                State::Delivered { .. }
                | State::Failed { .. }
                | State::Skipped { reason: SkipReason::Superseded | SkipReason::Archived { .. } | SkipReason::Gone },
            ) => self.check(false, &format!("something is left to do: {shown}")),
        }
    }
}

/// What a file says of its account, if it can be read.
fn brings(content: &[u8]) -> Option<String> {
    let value = content.split(|byte| b",\n".contains(byte)).nth(3);
    value.filter(|_| is_readable(content)).map(|value| String::from_utf8_lossy(value).into_owned())
}

/// I1, I2, I3, R1, R2, R4, R5
#[test]
fn whatever_happens_each_content_is_taken_exactly_once() {
    if let Some(seed) = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()) {
        return History::new(seed).run();
    }
    let next = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let seed @ ..SEEDS = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                    History::new(seed).run();
                }
            });
        }
    });
}

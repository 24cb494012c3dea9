//! A CSV file of a million rows and twelve columns to mapped JSON lines.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill::batch::{AccountLayout, Batch};
use gristmill::daemon::Workshop;
use gristmill::destination::files::{FilesDestination, Form};
use gristmill::destination::{Brings, Delivery, Destination, Staging};
use gristmill::ingest::{self, Reader, Recipe, Rows, Taken};
use gristmill::mapper::{FieldMapping, FileBudget, Mapper, Source};
use gristmill::object::{AsOf, ContentHash, Generation, Identity, Object};
use gristmill::oversight::Oversight;
use gristmill::rejects::IssueLog;
use gristmill::{config, worker::Launcher};
use gristmill_builtin::{FieldMapper, FileInfo};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::bed::{self, Bed, INTEGRATION, Into, Mau};
use crate::data::{self, Until};
use crate::figures::{Aim, Times, say_rate, say_ratio, timed};
use crate::peers::Peer;
use crate::{Result, Scale, twin};

const ROWS: u64 = 1_000_000;
/// Rows that are mapped from memory, over and over.
pub const ROWS_IN_MEMORY: u64 = 200_000;
/// How often they are mapped in one round.
pub const REPEATS: u64 = 5;
const ROUNDS: usize = 5;

/// Rows in memory.
pub struct Held {
    /// The names of the table's columns.
    pub header: Vec<String>,
    /// The wanted columns.
    pub batches: Vec<Batch>,
    /// How many rows.
    pub rows: u64,
}

/// Runs the part.
pub fn run(scale: Scale) -> Result<()> {
    let bed = Bed::new()?;
    let bench = Bench::new(&bed, scale.of(ROWS))?;
    bench.map_only(scale.of(ROWS_IN_MEMORY))?;
    let peers: Vec<Peer> = Peer::ALL.into_iter().filter(|peer| peer.is_installed()).collect();
    if peers.len() < Peer::ALL.len() {
        eprintln!("bench: DuckDB or Polars is not installed: .ci/setup bench");
    }
    let all = sched_getaffinity(None)?;
    bench.whole(2, &peers)?;
    // Threads inherit it, and so do the peers.
    sched_setaffinity(None, &first_of(&all)?)?;
    let done = bench.whole(1, &peers);
    sched_setaffinity(None, &all)?;
    done
}

/// The first of some processors.
fn first_of(all: &CpuSet) -> Result<CpuSet> {
    let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).ok_or("there is no processor")?;
    let mut set = CpuSet::new();
    set.set(first);
    Ok(set)
}

/// A file of that kind, and what maps it.
pub struct Bench<'a> {
    bed: &'a Bed,
    settings: config::Integration,
    recipe: Recipe,
    destination: FilesDestination,
    object: Object,
    source: PathBuf,
    rows: u64,
}

impl<'a> Bench<'a> {
    /// Writes a file of so many rows.
    pub fn new(bed: &'a Bed, rows: u64) -> Result<Self> {
        let config = Bed::load(&bed.configure("http://127.0.0.1:1", Into::Files, Mau::Field, "all")?)?;
        let settings = config.integrations.values().next().ok_or("the integration is disabled")?.clone();
        let state = bed.path("state");
        fs::create_dir(&state)?;
        let recipe = Workshop::open(&state, Launcher::at(bed::gristmill()?))?.recipe(&config, &settings)?;
        let source = bed.path("accounts.csv");
        let (rows, bytes) = data::write_file(&source, Until::Rows(rows))?;
        println!("  {rows} rows × 12 columns, {} bytes a row", bytes / rows);
        let object = Object {
            connection: settings.connection.clone(),
            bucket: settings.bucket.clone(),
            key: "accounts.csv".parse()?,
            etag: "0".parse()?,
            size: bytes,
            last_modified: jiff::Timestamp::now(),
        };
        Ok(Self {
            bed,
            settings,
            recipe,
            destination: FilesDestination::open(&bed.path("out"), Form::default())?,
            object,
            source,
            rows,
        })
    }

    /// Mapping alone, from batches in memory: the component with everything that a call of it costs, the twin without.
    fn map_only(&self, rows: u64) -> Result<()> {
        let (mut component, layout) = self.component()?;
        drop(component);
        let Held { header, batches, rows: held } = self.held(&layout.wanted, rows)?;
        let (mut in_component, mut native) = (Times::default(), Times::default());
        for _ in 0..ROUNDS {
            (component, _) = self.component()?;
            let (time, ()) = timed(|| {
                for _ in 0..REPEATS {
                    self.reopen(&mut component, &header)?;
                    for batch in &batches {
                        std::hint::black_box(component.map_batch(batch)?);
                    }
                }
                Ok(())
            })?;
            in_component.push(time);
            let mut mapper = self.twin(&header)?;
            let (time, ()) = timed(|| {
                for _ in 0..REPEATS {
                    for batch in &batches {
                        std::hint::black_box(twin::map(&mut mapper, batch, &layout.wanted)?);
                    }
                }
                Ok(())
            })?;
            native.push(time);
        }
        say_rate("map alone, component", held * REPEATS, in_component.median(), "rows");
        say_rate("map alone, native twin", held * REPEATS, native.median(), "rows");
        say_ratio("map alone, component to native twin", in_component.faster_than(&native), Aim::AtLeast(0.45));
        Ok(())
    }

    /// The first rows, decoded.
    pub fn held(&self, wanted: &[u32], rows: u64) -> Result<Held> {
        let mut decoder = Reader::open(&self.recipe, &self.object, File::open(&self.source)?)?;
        let header = decoder.next_table()?.ok_or("the file has no table")?.header;
        decoder.want(wanted);
        let mut held = Held { header, batches: Vec::new(), rows: 0 };
        while let Some(batch) = decoder.next_batch()?.filter(|_| held.rows < rows) {
            held.rows += batch.rows() as u64;
            held.batches.push(batch);
        }
        Ok(held)
    }

    fn whole(&self, threads: usize, peers: &[Peer]) -> Result<()> {
        let cores = if threads == 1 { "one core" } else { "two cores" };
        let (_, layout) = self.component()?;
        let (mut component, mut native) = (Times::default(), Times::default());
        let mut theirs = vec![Times::default(); peers.len()];
        for _ in 0..ROUNDS {
            component.push(self.staged(|staging| self.through_component(staging))?);
            native.push(self.staged(|staging| self.through_twin(&layout, staging))?);
            for (peer, times) in peers.iter().zip(&mut theirs) {
                let target = self.bed.path("peer.ndjson");
                times.push(peer.map(&self.source, &target, threads)?);
                self.expect_lines(&target)?;
                fs::remove_file(&target)?;
            }
        }
        say_rate(&format!("whole on {cores}, component"), self.rows, component.median(), "rows");
        say_rate(&format!("whole on {cores}, native twin"), self.rows, native.median(), "rows");
        for (peer, times) in peers.iter().zip(&theirs) {
            say_rate(&format!("whole on {cores}, {}", peer.name()), self.rows, times.median(), "rows");
        }
        say_ratio(&format!("whole on {cores}, to native twin"), component.faster_than(&native), Aim::None);
        for (peer, times) in peers.iter().zip(&theirs) {
            let aim = match (threads, peer) {
                (1, _) => Aim::None,
                (_, Peer::DuckDb) => Aim::AtLeast(2.5),
                (_, Peer::Polars) => Aim::AtLeast(2.0),
            };
            say_ratio(&format!("whole on {cores}, to {}", peer.name()), component.faster_than(times), aim);
        }
        Ok(())
    }

    /// How long it takes to stage the file. Everything is written then, and nothing flushed to the disk, which the
    /// peers do not do either. Nothing is left of it.
    fn staged(&self, work: impl FnOnce(&mut dyn Staging) -> Result<u64>) -> Result<std::time::Duration> {
        let mut staging = self.destination.stage(self.delivery())?;
        let (time, rows) = timed(|| work(staging.as_mut()))?;
        let delivered = staging.preview()?.merged.delivered;
        match (rows, delivered) == (self.rows, self.rows) {
            true => Ok(time),
            false => Err(format!("{rows} rows read, {delivered} written of {}", self.rows).into()),
        }
    }

    fn through_component(&self, staging: &mut dyn Staging) -> Result<u64> {
        let issues = IssueLog::create(&self.bed.path("state"))?;
        let file = File::open(&self.source)?;
        let done = ingest::transform(
            &self.recipe,
            &self.object,
            Taken::all(&Rows::own()),
            file,
            staging,
            issues,
            &Oversight::default(),
        )?;
        Ok(done.rows.read - done.rows.rejected)
    }

    fn through_twin(&self, layout: &AccountLayout, staging: &mut dyn Staging) -> Result<u64> {
        let header: Vec<String> = data::HEADER.trim_end().split(',').map(str::to_owned).collect();
        let decoder = Reader::open(&self.recipe, &self.object, File::open(&self.source)?)?;
        twin::transform(decoder, self.twin(&header)?, layout, staging)
    }

    fn twin(&self, header: &[String]) -> Result<FieldMapper> {
        let settings = &self.settings.field_mapping.as_ref().ok_or("there is no field mapping")?.settings;
        let file = FileInfo { key: self.object.key.as_str(), sheet: None, last_modified: 0, today: 20_000 };
        Ok(FieldMapper::open(file, header, settings)?)
    }

    /// An instance with the table open, and what it makes of it.
    fn component(&self) -> Result<(FieldMapping, AccountLayout)> {
        let transform = self.recipe.fields.as_ref().ok_or("there is no field mapping")?;
        self.instance_of(&transform.mapper)
    }

    /// The same of another mapper.
    pub fn instance_of(&self, mapper: &Mapper) -> Result<(FieldMapping, AccountLayout)> {
        // As for a file that is as large as everything that this instance will see.
        let budget = FileBudget { bytes: self.object.size.saturating_mul(REPEATS) };
        let mut instance = mapper.fields(budget, Arc::new(|_| ()))?;
        let header: Vec<String> = data::HEADER.trim_end().split(',').map(str::to_owned).collect();
        let layout = self.reopen(&mut instance, &header)?;
        Ok((instance, layout))
    }

    /// Begins the table anew.
    pub fn reopen(&self, instance: &mut FieldMapping, header: &[String]) -> Result<AccountLayout> {
        let transform = self.recipe.fields.as_ref().ok_or("there is no field mapping")?;
        let source = Source {
            integration: INTEGRATION.to_owned(),
            connection: self.object.connection.to_string(),
            bucket: self.object.bucket.to_string(),
            key: self.object.key.to_string(),
            etag: self.object.etag.to_string(),
            size: self.object.size,
            last_modified: self.object.last_modified.as_microsecond(),
            sheet: None,
            timezone: "UTC".to_owned(),
            today: 20_000,
        };
        Ok(instance.open(&source, header, &transform.settings)?)
    }

    fn delivery(&self) -> Delivery {
        let generation = Generation(0);
        Delivery {
            identity: Identity {
                integration: self.settings.name.clone(),
                dedup_key: self.object.dedup_key(),
                generation,
            },
            object: self.object.clone(),
            tenant: self.settings.tenant.clone(),
            as_of: AsOf {
                effective_time: self.object.last_modified,
                key: self.object.key.clone(),
                arrival: 0,
                generation,
            },
            mapping: self.recipe.digest(),
            content: ContentHash::from_bytes([0; 32]),
            matching: self.settings.matching,
            brings: Brings::OWN,
        }
    }

    fn expect_lines(&self, path: &Path) -> Result<()> {
        use std::io::{BufRead, BufReader};
        let mut lines = 0;
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
        while reader.skip_until(b'\n')? > 0 {
            lines += 1;
        }
        if lines == self.rows { Ok(()) } else { Err(format!("{lines} lines written of {}", self.rows).into()) }
    }
}

//! A million objects: the memory that the built binary takes to record and to recognise them, and the time of a pass over
//! known ones against a bare listing of them by the same client.

use std::sync::Arc;

use gristmill::daemon::Assembly;
use gristmill::ingest::Pipeline;
use gristmill::oversight::Oversight;
use gristmill::pass::pass;
use gristmill::source::{S3Source, Source};
use gristmill_loopback_s3::Backing;

use crate::bed::{self, BUCKET, Bed, Into, Mau};
use crate::figures::{Aim, Times, say_memory, say_rate, say_ratio, timed};
use crate::{Result, Scale, memory};

const OBJECTS: u64 = 1_000_000;
const ROUNDS: usize = 3;
/// What a listing of any length may take.
const MEMORY: u64 = 64 << 20;

/// Runs the part.
pub fn run(scale: Scale) -> Result<()> {
    let objects = scale.of(OBJECTS);
    let server = bed::serve(Backing::Memory)?;
    for object in 0..objects {
        server.put(BUCKET, &format!("daily/{:04}/{object:07}.csv", object / 1_000), "a\n1\n")?;
    }
    println!("  {objects} objects");
    let bed = Bed::new()?;
    let config = bed.configure(&server.endpoint(), Into::Files, Mau::Field, "none")?;
    // The first pass records every object as skipped. The second knows them all.
    for what in ["recorded", "known"] {
        let (time, (status, peak)) = timed(|| memory::watch(bed::one_pass(&config)?.spawn()?))?;
        if !status.success() {
            return Err(format!("a pass ended with {status}").into());
        }
        say_rate(&format!("a process for objects to be {what}"), objects, time.as_secs_f64(), "objects");
        say_memory(&format!("its peak memory, objects {what}"), peak, MEMORY);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let assembly = Arc::new(Assembly::open(Bed::load(&config)?)?);
        let settings = assembly.config.integrations.values().next().ok_or("the integration is disabled")?.clone();
        let pipeline = assembly.pipeline(&settings).await?;
        let (mut bare, mut passes) = (Times::default(), Times::default());
        for _ in 0..ROUNDS {
            let started = std::time::Instant::now();
            expect(listed(&pipeline).await?, objects, "listed")?;
            bare.push(started.elapsed());
            let started = std::time::Instant::now();
            let report = pass(&pipeline, &assembly.slots, &Oversight::default()).await?;
            passes.push(started.elapsed());
            expect(report.known, objects, "known")?;
        }
        say_rate("bare listing", objects, bare.median(), "objects");
        say_rate("pass", objects, passes.median(), "objects");
        say_ratio("time of a pass to that of a listing", bare.faster_than(&passes), Aim::AtMost(1.1));
        Ok(())
    })
}

fn expect(found: u64, expected: u64, what: &str) -> Result<()> {
    if found == expected { Ok(()) } else { Err(format!("{found} objects are {what} of {expected}").into()) }
}

async fn listed(pipeline: &Pipeline<S3Source>) -> Result<u64> {
    let (mut after, mut listed) = (None, 0);
    loop {
        let page = pipeline.source.list(after.as_ref()).await?;
        listed += page.objects.len() as u64;
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(listed),
        }
    }
}

//! One file of 2 GB into each destination, by the built binary, and the memory that takes.

use std::fs;

use gristmill_loopback_s3::Backing;

use crate::bed::{self, Bed, Into, Mau};
use crate::data::{self, Until};
use crate::figures::{say_memory, say_rate, timed};
use crate::{Result, Scale, memory};

const BYTES: u64 = 2_000_000_000;
/// What a file of any size may take, children included.
const AIM: u64 = 150 << 20;

/// Runs the part.
pub fn run(scale: Scale) -> Result<()> {
    let place = Bed::new()?;
    let bucket = place.path("bucket");
    fs::create_dir(&bucket)?;
    let (rows, bytes) = data::write_file(&bucket.join("accounts.csv"), Until::Bytes(scale.of(BYTES)))?;
    println!("  {rows} rows of {} accounts, {} MB", data::ACCOUNTS, bytes / 1_000_000);
    let server = bed::serve(Backing::Directory(bucket))?;
    for into in Into::ALL {
        let bed = Bed::new()?;
        let config = bed.configure(&server.endpoint(), into, Mau::Usage, "all")?;
        let (time, (status, peak)) = timed(|| memory::watch(bed::one_pass(&config)?.spawn()?))?;
        if !status.success() {
            return Err(format!("the pass ended with {status}").into());
        }
        say_rate(&format!("into {}", into.name()), rows, time.as_secs_f64(), "rows");
        say_memory(&format!("into {}, peak memory with children", into.name()), peak, AIM);
    }
    Ok(())
}

//! Ten thousand files of ten rows each, from a bucket in memory, by the built binary.

use gristmill_loopback_s3::Backing;

use crate::bed::{self, BUCKET, Bed, Into, Mau};
use crate::figures::{say_rate, timed};
use crate::{Result, Scale, data};

const FILES: u64 = 10_000;
const ROWS: u64 = 10;

/// Runs the part.
pub fn run(scale: Scale) -> Result<()> {
    let files = scale.of(FILES);
    let server = bed::serve(Backing::Memory)?;
    for file in 0..files {
        server.put(BUCKET, &format!("daily/{file:05}.csv"), data::small_file(file * ROWS, ROWS)?)?;
    }
    println!("  {files} files of {ROWS} rows");
    for into in Into::ALL {
        let bed = Bed::new()?;
        let config = bed.configure(&server.endpoint(), into, Mau::Usage, "all")?;
        // Once over nothing, so that the mapper is compiled.
        let nothing = bed::serve(Backing::Memory)?;
        let warm = bed.configure(&nothing.endpoint(), into, Mau::Usage, "all")?;
        bed::pass(&warm)?;
        drop(nothing);
        bed.configure(&server.endpoint(), into, Mau::Usage, "all")?;
        let (time, ()) = timed(|| bed::pass(&config))?;
        say_rate(&format!("into {}", into.name()), files, time.as_secs_f64(), "files");
    }
    Ok(())
}

//! The memory of a process and of everything that it starts.

use std::fs;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use crate::Result;

/// The pause between two looks. Peaks between them are seen all the same: the system keeps each process's own.
const LOOK: Duration = Duration::from_millis(50);

/// Waits for a process; gives its end and the most that it and the processes below it have taken, in bytes: the sum of
/// the peaks of those that lived at one time, which is never too little.
pub fn watch(mut child: Child) -> Result<(ExitStatus, u64)> {
    let mut peak = 0;
    loop {
        peak = peak.max(tree(child.id()));
        if let Some(status) = child.try_wait()? {
            return Ok((status, peak));
        }
        std::thread::sleep(LOOK);
    }
}

/// The sum over a process and those below it; one that has ended counts nothing.
fn tree(process: u32) -> u64 {
    let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let below: u64 = threads
        .map(children)
        .map(|list| list.split_whitespace().filter_map(|child| child.parse().ok()).map(tree).sum::<u64>())
        .sum();
    below + resident_peak(process)
}

fn resident_peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: Option<u64> = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
    kibibytes.unwrap_or(0) * 1024
}

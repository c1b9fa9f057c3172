//! What a process takes, as the kernel counts it.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Length of the kernel's tick in `/proc`, which is the same on every Linux that Rust runs on (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A process at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    resident_kib: u32,
    own_kib: u32,
    peak_kib: u32,
    processor: Duration,
}

impl Usage {
    /// Reads `/proc`.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib = |name: &str| -> Result<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
            Ok(line.trim().trim_end_matches(" kB").parse()?)
        };
        let (resident_kib, own_kib, peak_kib) = (kib("VmRSS:")?, kib("RssAnon:")?, kib("VmHWM:")?);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name is in parentheses and may hold anything; the fields after it are numbers (proc(5): utime is the 14th).
        let (_, fields) = stat.rsplit_once(") ").context("stat has no name")?;
        let mut times = fields.split(' ').skip(11);
        let mut ticks = || -> Result<u32> { Ok(times.next().context("stat is short")?.parse()?) };
        let (user, system) = (ticks()?, ticks()?);
        Ok(Self { resident_kib, own_kib, peak_kib, processor: TICK * user.saturating_add(system) })
    }

    /// Resident memory.
    pub fn resident_mib(&self) -> f64 {
        f64::from(self.resident_kib) / 1024.0
    }

    /// Resident memory that no file is behind. The rest is mostly the program's file, which all its processes on a machine
    /// share.
    pub fn own_mib(&self) -> f64 {
        f64::from(self.own_kib) / 1024.0
    }

    /// The most resident memory that it had at once so far.
    pub fn peak_mib(&self) -> f64 {
        f64::from(self.peak_kib) / 1024.0
    }

    /// Processor time taken so far.
    pub fn processor(&self) -> Duration {
        self.processor
    }

    /// Processor time taken since an earlier moment.
    pub fn processor_since(&self, earlier: &Self) -> Duration {
        self.processor.saturating_sub(earlier.processor)
    }
}

/// The machine's load averages over 1, 5 and 15 minutes.
///
/// # Errors
/// When `/proc` is not that of Linux.
pub fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{} on {cores} cores", text.split(' ').take(3).collect::<Vec<_>>().join(" ")))
}

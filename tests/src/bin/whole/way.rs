//! A way to the tool, and the processes on it.

use std::net::SocketAddr;
use std::time::Duration;

use aegis_tests::usage::Usage;
use anyhow::Result;

/// How calls go.
#[derive(Debug, Clone)]
pub struct Way {
    /// What tables call it.
    pub name: &'static str,
    /// Where calls are sent.
    pub address: SocketAddr,
    /// Path of the call there.
    pub path: &'static str,
    /// Whether it judges: then it must decide as all others that do.
    pub judges: bool,
    /// The processes on the way. None: calls are sent to the tool itself.
    pub processes: Vec<u32>,
}

impl Way {
    /// Processor time that its processes have taken so far.
    pub fn processor(&self) -> Result<Duration> {
        let times = self.processes.iter().map(|&process| Ok(Usage::of(process)?.processor()));
        times.sum()
    }
}

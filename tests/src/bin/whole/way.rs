//! A way to the tool, and the processes on it.

use std::net::SocketAddr;
use std::time::Duration;

use aegis_tests::usage::Usage;
use anyhow::Result;

use crate::line::Line;
use crate::workload::requests;

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

    /// Connections on it, each used once.
    pub fn warm(&self, requests: &[Vec<u8>], connections: usize) -> Result<Vec<Line>> {
        let mut lines = (0..connections).map(|_| Line::open(self.address)).collect::<Result<Vec<_>>>()?;
        for (line, request) in lines.iter_mut().zip(requests) {
            line.goes(request)?;
        }
        Ok(lines)
    }
}

/// Measures all ways in each round, first to last and last to first, so that drift falls on all alike. Of each way, what
/// `once` said of it: two of each round.
pub fn in_turn<T>(
    ways: &[Way],
    bytes: usize,
    rounds: usize,
    mut once: impl FnMut(&Way, &[Vec<u8>]) -> Result<T>,
) -> Result<Vec<Vec<T>>> {
    let prepared = ways.iter().map(|way| (way, requests(way.address, way.path, bytes), Vec::new()));
    let mut measured: Vec<_> = prepared.collect();
    for _ in 0..rounds {
        for (way, requests, said) in &mut measured {
            said.push(once(way, requests)?);
        }
        for (way, requests, said) in measured.iter_mut().rev() {
            said.push(once(way, requests)?);
        }
    }
    Ok(measured.into_iter().map(|(_, _, said)| said).collect())
}

//! Closed loop: some connections, each with one call after another. Shows throughput and processor time, no latency: who
//! is slow is asked less often.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::line::Line;
use crate::way::Way;
use crate::workload::requests;

/// How it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rounds.
    pub rounds: usize,
    /// Time of one measurement.
    pub slice: Duration,
    /// Connections.
    pub connections: usize,
}

/// What one measurement, or two of one round, said.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Slice {
    /// Calls that were answered with 200.
    calls: u32,
    /// Calls that were answered otherwise. There should be none.
    pub failed: u32,
    took: Duration,
    processor: Duration,
}

impl Slice {
    /// Calls a second.
    pub fn rate(&self) -> f64 {
        f64::from(self.calls) / self.took.as_secs_f64()
    }

    /// Microseconds of processor time for a call.
    pub fn micros(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / f64::from(self.calls)
    }

    /// Share of one core that was used, in percent.
    pub fn busy(&self) -> f64 {
        100.0 * self.processor.as_secs_f64() / self.took.as_secs_f64()
    }

    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.took += other.took;
        self.processor += other.processor;
    }
}

/// Measures all ways in each round, first to last and last to first, so that drift falls on all alike. Of each way, its
/// rounds.
pub fn measure(ways: &[Way], bytes: usize, plan: Plan) -> Result<Vec<Vec<Slice>>> {
    let prepared: Vec<_> = ways.iter().map(|way| requests(way.address, way.path, bytes)).collect();
    let mut measured = vec![vec![Slice::default(); plan.rounds]; ways.len()];
    for round in 0..plan.rounds {
        let forwards = 0..ways.len();
        for at in forwards.clone().chain(forwards.rev()) {
            let (Some(way), Some(requests), Some(rounds)) = (ways.get(at), prepared.get(at), measured.get_mut(at))
            else {
                continue;
            };
            let once = slice(way, requests, plan)?;
            if let Some(sum) = rounds.get_mut(round) {
                sum.add(&once);
            }
        }
    }
    Ok(measured)
}

/// One measurement. Connections are open and used once when it begins.
fn slice(way: &Way, requests: &[Vec<u8>], plan: Plan) -> Result<Slice> {
    let mut lines = (0..plan.connections).map(|_| Line::open(way.address)).collect::<Result<Vec<_>>>()?;
    for (line, request) in lines.iter_mut().zip(requests) {
        line.goes(request)?;
    }
    let before = way.processor()?;
    let began = Instant::now();
    let end = began + plan.slice;
    let (calls, failed) = thread::scope(|scope| {
        let callers: Vec<_> = lines
            .iter_mut()
            .enumerate()
            .map(|(at, line)| {
                let first = at * requests.len() / plan.connections;
                scope.spawn(move || keep_calling(line, requests.iter().cycle().skip(first), end))
            })
            .collect();
        callers.into_iter().try_fold((0, 0), |(calls, failed), caller| -> Result<(u32, u32)> {
            let (more, worse) = caller.join().map_err(|_| anyhow!("a caller panicked"))??;
            Ok((calls + more, failed + worse))
        })
    })?;
    let took = began.elapsed();
    Ok(Slice { calls, failed, took, processor: way.processor()?.saturating_sub(before) })
}

/// How many calls went until the end, and how many did not.
fn keep_calling<'a>(
    line: &mut Line,
    mut requests: impl Iterator<Item = &'a Vec<u8>>,
    end: Instant,
) -> Result<(u32, u32)> {
    let (mut calls, mut failed) = (0, 0);
    while Instant::now() < end
        && let Some(request) = requests.next()
    {
        if line.goes(request)? {
            calls += 1;
        } else {
            failed += 1;
        }
    }
    Ok((calls, failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_the_sum_of_its_measurements() {
        let second = Duration::from_secs(1);
        let mut sum = Slice::default();
        for calls in [1_000, 3_000] {
            let processor = Duration::from_millis(500);
            sum.add(&Slice { calls, failed: 1, took: second, processor });
        }
        let near = |value: f64, wanted: f64| assert!((value - wanted).abs() < 1e-6, "{value}, not {wanted}");
        near(sum.rate(), 2_000.0);
        near(sum.micros(), 250.0);
        near(sum.busy(), 50.0);
        assert_eq!(sum.failed, 2);
    }
}

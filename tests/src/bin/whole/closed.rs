//! Closed loop: some connections, each with one call after another. Shows throughput and processor time, no latency: who
//! is slow is asked less often.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::line::Line;
use crate::way::{Way, in_turn};

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
#[derive(Debug, Clone, Copy, PartialEq)]
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

    fn sum(slices: &[Self]) -> Self {
        Self {
            calls: slices.iter().map(|slice| slice.calls).sum(),
            failed: slices.iter().map(|slice| slice.failed).sum(),
            took: slices.iter().map(|slice| slice.took).sum(),
            processor: slices.iter().map(|slice| slice.processor).sum(),
        }
    }
}

/// Measures all ways [in turn](in_turn). Of each way, its rounds.
pub fn measure(ways: &[Way], bytes: usize, plan: Plan) -> Result<Vec<Vec<Slice>>> {
    let measured = in_turn(ways, bytes, plan.rounds, |way, requests| slice(way, requests, plan))?;
    Ok(measured.iter().map(|slices| slices.chunks(2).map(Slice::sum).collect()).collect())
}

/// One measurement. Connections are open and used once when it begins.
fn slice(way: &Way, requests: &[Vec<u8>], plan: Plan) -> Result<Slice> {
    let mut lines = way.warm(requests, plan.connections)?;
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
        let processor = Duration::from_millis(500);
        let sum = Slice::sum(&[1_000, 3_000].map(|calls| Slice { calls, failed: 1, took: second, processor }));
        let near = |value: f64, wanted: f64| assert!((value - wanted).abs() < 1e-6, "{value}, not {wanted}");
        near(sum.rate(), 2_000.0);
        near(sum.micros(), 250.0);
        near(sum.busy(), 50.0);
        assert_eq!(sum.failed, 2);
    }
}

//! What was measured, as Markdown.

use std::fmt::Write as _;

use aegis_tests::spread::{median_interval, quantile};
use aegis_tests::usage::Usage;
use anyhow::{Context as _, Result};

use crate::way::Way;
use crate::{closed, open};

/// Bounds of what the same way may differ from itself.
const CONTROL: std::ops::RangeInclusive<f64> = 0.95..=1.05;

/// The last two columns are ratios to the reference, each the other way round, so that more is better for it in both.
const HEADING: &str = "| way | CPU, µs a call | calls a second | of its core | sidecar's rate / this | this CPU / sidecar's |\n\
                       | --- | ---: | ---: | ---: | ---: | ---: |\n";

/// Throughput and processor time. `reference` is the place of the way that all are compared with, round by round, and
/// `control` that of the same once more.
pub struct Compared<'a> {
    /// The ways.
    pub ways: &'a [Way],
    /// Of each, its rounds.
    pub rounds: &'a [Vec<closed::Slice>],
    /// What the others are compared with.
    pub reference: usize,
    /// The reference once more.
    pub control: usize,
}

impl Compared<'_> {
    /// The table, and whether the control stayed within its bounds.
    pub fn table(&self) -> Result<(String, bool)> {
        let reference = self.rounds.get(self.reference).context("the reference was measured")?;
        let mut text = HEADING.to_owned();
        let mut sound = true;
        for (at, (way, rounds)) in self.ways.iter().zip(self.rounds).enumerate() {
            let of = |value: fn(&closed::Slice) -> f64| median(rounds.iter().map(value));
            let pairs = || reference.iter().zip(rounds);
            let throughput = ratio(pairs().map(|(sidecar, this)| sidecar.rate() / this.rate()).collect())?;
            let processor = ratio(pairs().map(|(sidecar, this)| this.micros() / sidecar.micros()).collect())?;
            if at == self.control {
                sound = CONTROL.contains(&throughput.median) && CONTROL.contains(&processor.median);
            }
            let rate = of(closed::Slice::rate)?;
            let failed: u32 = rounds.iter().map(|round| round.failed).sum();
            let note = if failed == 0 { String::new() } else { format!(" ({failed} not answered with 200)") };
            if way.processes.is_empty() {
                writeln!(text, "| {}{note} | | {rate:.0} | | {throughput} | |", way.name)?;
            } else {
                let (micros, busy) = (of(closed::Slice::micros)?, of(closed::Slice::busy)?);
                let ratios = format!("{throughput} | {processor}");
                writeln!(text, "| {}{note} | {micros:.1} | {rate:.0} | {busy:.0} % | {ratios} |", way.name)?;
            }
        }
        Ok((text, sound))
    }
}

/// Latency at one rate.
pub fn latency(ways: &[Way], measured: &[Vec<open::Slice>]) -> Result<String> {
    let mut text = "| way | p50, µs | from to | p99, µs | from to |\n| --- | ---: | ---: | ---: | ---: |\n".to_owned();
    for (way, slices) in ways.iter().zip(measured) {
        let slow = slices.iter().filter(|slice| !slice.reached).count();
        let failed: usize = slices.iter().map(|slice| slice.failed).sum();
        if slow == 0 && failed == 0 {
            let p50 = spread(slices.iter().map(|slice| slice.p50))?;
            let p99 = spread(slices.iter().map(|slice| slice.p99))?;
            writeln!(text, "| {} | {p50} | {p99} |", way.name)?;
        } else {
            let rate = (slow > 0).then(|| format!("rate not reached in {slow} of {}", slices.len()));
            let status = (failed > 0).then(|| format!("{failed} not answered with 200"));
            let why = rate.into_iter().chain(status).collect::<Vec<_>>().join(", ");
            writeln!(text, "| {} | {why} | | | |", way.name)?;
        }
    }
    Ok(text)
}

/// Memory of processes: idle, now, and at its peak.
pub fn memory(processes: &[(&'static str, u32, Usage)]) -> Result<String> {
    let mut text =
        "| process | idle, MiB | after the load, MiB | peak, MiB |\n| --- | ---: | ---: | ---: |\n".to_owned();
    for (name, process, idle) in processes {
        let now = Usage::of(*process)?;
        let (idle, after, peak) = (idle.resident_mib(), now.resident_mib(), now.peak_mib());
        writeln!(text, "| {name} | {idle:.1} | {after:.1} | {peak:.1} |")?;
    }
    Ok(text)
}

fn median(values: impl Iterator<Item = f64>) -> Result<f64> {
    quantile(&mut values.collect::<Vec<_>>(), 50)
}

/// The median and the range, as two cells.
fn spread(values: impl Iterator<Item = f64>) -> Result<String> {
    let mut values: Vec<f64> = values.collect();
    let (low, high) = (quantile(&mut values, 0)?, quantile(&mut values, 100)?);
    Ok(format!("{:.0} | {low:.0} to {high:.0}", quantile(&mut values, 50)?))
}

/// A median of ratios with its 95 % interval.
struct Ratio {
    median: f64,
    low: f64,
    high: f64,
}

fn ratio(mut values: Vec<f64>) -> Result<Ratio> {
    let (low, high) = median_interval(&values)?;
    Ok(Ratio { median: quantile(&mut values, 50)?, low, high })
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:.2} ({:.2} to {:.2})", self.median, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_shown_with_its_interval() {
        assert_eq!(ratio(vec![0.5; 15]).unwrap().to_string(), "0.50 (0.50 to 0.50)");
        assert_eq!(spread([3.0, 1.0, 2.0].into_iter()).unwrap(), "2 | 1 to 3");
    }
}

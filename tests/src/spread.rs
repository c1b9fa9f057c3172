//! What many measurements of one thing say: quantiles, and how far the median can be trusted.

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Samples of the bootstrap.
const RESAMPLES: usize = 2000;

/// The value below which `percent` of all lie. Sorts them.
///
/// # Errors
/// When there are none.
pub fn quantile(values: &mut [f64], percent: usize) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) * percent / 100).copied().context("nothing was measured")
}

/// The 95 % interval of the median, by resampling; the seed is fixed, so the same measurements give the same interval.
///
/// # Errors
/// When there are no values.
pub fn median_interval(values: &[f64]) -> Result<(f64, f64)> {
    let mut random = StdRng::seed_from_u64(1);
    let mut medians = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let mut sample: Vec<f64> =
            (0..values.len()).filter_map(|_| values.get(random.random_range(0..values.len())).copied()).collect();
        medians.push(quantile(&mut sample, 50)?);
    }
    medians.sort_by(f64::total_cmp);
    let at = |part: usize| medians.get(RESAMPLES * part / 1000).copied().context("nothing was resampled");
    Ok((at(25)?, at(974)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_does_not_depend_on_the_order() {
        let mut values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(quantile(&mut values, 50).unwrap().to_bits(), 3.0_f64.to_bits());
        assert_eq!(quantile(&mut values, 100).unwrap().to_bits(), 5.0_f64.to_bits());
        assert!(quantile(&mut [], 50).is_err());
    }

    #[test]
    fn the_interval_holds_the_median_and_leaves_a_stray_value_out() {
        let mut values = vec![10.0; 20];
        values.push(1000.0);
        assert_eq!(median_interval(&values).unwrap(), (10.0, 10.0));
        let values: Vec<f64> = (0..101).map(f64::from).collect();
        let (low, high) = median_interval(&values).unwrap();
        assert!(low < 50.0 && 50.0 < high && low > 25.0 && high < 75.0, "{low} to {high}");
    }
}

//! A token bucket: so many at once, then so many a second.

use std::time::Duration;

use tokio::time::Instant;

/// One bucket.
#[derive(Debug)]
pub struct Bucket {
    left: f64,
    burst: f64,
    per_second: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub fn new(burst: u32, per_second: u32, now: Instant) -> Self {
        Self { left: burst.into(), burst: burst.into(), per_second: per_second.into(), at: now }
    }

    /// Takes one; tells whether there was one.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed: Duration = now.saturating_duration_since(self.at);
        self.at = now;
        self.left = (self.left + passed.as_secs_f64() * self.per_second).min(self.burst);
        let taken = self.left >= 1.0;
        if taken {
            self.left -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3, 2, start);
        let taken =
            |bucket: &mut Bucket, now| std::iter::repeat_with(|| bucket.take(now)).take(20).filter(|it| *it).count();
        assert_eq!(taken(&mut bucket, start), 3);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(1500)), 3);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(2)), 1);
        assert_eq!(taken(&mut bucket, start + Duration::from_hours(1)), 3, "never more than its burst");
    }
}

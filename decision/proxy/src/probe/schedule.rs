//! When the next run of the probe is due. Pure but for the monotonic clock, which tests pause.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Pause after a run that got out, and after an order that nobody answered.
const AGAIN: Duration = Duration::from_secs(10);
/// A first statement counts for two minutes at the control service: while there is no token, it is kept fresh.
const FRESH: Duration = Duration::from_mins(1);

/// When runs were, and who asked for one.
#[derive(Debug)]
pub struct Schedule {
    every: Duration,
    last: Option<Last>,
    /// When the first run was ordered.
    began: Option<Timestamp>,
    requests: Requests,
    asked: bool,
}

/// What people ask for.
#[derive(Debug, Clone, Copy)]
enum Requests {
    /// There were no grants yet.
    Unknown,
    /// What had been asked for when it was last looked at.
    Heard(Option<Timestamp>),
}

#[derive(Debug, Clone, Copy)]
enum Last {
    /// Ordered, not heard of yet.
    Ordered(Instant),
    /// Heard of.
    Heard { at: Instant, holds: bool },
}

impl Schedule {
    /// Runs every so often once all is well.
    pub fn new(every: Duration) -> Self {
        Self { every, last: None, began: None, requests: Requests::Unknown, asked: false }
    }

    /// What a person has asked for, as the grants say: a later time than before asks for a run now. What had been asked
    /// before this sidecar began is answered by its first run.
    pub fn hear(&mut self, requested: Option<Timestamp>) {
        self.asked |= match self.requests {
            Requests::Heard(before) => requested > before,
            Requests::Unknown => self.began.is_some_and(|began| requested.is_some_and(|at| at > began)),
        };
        self.requests = Requests::Heard(requested);
    }

    /// When the next run is due; none: now.
    pub fn due(&self, has_token: bool) -> Option<Instant> {
        match self.last {
            _ if self.asked => None,
            None => None,
            Some(Last::Ordered(at)) => Some(at + AGAIN),
            Some(Last::Heard { at, holds: false }) => Some(at + AGAIN.min(self.every)),
            Some(Last::Heard { at, holds: true }) if !has_token => Some(at + FRESH.min(self.every)),
            Some(Last::Heard { at, holds: true }) => Some(at + self.every),
        }
    }

    /// A run was ordered.
    pub fn ordered(&mut self) {
        self.asked = false;
        self.last = Some(Last::Ordered(Instant::now()));
        self.began.get_or_insert_with(Timestamp::now);
    }

    /// A run was heard of.
    pub fn heard(&mut self, holds: bool) {
        self.last = Some(Last::Heard { at: Instant::now(), holds });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(schedule: &Schedule, has_token: bool) -> u64 {
        schedule.due(has_token).unwrap().duration_since(Instant::now()).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_is_due_at_once_and_the_next_by_what_it_found() {
        let mut schedule = Schedule::new(Duration::from_mins(10));
        assert_eq!(schedule.due(false), None);
        schedule.ordered();
        assert_eq!(after(&schedule, false), 10, "a probe that died is asked again");
        schedule.heard(true);
        assert_eq!(after(&schedule, false), 60, "the first statement must be fresh when the exchange is tried");
        assert_eq!(after(&schedule, true), 600);
        schedule.heard(false);
        assert_eq!(after(&schedule, true), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_between_the_first_run_and_the_first_grants_is_heard() {
        let mut schedule = Schedule::new(Duration::from_mins(10));
        schedule.ordered();
        schedule.heard(true);
        schedule.hear(Some(Timestamp::now() + jiff::SignedDuration::from_secs(1)));
        assert_eq!(schedule.due(true), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_asks_by_a_later_time_only() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let mut schedule = Schedule::new(Duration::from_mins(10));
        schedule.ordered();
        schedule.heard(true);
        schedule.hear(at(100));
        assert!(schedule.due(true).is_some(), "asked before this sidecar began");
        schedule.hear(at(100));
        schedule.hear(at(99));
        assert!(schedule.due(true).is_some());
        schedule.hear(at(101));
        assert_eq!(schedule.due(true), None);
        schedule.ordered();
        schedule.hear(at(101));
        assert!(schedule.due(true).is_some(), "answered");
        schedule.hear(None);
        schedule.hear(at(50));
        assert_eq!(schedule.due(true), None, "asked anew after the annotation was taken away");
    }
}

//! What a replica does about the Lease: a pure function of what it saw, who it is and the time.
//!
//! As in Kubernetes' own components, times inside the Lease are not compared with this clock: a holder counts as gone
//! when its Lease has not changed for the Lease's duration, measured by this replica since it last saw a change. So
//! clocks that differ between nodes take nobody's Lease away.

use std::time::Duration;

/// Time on this replica's monotonic clock, since some start.
pub type Clock = Duration;

/// What a Lease says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// How long the holder may be silent.
    pub duration: Duration,
    /// What the holder changes when it renews.
    pub renewed: i64,
    /// How often it went from one holder to another.
    pub transitions: i32,
}

/// A Lease as it was first seen to say this, and when that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it says; none: there is no Lease.
    pub record: Option<Record>,
    /// When it was first seen to say this.
    pub since: Clock,
}

impl Seen {
    /// What is known after another look: time counts from the last change.
    #[must_use]
    pub fn look(self, record: Option<Record>, now: Clock) -> Self {
        if self.record == record { self } else { Self { record, since: now } }
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// There is none: create it.
    Create,
    /// It is this replica's: renew it.
    Renew,
    /// Its holder let go or fell silent: take it, by compare-and-set on what was seen.
    Take {
        /// Transitions to write.
        transitions: i32,
    },
    /// Another holds it: look again then at the latest.
    Wait {
        /// When its holder counts as gone, unless it renews.
        until: Clock,
    },
}

/// What `me` does at `now`. Never takes a Lease from a holder that was seen to change within its duration.
pub fn evaluate(seen: &Seen, me: &str, now: Clock) -> Act {
    let Some(record) = &seen.record else { return Act::Create };
    if record.holder == me {
        return Act::Renew;
    }
    let gone_at = seen.since.saturating_add(record.duration);
    if record.holder.is_empty() || now >= gone_at {
        Act::Take { transitions: record.transitions.saturating_add(1) }
    } else {
        Act::Wait { until: gone_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DURATION: Duration = Duration::from_secs(15);

    /// A Lease in a server that compares and sets, and replicas that look and act at any times, each with a clock of its
    /// own that began at another moment. A replica leads from its write until `DURATION * 2 / 3` of silence later.
    #[derive(Debug, Clone)]
    struct Replica {
        name: String,
        /// Its clock reads this when the world's reads zero.
        offset: Duration,
        seen: Seen,
        renewed_at: Option<Duration>,
    }

    impl Replica {
        fn leads(&self, world: Duration) -> bool {
            self.renewed_at.is_some_and(|at| world < at + DURATION * 2 / 3)
        }

        /// Looks, and a little later acts on what it saw; `alive` is false while it is paused.
        fn turn(&mut self, server: &mut (Option<Record>, u64), world: Duration) {
            let clock = world + self.offset;
            let (record, version) = server.clone();
            self.seen = self.seen.clone().look(record, clock);
            let act = evaluate(&self.seen, &self.name, clock);
            let renewed = i64::try_from(world.as_millis()).unwrap();
            let next = match act {
                Act::Create => Record { holder: self.name.clone(), duration: DURATION, renewed, transitions: 0 },
                Act::Renew => Record { renewed, ..self.seen.record.clone().unwrap() },
                Act::Take { transitions } => {
                    Record { holder: self.name.clone(), duration: DURATION, renewed, transitions }
                }
                Act::Wait { .. } => {
                    self.renewed_at = None;
                    return;
                }
            };
            if server.1 == version {
                *server = (Some(next.clone()), version + 1);
                self.seen = Seen { record: Some(next), since: clock };
                self.renewed_at = Some(world);
            }
        }
    }

    proptest! {
        #[test]
        fn never_two_leaders(
            turns in proptest::collection::vec((0_usize..3, 1_u64..20_000), 1..200),
            offsets in proptest::collection::vec(0_u64..1_000_000, 3),
        ) {
            let mut server = (None, 0);
            let mut replicas: Vec<Replica> = offsets.iter().enumerate().map(|(number, offset)| Replica {
                name: format!("replica-{number}"),
                offset: Duration::from_millis(*offset),
                seen: Seen { record: None, since: Duration::ZERO },
                renewed_at: None,
            }).collect();
            let mut world = Duration::ZERO;
            for (who, pause) in turns {
                world += Duration::from_millis(pause);
                replicas[who].turn(&mut server, world);
                let leaders: Vec<_> = replicas.iter().filter(|replica| replica.leads(world)).map(|replica| &replica.name).collect();
                prop_assert!(leaders.len() <= 1, "{leaders:?} at {world:?}");
            }
        }

        #[test]
        fn a_silent_holder_is_replaced_in_time(holder in "[a-z]{1,8}", late in 0_u64..60_000) {
            let record = Record { holder, duration: DURATION, renewed: 1, transitions: 7 };
            let seen = Seen { record: Some(record), since: Duration::from_secs(100) };
            let now = Duration::from_secs(100) + Duration::from_millis(late);
            match evaluate(&seen, "ME", now) {
                Act::Take { transitions } => prop_assert!(late >= 15_000 && transitions == 8),
                Act::Wait { until } => prop_assert!(late < 15_000 && until == Duration::from_secs(115)),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }

    #[test]
    fn a_lease_that_was_let_go_is_taken_at_once() {
        let record = Record { holder: String::new(), duration: DURATION, renewed: 1, transitions: 1 };
        let seen = Seen { record: Some(record), since: Duration::ZERO };
        assert_eq!(evaluate(&seen, "me", Duration::ZERO), Act::Take { transitions: 2 });
    }

    #[test]
    fn time_counts_from_the_last_change() {
        let record = |renewed| Some(Record { holder: "other".to_owned(), duration: DURATION, renewed, transitions: 0 });
        let seen = Seen { record: None, since: Duration::ZERO };
        let seen = seen.look(record(1), Duration::from_secs(10)).look(record(1), Duration::from_secs(20));
        assert_eq!(seen.since, Duration::from_secs(10));
        assert_eq!(seen.look(record(2), Duration::from_secs(30)).since, Duration::from_secs(30));
    }
}

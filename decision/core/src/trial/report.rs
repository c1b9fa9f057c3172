//! What a sidecar tells the control service of the trials that it counts: `POST /v1/trials`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Tally;

/// Most policies that a sidecar counts, and that a report names.
pub const MAX_POLICIES: usize = 64;
/// Longest name of an object in bytes.
const MAX_NAME: usize = 253;
/// Longest id of an epoch in bytes.
const MAX_EPOCH: usize = 64;
/// Most calls of one count: the largest integer that every JSON reader keeps exactly.
const MAX_CALLS: u64 = 9_007_199_254_740_991;

/// All that was counted since an epoch began. A report that is lost is made good by the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrialReport {
    /// Start of the sidecar: its epoch's id, 1 to 64 bytes.
    pub epoch: String,
    /// By name of the policy, at most [`MAX_POLICIES`]. One without news may be left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, Progress>,
    /// Calls of an audited agent on which its mode alone makes the difference, and every call that was proposed.
    #[serde(default)]
    pub mode: Progress,
}

/// A count, and how much of it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// What the control service has confirmed: a replica that does not know the epoch goes on from here.
    pub told: Tally,
    /// What is counted now. Never below `told`.
    pub counted: Tally,
}

/// Why a report is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportFault {
    /// No epoch, or none of ours.
    #[error("epoch must have 1 to {MAX_EPOCH} bytes")]
    Epoch,
    /// Too many.
    #[error("policies has {0} members and may have {MAX_POLICIES}")]
    TooMany(usize),
    /// No name of an object.
    #[error("a name in policies must have 1 to {MAX_NAME} bytes")]
    Name,
    /// The parts of a count are not its whole.
    #[error("agreed, wouldDeny, wouldHold and wouldAllow must add up to judged, which may be {MAX_CALLS}")]
    NotWhole,
    /// A count that shrank.
    #[error("counted must not be below told")]
    Shrunk,
}

impl TrialReport {
    /// Whether it keeps its bounds and fits together.
    pub fn check(&self) -> Result<(), ReportFault> {
        if !(1..=MAX_EPOCH).contains(&self.epoch.len()) {
            return Err(ReportFault::Epoch);
        }
        if self.policies.len() > MAX_POLICIES {
            return Err(ReportFault::TooMany(self.policies.len()));
        }
        if self.policies.keys().any(|name| !(1..=MAX_NAME).contains(&name.len())) {
            return Err(ReportFault::Name);
        }
        self.policies.values().chain([&self.mode]).try_for_each(Progress::check)
    }
}

impl Progress {
    fn check(&self) -> Result<(), ReportFault> {
        let whole = |tally: Tally| tally.is_whole() && tally.judged <= MAX_CALLS;
        if !whole(self.told) || !whole(self.counted) {
            return Err(ReportFault::NotWhole);
        }
        if self.counted.covers(self.told) { Ok(()) } else { Err(ReportFault::Shrunk) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(agreed: u64, would_deny: u64) -> Tally {
        Tally { judged: agreed.saturating_add(would_deny), agreed, would_deny, ..Tally::default() }
    }

    fn report(change: impl FnOnce(&mut TrialReport)) -> TrialReport {
        let progress = Progress { told: tally(1, 0), counted: tally(3, 2) };
        let policies = BTreeMap::from([("limits".to_owned(), progress)]);
        let mut report = TrialReport { epoch: "e".to_owned(), policies, mode: Progress::default() };
        change(&mut report);
        report
    }

    #[test]
    fn a_report_keeps_its_bounds() {
        assert_eq!(report(|_| {}).check(), Ok(()));
        let set = |progress: Progress| report(|report| report.mode = progress).check();
        let name = |length: usize| {
            report(|report| {
                report.policies.insert("x".repeat(length), Progress::default());
            })
            .check()
        };
        let many = |count: usize| {
            let names = (0..count).map(|number| (format!("p{number}"), Progress::default()));
            report(|report| report.policies = names.collect()).check()
        };
        assert_eq!(report(|report| report.epoch.clear()).check(), Err(ReportFault::Epoch));
        assert_eq!(report(|report| report.epoch = "x".repeat(65)).check(), Err(ReportFault::Epoch));
        assert_eq!((many(64), many(65)), (Ok(()), Err(ReportFault::TooMany(65))));
        assert_eq!((name(253), name(254), name(0)), (Ok(()), Err(ReportFault::Name), Err(ReportFault::Name)));
        let counted = |counted: Tally| set(Progress { told: Tally::default(), counted });
        assert_eq!(counted(tally(MAX_CALLS, 0)), Ok(()));
        assert_eq!(counted(tally(MAX_CALLS, 1)), Err(ReportFault::NotWhole));
        assert_eq!(counted(Tally { judged: 2, ..tally(1, 0) }), Err(ReportFault::NotWhole));
        assert_eq!(set(Progress { told: tally(2, 0), counted: tally(1, 5) }), Err(ReportFault::Shrunk));
    }

    #[test]
    fn what_is_told_is_read_strictly() {
        let written = serde_json::to_value(report(|_| {})).unwrap();
        let none = serde_json::json!({"judged": 0, "agreed": 0, "wouldDeny": 0, "wouldHold": 0, "wouldAllow": 0});
        assert_eq!(written["mode"], serde_json::json!({"told": none, "counted": none}));
        assert_eq!(serde_json::from_value::<TrialReport>(written.clone()).unwrap(), report(|_| {}));
        for place in ["/policies/limits/counted", "/policies/limits", "/mode", ""] {
            let mut more = written.clone();
            more.pointer_mut(place).unwrap()["more"] = 1.into();
            assert!(serde_json::from_value::<TrialReport>(more).is_err(), "{place}");
        }
        let mut negative = written;
        negative["mode"]["counted"]["judged"] = (-1).into();
        assert!(serde_json::from_value::<TrialReport>(negative).is_err());
    }
}

//! How often what is tried out agrees with what is in force, by policy: sidecar and command line count with this code.

mod percent;
mod report;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decision::{Verdict, Would};

pub use percent::Percent;
pub use report::{MAX_POLICIES, Progress, ReportFault, TrialReport};

/// What a trial came to. Every call that was judged is in one of the other counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tally {
    /// Calls that were judged by it too.
    pub judged: u64,
    /// Of these, calls whose verdict it would not change.
    pub agreed: u64,
    /// Calls that it would refuse, and that had another verdict.
    pub would_deny: u64,
    /// Calls that it would ask a person about, and that had another verdict.
    pub would_hold: u64,
    /// Calls that it would let go, and that had another verdict.
    pub would_allow: u64,
}

/// Trials, counted by policy.
#[derive(Debug)]
pub struct Trials {
    most: usize,
    policies: BTreeMap<String, Tally>,
    mode: Tally,
    not_listed: u64,
}

impl Tally {
    /// Counts a call.
    fn add(&mut self, would: Verdict, agreed: bool) {
        let one = |count: &mut u64| *count = count.saturating_add(1);
        one(&mut self.judged);
        match would {
            _ if agreed => one(&mut self.agreed),
            Verdict::Deny => one(&mut self.would_deny),
            Verdict::Hold => one(&mut self.would_hold),
            Verdict::Allow | Verdict::AllowOnce | Verdict::Propose => one(&mut self.would_allow),
        }
    }

    /// Share of the calls on which trial and reality agree; none without a call.
    pub fn agreement(&self) -> Option<Percent> {
        Percent::of(self.agreed, self.judged)
    }

    /// Whether every call that was judged is in one of the other counts, and none is in two.
    pub fn is_whole(&self) -> bool {
        let parts = [self.agreed, self.would_deny, self.would_hold, self.would_allow];
        parts.into_iter().try_fold(0, u64::checked_add) == Some(self.judged)
    }

    /// Whether no count is below that of `other`.
    pub fn covers(self, other: Self) -> bool {
        self.most(other) == self
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What it has beyond `other`.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    /// The larger of each count.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    fn with(self, other: Self, each: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            judged: each(self.judged, other.judged),
            agreed: each(self.agreed, other.agreed),
            would_deny: each(self.would_deny, other.would_deny),
            would_hold: each(self.would_hold, other.would_hold),
            would_allow: each(self.would_allow, other.would_allow),
        }
    }
}

impl Trials {
    /// Counts at most so many policies by themselves.
    pub fn bounded(most: usize) -> Self {
        Self { most, policies: BTreeMap::new(), mode: Tally::default(), not_listed: 0 }
    }

    /// Counts a call with the verdict that it had; `name` says what a policy is counted as.
    ///
    /// A difference is that of the policy whose rule would make it, or of each that is tried out where no rule of any of
    /// them would. What an agent proposed is counted for its mode only: it is not sent, whatever a policy says.
    pub fn add(&mut self, name: impl Fn(&str) -> String, verdict: Verdict, would: &Would) {
        let agrees = would.verdict.agrees_with(verdict);
        if would.policies.is_empty() || verdict == Verdict::Propose {
            return self.mode.add(would.verdict, agrees);
        }
        for policy in &would.policies {
            let name = name(policy);
            if !self.policies.contains_key(&name) && self.policies.len() >= self.most {
                self.not_listed = self.not_listed.saturating_add(1);
                continue;
            }
            self.policies.entry(name).or_default().add(would.verdict, agrees || !would.is_due_to(policy));
        }
    }

    /// Forgets policies that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.policies.retain(|name, _| keep(name));
    }

    /// By policy.
    pub fn policies(&self) -> &BTreeMap<String, Tally> {
        &self.policies
    }

    /// Calls of an audited agent on which its mode alone makes the difference, and every call that was proposed.
    pub fn mode(&self) -> &Tally {
        &self.mode
    }

    /// Counts of policies beyond those that are counted by themselves.
    pub fn not_listed(&self) -> u64 {
        self.not_listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::RuleRef;

    fn would(verdict: Verdict, by: Option<&str>, policies: &[&str]) -> Would {
        Would {
            verdict,
            code: None,
            detail: None,
            rule: by.map(|policy| RuleRef { policy: policy.to_owned(), rule: "r".to_owned(), reason: None }),
            approvals: Vec::new(),
            policies: policies.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// Judged, agreed, and what would be: deny, hold, allow.
    fn tally([judged, agreed, would_deny, would_hold, would_allow]: [u64; 5]) -> Tally {
        Tally { judged, agreed, would_deny, would_hold, would_allow }
    }

    #[test]
    fn a_difference_counts_for_the_policy_whose_rule_makes_it() {
        let mut trials = Trials::bounded(8);
        let mut add = |verdict, would: Would| trials.add(str::to_owned, verdict, &would);
        add(Verdict::Allow, would(Verdict::Deny, Some("a"), &["a", "b"]));
        add(Verdict::Allow, would(Verdict::Allow, Some("old"), &["a", "b"]));
        // No rule, or one that is in force: each of those that are tried out may be why.
        add(Verdict::Allow, would(Verdict::Deny, None, &["b"]));
        add(Verdict::AllowOnce, would(Verdict::Hold, Some("old"), &["b"]));
        add(Verdict::Deny, would(Verdict::Allow, Some("old"), &["b"]));
        let counted: Vec<_> = trials.policies().iter().map(|(name, tally)| (name.as_str(), *tally)).collect();
        assert_eq!(counted, [("a", tally([2, 1, 1, 0, 0])), ("b", tally([5, 3, 1, 0, 1]))]);
        assert!(counted.iter().all(|(_, tally)| tally.is_whole()));
        assert_eq!((trials.mode(), trials.not_listed()), (&Tally::default(), 0));
    }

    #[test]
    fn the_mode_of_agents_is_counted_by_itself_and_so_is_what_they_propose() {
        let mut trials = Trials::bounded(8);
        trials.add(str::to_owned, Verdict::Allow, &would(Verdict::Hold, Some("old"), &[]));
        trials.add(str::to_owned, Verdict::Propose, &would(Verdict::Allow, Some("new"), &["new"]));
        assert_eq!((*trials.mode(), trials.policies().len()), (tally([2, 0, 0, 1, 1]), 0));
    }

    #[test]
    fn policies_beyond_the_bound_are_not_listed_until_others_are_forgotten() {
        let mut trials = Trials::bounded(1);
        let denied = |policy: &str| would(Verdict::Deny, None, &[policy]);
        for policy in ["a", "b", "a"] {
            trials.add(str::to_owned, Verdict::Allow, &denied(policy));
        }
        assert_eq!((trials.policies().get("a"), trials.not_listed()), (Some(&tally([2, 0, 2, 0, 0])), 1));
        trials.retain(|name| name != "a");
        trials.add(str::to_owned, Verdict::Allow, &denied("b"));
        assert_eq!((trials.policies().keys().collect::<Vec<_>>(), trials.not_listed()), (vec![&"b".to_owned()], 1));
    }

    #[test]
    fn tallies_add_up_and_never_pass_their_bounds() {
        let (less, more) = (tally([3, 1, 1, 1, 0]), tally([7, 3, 2, 1, 1]));
        assert_eq!(more.beyond(less), tally([4, 2, 1, 0, 1]));
        assert_eq!(less.plus(more.beyond(less)), more);
        assert_eq!((less.most(more), more.covers(less), less.covers(more)), (more, true, false));
        assert_eq!(less.beyond(more), Tally::default());
        let most = tally([u64::MAX; 5]);
        assert_eq!(most.plus(less), most);
        assert!(!most.is_whole() && !tally([1, 1, 1, 0, 0]).is_whole() && !tally([2, 1, 0, 0, 0]).is_whole());
        assert!(more.is_whole() && Tally::default().is_whole());
        assert_eq!(more.agreement().map(|share| share.to_string()).as_deref(), Some("42.85"));
        assert_eq!(Tally::default().agreement(), None);
    }
}

//! How often what is tried out agrees with what is in force, by policy.

use aegis_decision::decision::{Verdict, Would};
use aegis_decision::trial::{self, Percent, Tally};
use serde::Serialize;

/// Most policies that are counted by themselves.
const MAX_POLICIES: usize = 1_000;

/// A tally with its share.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row<'a> {
    /// The policy; none for the mode of agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<&'a str>,
    #[serde(flatten)]
    pub(crate) tally: &'a Tally,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agreement: Option<Percent>,
}

/// All trials, by `namespace/name` of the policy; calls of agents that are audited, by the policies that are in force.
#[derive(Debug)]
pub(crate) struct Trials(trial::Trials);

impl Default for Trials {
    fn default() -> Self {
        Self(trial::Trials::bounded(MAX_POLICIES))
    }
}

impl<'a> Row<'a> {
    fn of(policy: Option<&'a str>, tally: &'a Tally) -> Self {
        Self { policy, tally, agreement: tally.agreement() }
    }

    /// For a table.
    pub(crate) fn cells(&self) -> [String; 7] {
        let Tally { judged, agreed, would_deny, would_hold, would_allow } = self.tally;
        let [judged, agreed, deny, hold, allow] =
            [judged, agreed, would_deny, would_hold, would_allow].map(ToString::to_string);
        let share = self.agreement.map_or_else(|| "-".to_owned(), |share| format!("{share} %"));
        [self.policy.unwrap_or("(mode Audit)").to_owned(), judged, agreed, share, deny, hold, allow]
    }
}

impl Trials {
    /// Counts a call with the verdict that it had.
    pub(crate) fn add(&mut self, namespace: &str, verdict: Verdict, would: &Would) {
        self.0.add(|policy| format!("{namespace}/{policy}"), verdict, would);
    }

    /// What was tried out, ordered by name.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let mode = (self.0.mode().judged > 0).then(|| Row::of(None, self.0.mode()));
        self.0.policies().iter().map(|(name, tally)| Row::of(Some(name), tally)).chain(mode)
    }

    /// Counts of policies beyond those that are counted by themselves.
    pub(crate) fn not_listed(&self) -> u64 {
        self.0.not_listed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_name_the_namespace_and_end_with_the_mode() {
        let would = |verdict, policies: &[&str]| Would {
            verdict,
            code: None,
            detail: None,
            rule: None,
            approvals: Vec::new(),
            policies: policies.iter().map(|name| (*name).to_owned()).collect(),
        };
        let mut trials = Trials::default();
        trials.add("n", Verdict::Allow, &would(Verdict::Hold, &[]));
        trials.add("n", Verdict::Allow, &would(Verdict::Deny, &["b"]));
        trials.add("n", Verdict::Allow, &would(Verdict::Allow, &["a", "b"]));
        let cells: Vec<_> = trials.rows().map(|row| row.cells().join(" ")).collect();
        assert_eq!(cells, ["n/a 1 1 100.00 % 0 0 0", "n/b 2 1 50.00 % 1 0 0", "(mode Audit) 1 0 0.00 % 0 1 0"]);
    }
}

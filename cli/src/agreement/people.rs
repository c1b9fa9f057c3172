//! What agents proposed, paired with what people then did.

use std::collections::{BTreeMap, VecDeque};

use aegis_decision::decision::Verdict;
use aegis_decision::json::{self, Value};
use aegis_decision::record::DecisionRecord;
use aegis_decision::rules::exact::Exact;
use aegis_decision::trial::Percent;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Most proposals that are kept at once.
const MAX_PROPOSALS: usize = 1_000_000;

/// One line of what people did.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Deed {
    /// Tool.
    tool: String,
    /// Operation that the agent would have called.
    operation: String,
    /// Values by the paths of the operation's arguments.
    values: BTreeMap<String, Value>,
    /// When it was done.
    at: Timestamp,
}

/// A proposal that nothing was paired with yet.
#[derive(Debug)]
struct Proposal {
    at: Timestamp,
    values: BTreeMap<String, Value>,
    would: Verdict,
}

/// Proposals by tool and operation, in the order of their time once they are [sorted](Proposals::sort).
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    open: BTreeMap<(String, String), VecDeque<Proposal>>,
    count: usize,
    report: Paired,
}

/// How proposals and people agree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Paired {
    /// Calls that agents proposed.
    pub(crate) proposed: u64,
    /// Of these, calls that people then made.
    pub(crate) done: u64,
    /// Calls that would go or wait for a person, and were made; and calls that would be refused, and were not.
    pub(crate) agreed: u64,
    /// What people did without a proposal.
    pub(crate) unproposed: u64,
    /// Proposals beyond those that are kept.
    pub(crate) not_kept: u64,
    /// The share of `agreed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agreement: Option<Percent>,
}

impl Proposals {
    /// Keeps a proposal; anything else is none.
    pub(crate) fn add(&mut self, record: DecisionRecord) {
        let decision = record.decision;
        let (Verdict::Propose, Some(operation)) = (decision.verdict, decision.operation) else { return };
        self.report.proposed = self.report.proposed.saturating_add(1);
        if self.count >= MAX_PROPOSALS {
            self.report.not_kept = self.report.not_kept.saturating_add(1);
            return;
        }
        self.count = self.count.saturating_add(1);
        let would = decision.would.map_or(Verdict::Hold, |would| would.verdict);
        let proposal = Proposal { at: record.time, values: record.values, would };
        self.open.entry((decision.tool, operation)).or_default().push_back(proposal);
    }

    /// Orders them by time: files of several sidecars overlap.
    pub(crate) fn sort(&mut self) {
        for proposals in self.open.values_mut() {
            proposals.make_contiguous().sort_by_key(|proposal| proposal.at);
        }
    }

    /// How many were made.
    pub(crate) fn proposed(&self) -> u64 {
        self.report.proposed
    }

    /// Pairs a deed with the earliest proposal of the same operation and values that it follows in time. One deed is for
    /// one proposal.
    pub(crate) fn pair(&mut self, deed: &Deed, within: SignedDuration) {
        let open = self.open.get_mut(&(deed.tool.clone(), deed.operation.clone()));
        let found = open.and_then(|open| {
            let place = open.iter().position(|proposal| {
                let after = deed.at.duration_since(proposal.at);
                !after.is_negative() && after <= within && same(&proposal.values, &deed.values)
            })?;
            open.remove(place)
        });
        match found {
            None => self.report.unproposed = self.report.unproposed.saturating_add(1),
            Some(proposal) => {
                self.report.done = self.report.done.saturating_add(1);
                let agrees = proposal.would != Verdict::Deny;
                self.report.agreed = self.report.agreed.saturating_add(u64::from(agrees));
            }
        }
    }

    /// How they agree, now that every deed is paired.
    pub(crate) fn report(self) -> Paired {
        let left = self.open.values().flatten().filter(|proposal| proposal.would == Verdict::Deny).count();
        let agreed = self.report.agreed.saturating_add(u64::try_from(left).unwrap_or(u64::MAX));
        let judged = self.report.proposed.saturating_sub(self.report.not_kept);
        Paired { agreed, agreement: Percent::of(agreed, judged), ..self.report }
    }
}

/// Whether two sets of values are of one call: of those that both name, there is one at least and none differs.
fn same(proposed: &BTreeMap<String, Value>, done: &BTreeMap<String, Value>) -> bool {
    let mut both = proposed.iter().filter_map(|(path, value)| Some((value, done.get(path)?))).peekable();
    both.peek().is_some() && both.all(|(proposed, done)| equal(proposed, done))
}

/// Equal as rules compare: numbers and decimals written as text by what they are worth, all else as it is.
fn equal(proposed: &Value, done: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => text.to_string(),
        other => String::from_utf8_lossy(&json::emit(other)).into_owned(),
    };
    let (proposed, done) = (text(proposed), text(done));
    proposed == done || Exact::parse(&proposed).is_some_and(|value| Exact::parse(&done) == Some(value))
}

//! The balance of one pod: what its agent was told, what its sidecars have kept, and what reached the tool.

use std::collections::BTreeMap;

use aegis_decision::record::{DecisionRecord, RecordedExecution};
use anyhow::{Context as _, Result, ensure};

use super::calls::{Call, Kind};
use super::records::Records;
use super::scene::Effect;

/// Codes that do not say that the decision was recorded.
const UNRECORDED: [&str; 3] = ["not_ready", "record_not_writable", "control_unavailable"];
/// Answers after which the call may have had its effect.
const SENT: [&str; 3] = ["upstream_failed", "upstream_timeout", "outcome_unknown"];

/// Numbers of one cell.
#[derive(Debug, Default, Clone)]
pub struct Count {
    /// Times that calls were made.
    pub calls: u64,
    /// Done.
    pub done: u64,
    /// Refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Nobody answered.
    pub unanswered: u64,
    /// Decisions that were recorded about them.
    pub recorded: usize,
    /// Requests that reached the tool.
    pub effects: usize,
    /// Reads that reached the tool and whose record died with the sidecar, which the class permits.
    pub reads_unrecorded: u64,
}

/// One call with all the times that it was made.
struct Story<'a> {
    tries: Vec<&'a Call>,
    effects: Vec<&'a Effect>,
}

/// Everything about one pod.
pub struct Balance<'a> {
    /// Name of the pod, which every id at the tool begins with.
    pub lane: &'a str,
    pub calls: &'a [Call],
    pub records: &'a Records,
    pub effects: &'a [Effect],
    /// Times in the records cannot be compared with others.
    pub jumped: bool,
}

impl Balance<'_> {
    /// Judges every call, and counts by the cell that it began in; `cell` names the cell of a time.
    pub fn judge(&self, cell: impl Fn(u64) -> usize) -> Result<BTreeMap<usize, Count>> {
        let mut stories: BTreeMap<&str, Story<'_>> = BTreeMap::new();
        for call in self.calls {
            let story = stories.entry(&call.id).or_insert_with(|| Story { tries: Vec::new(), effects: Vec::new() });
            story.tries.push(call);
        }
        for effect in self.effects {
            let id = effect.path.rsplit('/').next().and_then(|id| id.strip_prefix(self.lane)?.strip_prefix('-'));
            let Some(id) = id else { continue };
            let story = stories.get_mut(id).with_context(|| format!("nobody made the call {effect:?}"))?;
            story.effects.push(effect);
        }
        let mut counts: BTreeMap<usize, Count> = BTreeMap::new();
        for (id, story) in &stories {
            let name = format!("{}-{id}", self.lane);
            let first = story.tries.first().context("a call without a try")?;
            let unrecorded = self.one(&name, first.kind, story).with_context(|| {
                format!("call {name} of {:?}: tries {:#?}, effects {:?}", first.kind, story.tries, story.effects)
            })?;
            for call in &story.tries {
                let count = counts.entry(cell(call.began)).or_default();
                count.calls += 1;
                match call.end.as_ref().map(|end| (end.status, &end.code)) {
                    Some((Some(200), _)) => count.done += 1,
                    Some((Some(_), Some(code))) => *count.refused.entry(code.clone()).or_default() += 1,
                    _ => count.unanswered += 1,
                }
            }
            let count = counts.entry(cell(first.began)).or_default();
            count.recorded += self.records.about(&name);
            count.effects += story.effects.len();
            count.reads_unrecorded += unrecorded;
        }
        Ok(counts)
    }

    /// What must hold for every call; answers the Reads that reached the tool without a record.
    fn one(&self, name: &str, kind: Kind, story: &Story<'_>) -> Result<u64> {
        let leave: Vec<&DecisionRecord> = self.records.leave(name).collect();
        if kind == Kind::Read {
            return Ok(u64::from(!story.effects.is_empty() && leave.is_empty()));
        }
        ensure!(story.effects.len() <= 1, "it had its effect twice");
        for effect in &story.effects {
            let allowed = leave.iter().any(|record| self.is_leave_for(record, effect, kind));
            ensure!(allowed, "an effect that no record allowed before: {leave:#?}");
        }
        for call in &story.tries {
            self.answered(call, story)?;
        }
        let may_be_sent = story.tries.iter().any(|call| {
            let answer = call.end.as_ref().and_then(|end| Some((end.status?, end.code.as_deref())));
            match answer {
                None | Some((200, _)) => true,
                Some((_, code)) => code.is_some_and(|code| SENT.contains(&code)),
            }
        });
        ensure!(may_be_sent || story.effects.is_empty(), "it was refused, and had its effect all the same");
        Ok(0)
    }

    /// Whether a record allowed this effect: made before it, and named by its key where it has one.
    fn is_leave_for(&self, record: &DecisionRecord, effect: &Effect, kind: Kind) -> bool {
        let uid = record.approval.as_ref().map(|approval| approval.uid.as_str());
        let named = match (kind, effect.key.as_deref()) {
            (Kind::Commit, Some(key)) => key == record.id,
            (Kind::Held, Some(key)) => Some(key) == uid,
            (Kind::Commit | Kind::Held, None) => false,
            (Kind::Read | Kind::Draft, _) => true,
        };
        let before = u64::try_from(record.time.as_millisecond()).is_ok_and(|time| time <= effect.at);
        named && (before || self.jumped)
    }

    /// What an answer about a Draft or Commit acknowledges.
    fn answered(&self, call: &Call, story: &Story<'_>) -> Result<()> {
        let Some((status, code, Some(decision))) =
            call.end.as_ref().and_then(|end| Some((end.status?, end.code.as_deref(), end.decision.as_deref())))
        else {
            return Ok(());
        };
        if code.is_some_and(|code| UNRECORDED.contains(&code)) {
            return Ok(());
        }
        ensure!(self.records.by_id(decision).is_some(), "acknowledged, and its record is lost: {call:?}");
        if status == 200 {
            let outcome = self.records.outcome(decision).context("done, and its outcome is lost")?;
            ensure!(outcome.execution == RecordedExecution::Succeeded, "done, and recorded as {outcome:?}");
            ensure!(story.effects.len() == 1, "done, and the tool never saw it");
        }
        Ok(())
    }
}

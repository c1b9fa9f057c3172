//! What a record weighs while it waits to be written: its own form, its texts, and the parts of its lists. What the
//! allocator adds is not counted.

use std::collections::BTreeMap;

use super::{
    AgentRef, ApprovalRef, ClaimRef, ConnectionEndRecord, ConnectionRecord, DecisionRecord, OutcomeRecord, PodRef,
};
use crate::decision::{
    CheckOutcome, DecisionOutput, DelegationRef, FailedCheck, Requirement, RuleOutcome, RuleRef, Sanitized,
    UnknownValue, Would,
};
use crate::digest::Digest;
use crate::json::Value;
use crate::policy::Source;
use crate::run::Place;
use crate::tier::{Duty, Tier};

/// Bytes of memory that a value holds beside its own form.
pub(super) trait Beside {
    fn beside(&self) -> usize;
}

/// Bytes of all of them, their own forms included.
fn all<'a, T: Beside + 'a>(parts: impl Iterator<Item = &'a T>) -> usize {
    parts.fold(0, |sum, part| sum.saturating_add(std::mem::size_of::<T>()).saturating_add(part.beside()))
}

impl Beside for String {
    fn beside(&self) -> usize {
        self.len()
    }
}

impl<T: Beside> Beside for Option<T> {
    fn beside(&self) -> usize {
        self.as_ref().map_or(0, Beside::beside)
    }
}

impl<T: Beside> Beside for Vec<T> {
    fn beside(&self) -> usize {
        all(self.iter())
    }
}

impl<K: Beside, V: Beside> Beside for BTreeMap<K, V> {
    fn beside(&self) -> usize {
        all(self.keys()).saturating_add(all(self.values()))
    }
}

impl Beside for Value {
    fn beside(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => 0,
            Self::String(text) => text.len(),
            Self::Array(items) => items.beside(),
            Self::Object(members) => members.iter().fold(0, |sum, (name, value)| {
                let name = std::mem::size_of::<crate::json::Text>().saturating_add(name.len());
                sum.saturating_add(name).saturating_add(std::mem::size_of::<Self>()).saturating_add(value.beside())
            }),
        }
    }
}

impl Beside for Source {
    fn beside(&self) -> usize {
        match self {
            Self::Delegation | Self::Request => 0,
            Self::Registry(name) | Self::Response(name) => name.len(),
        }
    }
}

impl Beside for Digest {
    fn beside(&self) -> usize {
        0
    }
}

impl Beside for Duty {
    fn beside(&self) -> usize {
        0
    }
}

/// The parts of a type that may hold something beside it.
macro_rules! parts {
    ($($of:ident: $($part:ident),+;)+) => {$(
        impl Beside for $of {
            fn beside(&self) -> usize {
                [$(self.$part.beside()),+].into_iter().fold(0, usize::saturating_add)
            }
        }
    )+};
}

parts! {
    AgentRef: tenant, business_unit, namespace, name, uid, version;
    PodRef: name, uid;
    ApprovalRef: name, uid, approvers;
    ClaimRef: nonce;
    RuleRef: policy, rule, reason;
    CheckOutcome: field, check;
    RuleOutcome: policy, rule, effect, reason, checks;
    FailedCheck: field, check, limit, value;
    Sanitized: field, action, rule;
    Tier: name, separation_of_duties;
    Requirement: tier, asked_by;
    Place: tool, operation, path;
    UnknownValue: policy, field, from, first_seen;
    DelegationRef: name, uid, delegator, requester, workflow;
    Would: detail, rule, approvals, policies;
    DecisionOutput: v, detail, tool, operation, rule, failed, allowed, sanitized, rules, nearest, requirements,
        unknown_origins, delegation, facts, would;
    DecisionRecord: v, id, epoch, agent, pod, target, decision, approval, claim, traceparent, run, plan, purpose, values;
    OutcomeRecord: v, id, epoch, decision, idempotency_key;
    ConnectionRecord: v, id, epoch, agent, pod, host, detail, reason;
    ConnectionEndRecord: v, id, epoch, connection;
}

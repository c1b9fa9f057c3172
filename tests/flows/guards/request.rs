//! An `ApprovalRequest` with every field set, as the control service makes it, and the states it can be brought to.

use aegis_crds::api::ApprovalRequest;
use anyhow::Result;
use serde_json::{Value, json};

use super::people::TIERS;

/// The digest of the effect that every request here is about.
pub const EFFECT: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
/// The digest of another effect.
pub const OTHER: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";
/// The time of every claim and outcome here.
pub const LATER: &str = "2026-05-04T10:05:00Z";

/// Where a request stands when a test begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Just made: it has no status yet.
    New,
    /// Undecided.
    Pending,
    /// Approved by a person; the control service has not seen it.
    ApprovedUnseen,
    /// Denied by a person; the control service has not seen it.
    DeniedUnseen,
    /// Approved and free to be claimed.
    Approved,
    /// A person has denied.
    Denied,
    /// Its time was over before somebody decided.
    Expired,
    /// What it was judged with changed before somebody decided.
    Stale,
    /// Its agent or delegation ended before somebody decided.
    Void,
    /// Approved and claimed; the call is being sent.
    Claimed,
    /// Claimed and done.
    Succeeded,
    /// Claimed, and nobody knows how it ended.
    Indeterminate,
}

impl State {
    /// The verdict that ana has given on the way to this state.
    pub fn verdict(self) -> Option<&'static str> {
        match self {
            Self::New | Self::Pending | Self::Expired | Self::Stale | Self::Void => None,
            Self::Denied | Self::DeniedUnseen => Some("Denied"),
            Self::ApprovedUnseen | Self::Approved | Self::Claimed | Self::Succeeded | Self::Indeterminate => {
                Some("Approved")
            }
        }
    }

    /// The statuses that the control service writes on the way to this state, in order.
    pub fn statuses(self) -> Vec<Value> {
        let pending = json!({"phase": "Pending", "execution": "NotStarted"});
        let phase = |phase: &str| vec![pending.clone(), json!({"phase": phase, "execution": "NotStarted"})];
        let ended = |execution: &str| {
            let mut statuses = Self::Claimed.statuses();
            let mut last = claimed("nonce-1");
            last["execution"] = execution.into();
            last["receipt"] = json!({"sent": true, "record": "record-1", "at": LATER});
            statuses.push(last);
            statuses
        };
        match self {
            Self::New => Vec::new(),
            Self::Pending | Self::ApprovedUnseen | Self::DeniedUnseen => vec![pending],
            Self::Approved => vec![pending, approved()],
            Self::Denied => phase("Denied"),
            Self::Expired => phase("Expired"),
            Self::Stale => phase("Stale"),
            Self::Void => phase("Void"),
            Self::Claimed => vec![pending, approved(), claimed("nonce-1")],
            Self::Succeeded => ended("Succeeded"),
            Self::Indeterminate => ended("Indeterminate"),
        }
    }
}

/// The status of an approved request that nobody has claimed.
pub fn approved() -> Value {
    json!({"phase": "Approved", "execution": "NotStarted", "decidedAt": "2026-05-04T10:04:00Z"})
}

/// The status of a request that one attempt has claimed.
pub fn claimed(nonce: &str) -> Value {
    let mut status = approved();
    status["execution"] = "Claimed".into();
    status["claim"] = json!({"pod": "pod-1", "nonce": nonce, "jti": "token-1", "at": LATER});
    status
}

/// A request about [`EFFECT`] that needs the first `tiers` of [`TIERS`]; carol asked for it, under dave's authority.
pub fn request(name: &str, tiers: usize) -> Result<ApprovalRequest> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1",
        "kind": "ApprovalRequest",
        "metadata": {"name": name, "labels": {"team": "purchasing"}},
        "spec": spec(tiers),
    }))?)
}

fn spec(tiers: usize) -> Value {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let requirements: Vec<Value> = TIERS
        .iter()
        .take(tiers)
        .map(|tier| {
            json!({
                "tier": tier, "minimum": 1, "separationOfDuties": ["Requester", "Delegator"],
                "decideWithin": "2h", "releaseTTL": "15m",
                "askedBy": [{"policy": "purchases", "rule": "large-orders", "reason": "over_limit"}],
            })
        })
        .collect();
    json!({
        "agent": {"name": "buyer", "uid": "agent-uid", "version": "7"},
        "delegation": {"name": "office-supplies", "uid": "delegation-uid", "generation": 3, "delegator": "dave"},
        "requester": "carol",
        "action": {
            "tool": "erp", "operation": "purchase.confirm", "class": "Commit",
            "target": {"method": "POST", "url": "https://erp.example/purchases/12/confirm"},
            "effectDigest": EFFECT, "contextDigest": digest("3"),
            "contextParts": {
                "rules": digest("4"), "registries": digest("5"), "facts": digest("6"),
                "delegation": digest("7"), "tool": digest("8"),
            },
        },
        "preview": [
            {"path": "order.total", "value": "12000.00"},
            {"path": "order.supplier", "value": "Paper Mill", "flags": ["first_seen"]},
        ],
        "previewDigest": digest("9"),
        "requirements": requirements,
        "requestedAt": "2026-05-04T10:00:00Z",
        "expiresAt": "2036-05-04T12:00:00Z",
        "releaseTTL": "15m",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    })
}

//! What the sidecar says about itself on the admin port: `/status`, and what `/startup` still waits for. No secret, and
//! nothing of a call: any pod may read it.

use std::sync::Arc;

use aegis_decision::control::Head;
use aegis_decision::digest::Digest;
use aegis_decision::egress::Level;
use aegis_decision::probe::ProbeState;
use aegis_runtime::ready::Readiness;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use crate::control::Control;
use crate::state::{Knowledge, State};

/// Where the answers come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Policy, grants, token.
    pub state: Arc<State>,
    /// The control service; none when policy comes from files.
    pub control: Option<Arc<Control>>,
    /// How much the pod is bound to the sidecar.
    pub level: Level,
    /// Whether a probe must prove the capture before there is a token.
    pub is_probed: bool,
    /// What is still waited for before a call can be judged.
    pub readiness: Readiness,
    /// The end of what is recorded.
    pub head: watch::Receiver<Option<Head>>,
}

/// The answer of `/status`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    version: &'static str,
    level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<BundleStatus>,
    /// Age of the token, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_age_seconds: Option<u64>,
    /// Life left of the token, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_left_seconds: Option<u64>,
    /// Age of the knowledge, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    knowledge_age_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Head>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<ProbeState>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleStatus {
    version: u64,
    digest: Digest,
}

impl Sources {
    /// What is known now.
    pub fn status(&self) -> Status {
        let policy = self.state.policy();
        let knowledge = self.state.knowledge();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            level: self.level,
            agent: policy.as_ref().map(|policy| policy.bundle.agent().full_name()),
            bundle: policy
                .as_ref()
                .map(|policy| BundleStatus { version: policy.version, digest: policy.bundle.digest() }),
            token_age_seconds: self.state.token().map(|token| token.since.elapsed().as_secs()),
            token_left_seconds: self.state.token().map(|token| token.left().as_secs()),
            knowledge_age_seconds: match knowledge {
                Some(Knowledge::AsOf(as_of)) => Some(Timestamp::now().duration_since(as_of).as_secs()),
                Some(Knowledge::Fixed) | None => None,
            },
            records: self.head.borrow().clone(),
            probe: self.state.capture().map(|capture| ProbeState {
                verified: capture.is_proven(),
                ready: self.readiness.pending().is_empty(),
            }),
        }
    }

    /// What a start still waits for, once the sidecar listens: all that it takes to judge a call, so that the agent's
    /// first instruction may be one. Where a probe must prove the capture first, the probe's start waits for that, and the
    /// sidecar's for the control service only.
    pub fn pending(&self) -> Vec<&'static str> {
        if !self.is_probed {
            return self.readiness.pending();
        }
        let is_reached = self.control.as_ref().is_none_or(|control| control.was_reached());
        if is_reached { Vec::new() } else { vec!["control"] }
    }
}

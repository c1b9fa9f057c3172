//! The newest record of every sidecar, so that a cut at the end of its file is found.
//!
//! Kept in memory of the replica that got it; an auditor asks for them and keeps them with the files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use aegis_decision::control::Head;
use aegis_decision::token::AgentClaims;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use super::auth::Caller;
use super::{Control, Refusal};

/// Most heads that are kept; the oldest go first.
const MAX_HEADS: usize = 10_000;

/// A head with who reported it, and when.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reported {
    /// `namespace/name` of the agent.
    pub agent: String,
    /// Uid of the pod.
    pub pod: String,
    /// When it was last reported.
    pub at: Timestamp,
    /// The head.
    #[serde(flatten)]
    pub head: Head,
}

/// The latest head of every epoch.
#[derive(Debug, Default)]
pub struct Heads {
    by_epoch: RwLock<BTreeMap<(String, String), Reported>>,
}

impl Heads {
    /// Keeps a head. One that goes back is refused: a sidecar only ever appends.
    fn put(&self, claims: &AgentClaims, head: Head, now: Timestamp) -> Result<(), Refusal> {
        let mut heads = self.by_epoch.write().unwrap_or_else(PoisonError::into_inner);
        let key = (claims.agent.uid.clone(), head.epoch.clone());
        if heads.get(&key).is_some_and(|before| before.head.sequence > head.sequence) {
            return Err(Refusal::Malformed("sequence goes back".to_owned()));
        }
        if heads.len() >= MAX_HEADS && !heads.contains_key(&key) {
            let oldest = heads.iter().min_by_key(|(_, reported)| reported.at).map(|(key, _)| key.clone());
            oldest.map(|key| heads.remove(&key));
        }
        let agent = format!("{}/{}", claims.agent.namespace, claims.agent.name);
        heads.insert(key, Reported { agent, pod: claims.pod.uid.clone(), at: now, head });
        Ok(())
    }
}

/// `POST /v1/heads`.
pub async fn put(
    State(control): State<Arc<Control>>,
    Caller(claims): Caller,
    Json(head): Json<Head>,
) -> Result<StatusCode, Refusal> {
    if head.epoch.is_empty() || head.epoch.len() > 64 {
        return Err(Refusal::Malformed("epoch must have 1 to 64 bytes".to_owned()));
    }
    control.heads.put(&claims, head, Timestamp::now())?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/heads`: those of the caller's own agent.
pub async fn list(State(control): State<Arc<Control>>, Caller(claims): Caller) -> Json<Vec<Reported>> {
    let heads = control.heads.by_epoch.read().unwrap_or_else(PoisonError::into_inner);
    let own: BTreeSet<_> = heads.keys().filter(|(uid, _)| *uid == claims.agent.uid).collect();
    Json(own.into_iter().filter_map(|key| heads.get(key)).cloned().collect())
}

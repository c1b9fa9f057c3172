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
use crate::epochs::make_room;

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
        if heads.get(&key).is_some_and(|before| before.pod != claims.pod.uid) {
            return Err(Refusal::Malformed("epoch is another pod's".to_owned()));
        }
        if !heads.contains_key(&key) {
            make_room(&mut heads, MAX_HEADS, |(uid, _)| *uid == key.0, |reported| reported.at);
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

#[cfg(test)]
mod tests {
    use aegis_decision::digest::Digest;
    use aegis_decision::token::{AgentName, Confirmation, PodName};

    use super::*;
    use crate::epochs::MAX_PER_AGENT;

    fn claims(agent: &str, pod: &str) -> AgentClaims {
        AgentClaims {
            iss: String::new(),
            sub: String::new(),
            aud: String::new(),
            exp: Timestamp::UNIX_EPOCH,
            nbf: Timestamp::UNIX_EPOCH,
            iat: Timestamp::UNIX_EPOCH,
            jti: String::new(),
            org: String::new(),
            tenant: String::new(),
            bu: String::new(),
            agent: AgentName {
                namespace: "shop".to_owned(),
                name: agent.to_owned(),
                uid: agent.to_owned(),
                version: "1".to_owned(),
            },
            scope: String::new(),
            amr: Vec::new(),
            cnf: Confirmation { jkt: String::new() },
            pod: PodName { name: pod.to_owned(), uid: pod.to_owned() },
        }
    }

    fn head(epoch: &str, sequence: u64) -> Head {
        Head { epoch: epoch.to_owned(), sequence, root: Digest::of_bytes(b"root") }
    }

    #[test]
    fn one_agent_pushes_out_its_own_oldest_heads_only() {
        let heads = Heads::default();
        let at = |second: usize| Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
        heads.put(&claims("honest", "a"), head("e", 7), at(0)).unwrap();
        for number in 0..MAX_PER_AGENT + 10 {
            heads.put(&claims("flood", "b"), head(&format!("e{number}"), 1), at(number + 1)).unwrap();
        }
        let kept = heads.by_epoch.read().unwrap();
        assert_eq!(kept.len(), MAX_PER_AGENT + 1);
        assert!(kept.contains_key(&("honest".to_owned(), "e".to_owned())));
        assert!(!kept.contains_key(&("flood".to_owned(), "e9".to_owned())), "its oldest went first");
        assert!(kept.contains_key(&("flood".to_owned(), "e10".to_owned())));
    }

    #[test]
    fn a_head_neither_goes_back_nor_to_another_pod() {
        let heads = Heads::default();
        let now = Timestamp::UNIX_EPOCH;
        heads.put(&claims("buyer", "a"), head("e", 7), now).unwrap();
        assert!(heads.put(&claims("buyer", "a"), head("e", 6), now).is_err());
        assert!(heads.put(&claims("buyer", "b"), head("e", 8), now).is_err());
        heads.put(&claims("buyer", "a"), head("e", 8), now).unwrap();
    }
}

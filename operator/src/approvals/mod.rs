//! Approval requests: from a held call to a release, and to its end.
//!
//! The state machine is aegis-decision's `advance`. Here is what feeds it ([`view`]), what it is made from ([`build`],
//! [`preview`]) and what carries its steps out ([`steps`]), each by compare-and-set on the object as read from the API
//! server now, never from a cache.

pub mod build;
pub mod preview;
pub mod steps;
pub mod view;
pub mod write;

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// Releases that are out, by request uid. Filled only after the guards were found in place.
#[derive(Debug, Default)]
pub struct Released(RwLock<BTreeMap<String, OneRelease>>);

#[derive(Debug, Clone)]
struct OneRelease {
    agent_uid: String,
    token: String,
}

impl Released {
    /// A release goes out; says whether it is new.
    pub fn insert(&self, request_uid: &str, agent_uid: &str, token: String) -> bool {
        let release = OneRelease { agent_uid: agent_uid.to_owned(), token };
        let mut releases = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = releases.insert(request_uid.to_owned(), release.clone());
        before.is_none_or(|before| before.token != release.token)
    }

    /// A release is used or void; says whether it was out.
    pub fn remove(&self, request_uid: &str) -> bool {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(request_uid).is_some()
    }

    /// Whether a release of this request is out.
    pub fn contains(&self, request_uid: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(request_uid)
    }

    /// The agent's releases, ordered by request uid.
    pub fn of(&self, agent_uid: &str) -> Vec<String> {
        let releases = self.0.read().unwrap_or_else(PoisonError::into_inner);
        releases
            .values()
            .filter(|release| release.agent_uid == agent_uid)
            .map(|release| release.token.clone())
            .collect()
    }
}

//! What is made for an agent beside its bundle, and owned by it: network policies, and a Sealed agent's gateway.
//!
//! ```text
//! tools, egress, settings -> place (pure) -> peers (looked up) -> one builder a kind (pure) -> apply
//! ```
//! | level | objects |
//! | --- | --- |
//! | Mediated | none: nothing was asked for that a policy would enforce |
//! | Captured | a `NetworkPolicy` of the agent's pods |
//! | Sealed | that, and the gateway: Deployment, Service, `PodDisruptionBudget` and its own `NetworkPolicy` |
//!
//! Apart from the pipeline of status and feed: a network policy that cannot be written holds up no suspension. What came
//! of it stands in conditions `Fenced` and `EgressWide` of the Agent.

mod agent_policy;
mod apply;
mod cilium;
mod deployment;
mod disruption;
#[cfg(test)]
mod fixture;
mod gateway_policy;
mod owner;
mod peers;
mod place;
mod rules;
mod service;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

use crate::conditions::Wanted;

pub use agent_policy::build as agent_policy;
pub use gateway_policy::build as gateway_policy;
pub use peers::{Peer, To};
pub use task::run;

/// Names that a condition lists at most.
const MAX_NAMED: usize = 8;

/// The conditions that are told here, and their reasons.
pub const TOLD: [(&str, &[&str]); 2] =
    [("Fenced", &["Applied", "NotApplied", "ServiceNotFound", "NotWritten"]), ("EgressWide", &["NamesOutside"])];

/// What came of an agent's objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fence {
    /// Whether network policies are written for it.
    pub policies: bool,
    /// Names that were let through as the whole internet.
    pub wide: BTreeSet<String>,
    /// Services that were not found.
    pub missing: BTreeSet<String>,
    /// Why an object is not as it should be.
    pub failed: Option<String>,
}

/// The fences of all agents, by uid.
#[derive(Debug, Default)]
pub struct Fences(RwLock<BTreeMap<String, Fence>>);

impl Fences {
    /// What came of an agent's objects, if that is known.
    pub fn of(&self, uid: &str) -> Option<Fence> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// Keeps what came of it; says whether it is news.
    fn set(&self, uid: &str, fence: Option<Fence>) -> bool {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match fence {
            Some(fence) => all.insert(uid.to_owned(), fence.clone()) != Some(fence),
            None => all.remove(uid).is_some(),
        }
    }
}

impl Fence {
    /// Conditions `Fenced` and, where a name is let through as the whole internet, `EgressWide`.
    pub fn conditions(&self) -> Vec<Wanted> {
        let fenced = |ok, reason, message: String| Wanted::new("Fenced", ok, reason, message);
        let mut all = vec![if let Some(failed) = &self.failed {
            fenced(false, "NotApplied", failed.clone())
        } else if !self.missing.is_empty() {
            let text = format!("no such Service, or no such port or endpoint of it: {}", listed(&self.missing));
            fenced(false, "ServiceNotFound", text)
        } else if self.policies {
            fenced(
                true,
                "Applied",
                "network policies are written; whether they hold is the network plugin's".to_owned(),
            )
        } else {
            fenced(false, "NotWritten", "network.policies of the mesh settings is off".to_owned())
        }];
        if !self.wide.is_empty() {
            let text = format!(
                "names beside Services are let through as every address outside, on their ports: {}",
                listed(&self.wide)
            );
            all.push(Wanted::new("EgressWide", true, "NamesOutside", text));
        }
        all
    }
}

fn listed(names: &BTreeSet<String>) -> String {
    let mut list: Vec<&str> = names.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = format!("{} more", names.len().saturating_sub(MAX_NAMED));
    if names.len() > MAX_NAMED {
        list.push(&more);
    }
    list.join(", ")
}

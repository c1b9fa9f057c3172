//! What the sidecars of each agent should know now. The reconciler writes it, feed connections read it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use aegis_decision::agent::{Agent, Lifecycle, Standing};
use aegis_decision::feed::Grants;
use aegis_decision::outline::Outline;
use jiff::Timestamp;
use tokio::sync::watch;

/// What the sidecars of one agent should know.
#[derive(Debug, Clone)]
pub struct View {
    /// The agent.
    pub agent: Arc<Agent>,
    /// Whether it holds its service account: if not, it gets no token.
    pub workload_bound: bool,
    /// The last good bundle; none while there never was one.
    pub bundle: Option<Arc<Published>>,
    /// Lifecycle, delegations and releases.
    pub grants: Arc<Grants>,
}

/// A bundle with the version that the agent's status names.
#[derive(Debug)]
pub struct Published {
    /// Raised with every change of the digest.
    pub version: u64,
    /// The bundle, without what judges: there is one for each agent. See [`crate::control::Compiled`].
    pub bundle: Outline,
}

/// The views of all agents by uid, and the age of what they rest on.
#[derive(Debug)]
pub struct Hub {
    agents: RwLock<HashMap<String, watch::Sender<View>>>,
    planned: RwLock<BTreeSet<String>>,
    as_of: watch::Sender<Option<Timestamp>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { agents: RwLock::default(), planned: RwLock::default(), as_of: watch::Sender::new(None) }
    }
}

impl Hub {
    /// Publishes a view; says whether it differs from the one before.
    pub fn publish(&self, view: View) -> bool {
        let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = agents.get(&view.agent.uid) else {
            agents.insert(view.agent.uid.clone(), watch::Sender::new(view));
            return true;
        };
        sender.send_if_modified(|current| {
            let changed = !current.same(&view);
            if changed {
                *current = view;
            }
            changed
        })
    }

    /// An agent is gone: its sidecars are told that it is retired, and nothing is granted to it any more.
    pub fn retire(&self, uid: &str) {
        if let Some(sender) = self.agents.read().unwrap_or_else(PoisonError::into_inner).get(uid) {
            sender.send_if_modified(|view| {
                let retired = Grants {
                    standing: Standing { lifecycle: Lifecycle::Retired, review: None },
                    delegations: Vec::new(),
                    releases: Vec::new(),
                    probe_requested: None,
                };
                let changed = *view.grants != retired || view.workload_bound;
                view.grants = Arc::new(retired);
                view.workload_bound = false;
                changed
            });
        }
    }

    /// The agent's view now.
    pub fn view(&self, uid: &str) -> Option<View> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner).get(uid).map(|sender| sender.borrow().clone())
    }

    /// The agent's view and its changes.
    pub fn subscribe(&self, uid: &str) -> Option<watch::Receiver<View>> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner).get(uid).map(watch::Sender::subscribe)
    }

    /// The view of the agent of that name.
    pub fn find(&self, namespace: &str, name: &str) -> Option<View> {
        let agents = self.agents.read().unwrap_or_else(PoisonError::into_inner);
        agents.values().map(|sender| sender.borrow().clone()).find(|view| {
            view.agent.namespace == namespace
                && view.agent.name == name
                && view.grants.standing.lifecycle != Lifecycle::Retired
        })
    }

    /// The views of a namespace are all here; says whether that is new.
    pub fn set_planned(&self, namespace: &str) -> bool {
        self.planned.write().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned())
    }

    /// Whether an agent of this namespace that has no view is gone. Before the first plan that cannot be told.
    pub fn is_planned(&self, namespace: &str) -> bool {
        self.planned.read().unwrap_or_else(PoisonError::into_inner).contains(namespace)
    }

    /// Uids of all agents of a namespace.
    pub fn uids(&self, namespace: &str) -> Vec<String> {
        let agents = self.agents.read().unwrap_or_else(PoisonError::into_inner);
        agents
            .iter()
            .filter(|(_, sender)| sender.borrow().agent.namespace == namespace)
            .map(|(uid, _)| uid.clone())
            .collect()
    }

    /// When everything that the views rest on was last known to be complete.
    pub fn as_of(&self) -> watch::Receiver<Option<Timestamp>> {
        self.as_of.subscribe()
    }

    /// Everything was complete at `as_of`.
    pub fn confirm(&self, as_of: Timestamp) {
        self.as_of.send_replace(Some(as_of));
    }
}

impl View {
    fn same(&self, other: &Self) -> bool {
        let digest = |view: &Self| view.bundle.as_ref().map(|published| (published.version, published.bundle.digest()));
        self.agent == other.agent
            && self.workload_bound == other.workload_bound
            && digest(self) == digest(other)
            && self.grants == other.grants
    }
}

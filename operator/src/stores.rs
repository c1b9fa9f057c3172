//! What the API server holds, as last seen: one watch and one store per kind and namespace.
//!
//! Watches can lose events without an error. So every kind is listed again, metadata only, every some seconds; when the
//! store holds what the list said, the views are confirmed to be complete as of the start of that list. Sidecars close
//! when that confirmation grows old, not when an error is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aegis_cluster::{Watched, watch};
use aegis_crds::api::{Agent, ApprovalRequest, ApprovalTier, Delegation, Registry, Tool, ToolPolicy};
use aegis_crds::mesh::AGENT_LABEL;
use aegis_runtime::shutdown::Drain;
use aegis_runtime::tasks::{TaskResult, Tasks};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::Notify;

use crate::hub::Hub;
use crate::pods;

/// Time that a store has to catch up with a list.
const CATCH_UP: Duration = Duration::from_secs(5);

/// The stores of all kinds.
#[derive(Clone)]
pub struct Stores {
    /// Agents.
    pub agents: Kind<Agent>,
    /// Tools.
    pub tools: Kind<Tool>,
    /// Policies.
    pub policies: Kind<ToolPolicy>,
    /// Registries.
    pub registries: Kind<Registry>,
    /// Delegations.
    pub delegations: Kind<Delegation>,
    /// Tiers.
    pub tiers: Kind<ApprovalTier>,
    /// Approval requests.
    pub requests: Kind<ApprovalRequest>,
    /// Pods, slim ([`crate::pods::slim`]). What sidecars are told does not rest on them, so no confirmation waits for
    /// them: they are for the status.
    pub pods: Kind<Pod>,
}

/// The stores of one kind, one per watched namespace (or one for all).
#[derive(Clone)]
pub struct Kind<K: Watched> {
    stores: Vec<Store<K>>,
}

impl<K: Watched> Kind<K> {
    /// Objects of a namespace, ordered by name.
    pub fn of(&self, namespace: &str) -> Vec<Arc<K>> {
        let mut objects: Vec<_> = self
            .stores
            .iter()
            .flat_map(|store| store.state_filter(|object| object.meta().namespace.as_deref() == Some(namespace)))
            .collect();
        objects.sort_by_key(|object| object.name_any());
        objects
    }

    /// Every namespace that holds one.
    pub fn namespaces(&self) -> BTreeSet<String> {
        self.stores.iter().flat_map(Store::state).filter_map(|object| object.namespace()).collect()
    }

    /// The first object that satisfies a predicate.
    pub fn find(&self, predicate: impl Fn(&K) -> bool) -> Option<Arc<K>> {
        self.stores.iter().find_map(|store| store.find(&predicate))
    }
}

/// Namespaces in which something changed.
#[derive(Debug, Default)]
pub struct Dirty {
    marks: Mutex<Marks>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Marks {
    namespaces: BTreeSet<String>,
    /// Marks that were ever made, taken, and dealt with.
    made: u64,
    taken: u64,
    settled: u64,
}

impl Dirty {
    /// Something changed in this namespace.
    pub fn mark(&self, namespace: &str) {
        {
            let mut marks = self.marks();
            marks.namespaces.insert(namespace.to_owned());
            marks.made = marks.made.saturating_add(1);
        }
        self.changed.notify_one();
    }

    /// Number of marks up to now.
    pub fn made(&self) -> u64 {
        self.marks().made
    }

    /// Whoever takes the marks has dealt with all that it took.
    pub fn settle(&self) {
        let mut marks = self.marks();
        marks.settled = marks.taken;
    }

    /// Whether the first `made` marks have been dealt with.
    pub fn is_settled(&self, made: u64) -> bool {
        self.marks().settled >= made
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_now(&self) -> BTreeSet<String> {
        let mut marks = self.marks();
        marks.taken = marks.made;
        std::mem::take(&mut marks.namespaces)
    }

    /// Waits until something changed, and takes the namespaces.
    pub async fn take(&self) -> BTreeSet<String> {
        loop {
            let taken = self.take_now();
            if !taken.is_empty() {
                return taken;
            }
            self.changed.notified().await;
        }
    }
}

/// What the watches mark: the namespace for its plan, the request for its steps.
#[derive(Debug, Default)]
pub struct Changes {
    /// Namespaces to plan again.
    pub namespaces: Dirty,
    /// Requests (`namespace/name`) to look at again.
    pub requests: Dirty,
    /// Namespaces that were planned: what their agents own is carried out.
    pub planned: Dirty,
    /// A namespace has its first agent: its sidecars must be told whom to trust.
    pub appeared: Arc<Notify>,
}

struct Starter<'a> {
    client: &'a Client,
    namespaces: &'a [String],
    changes: &'a Arc<Changes>,
    tasks: &'a mut Tasks,
    drain: &'a Drain,
    list_every: Duration,
    confirmations: Vec<Arc<Mutex<Option<Timestamp>>>>,
}

/// Starts the watches. Every kind is listed again after `list_every`.
pub fn start(
    client: &Client,
    namespaces: &[String],
    list_every: Duration,
    changes: &Arc<Changes>,
    hub: &Arc<Hub>,
    tasks: &mut Tasks,
    drain: &Drain,
) -> Stores {
    let mut starter = Starter { client, namespaces, changes, tasks, drain, list_every, confirmations: Vec::new() };
    let stores = Stores {
        agents: starter.kind("watch agents"),
        tools: starter.kind("watch tools"),
        policies: starter.kind("watch policies"),
        registries: starter.kind("watch registries"),
        delegations: starter.kind("watch delegations"),
        tiers: starter.kind("watch tiers"),
        requests: starter.kind("watch requests"),
        pods: Kind { stores: Vec::new() },
    };
    let pods = starter.pods(&stores.agents);
    let stores = Stores { pods, ..stores };
    let confirmations = std::mem::take(&mut starter.confirmations);
    starter.tasks.spawn("confirm", confirm_all(confirmations, Arc::clone(changes), Arc::clone(hub), drain.clone()));
    stores
}

impl Stores {
    /// Returns when every store has seen its first list.
    pub async fn ready(&self) -> Result<(), reflector::store::WriterDropped> {
        async fn all<K: Watched>(kind: &Kind<K>) -> Result<(), reflector::store::WriterDropped> {
            for store in &kind.stores {
                store.wait_until_ready().await?;
            }
            Ok(())
        }
        all(&self.agents).await?;
        all(&self.tools).await?;
        all(&self.policies).await?;
        all(&self.registries).await?;
        all(&self.delegations).await?;
        all(&self.tiers).await?;
        all(&self.requests).await?;
        all(&self.pods).await
    }

    /// Whether a namespace holds nothing that is compiled.
    pub fn is_empty(&self, namespace: &str) -> bool {
        self.agents.of(namespace).is_empty()
            && self.tools.of(namespace).is_empty()
            && self.policies.of(namespace).is_empty()
    }

    /// Every namespace that holds an object of ours.
    pub fn namespaces(&self) -> BTreeSet<String> {
        self.agents
            .namespaces()
            .into_iter()
            .chain(self.tools.namespaces())
            .chain(self.policies.namespaces())
            .chain(self.registries.namespaces())
            .chain(self.delegations.namespaces())
            .chain(self.tiers.namespaces())
            .collect()
    }
}

impl Starter<'_> {
    fn apis<K: Watched>(&self) -> Vec<Api<K>> {
        if self.namespaces.is_empty() {
            vec![Api::all(self.client.clone())]
        } else {
            self.namespaces.iter().map(|namespace| Api::namespaced(self.client.clone(), namespace)).collect()
        }
    }

    /// Watches a kind, and confirms what the watch saw.
    fn kind<K: Watched>(&mut self, name: &'static str) -> Kind<K> {
        let stores = self.apis().into_iter().map(|api| self.confirmed(name, api)).collect();
        Kind { stores }
    }

    /// Watches pods. Only those of an agent, by label or service account, are worth a new plan.
    fn pods(&mut self, agents: &Kind<Agent>) -> Kind<Pod> {
        let apis: Vec<Api<Pod>> = self.apis();
        let start = |api| {
            let (changes, agents) = (Arc::clone(self.changes), agents.clone());
            let note = move |event: watcher::Event<Pod>| {
                if let Some(pod) = object(&event) {
                    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
                    let namespace = pod.metadata.namespace.as_deref();
                    let of = |agent: &Agent| {
                        agent.metadata.namespace.as_deref() == namespace
                            && Some(agent.spec.workload.service_account_name.as_str()) == account
                    };
                    if pods::label(pod, AGENT_LABEL).is_some() || agents.find(of).is_some() {
                        note(&changes, pod);
                    }
                }
            };
            watch("watch pods", api, pods::slim, note, self.tasks, self.drain)
        };
        Kind { stores: apis.into_iter().map(start).collect() }
    }

    fn confirmed<K: Watched>(&mut self, name: &'static str, api: Api<K>) -> Store<K> {
        let (changes, seen) = (Arc::clone(self.changes), Arc::new(Notify::new()));
        let slim = |object: &mut K| object.meta_mut().managed_fields = None;
        let told = Arc::clone(&seen);
        let note = move |event: watcher::Event<K>| {
            if let Some(object) = object(&event) {
                note(&changes, object);
            }
            told.notify_one();
        };
        let store = watch(name, api.clone(), slim, note, self.tasks, self.drain);
        let confirmation = Arc::new(Mutex::new(None));
        self.confirmations.push(Arc::clone(&confirmation));
        let (changes, drain) = (Arc::clone(self.changes), self.drain.clone());
        let list = relist(api, store.clone(), seen, confirmation, changes, drain, self.list_every);
        self.tasks.spawn("relist", list);
        store
    }
}

fn object<K>(event: &watcher::Event<K>) -> Option<&K> {
    match event {
        watcher::Event::Apply(object) | watcher::Event::InitApply(object) | watcher::Event::Delete(object) => {
            Some(object)
        }
        watcher::Event::Init | watcher::Event::InitDone => None,
    }
}

fn note<K: Watched>(changes: &Changes, object: &K) {
    if let Some(namespace) = object.namespace() {
        changes.namespaces.mark(&namespace);
        if K::kind(&()) == "ApprovalRequest" {
            changes.requests.mark(&format!("{namespace}/{}", object.name_any()));
        }
    }
}

/// Lists a kind at every `list_every`; confirms the start of the list once the store, which changes when `seen` tells,
/// holds what it said.
async fn relist<K: Watched>(
    api: Api<K>,
    store: Store<K>,
    seen: Arc<Notify>,
    confirmation: Arc<Mutex<Option<Timestamp>>>,
    changes: Arc<Changes>,
    drain: Drain,
    list_every: Duration,
) -> TaskResult {
    let mut tick = tokio::time::interval(list_every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = drain.begun() => return Ok(()),
            _ = tick.tick() => {}
        }
        let start = Timestamp::now();
        // No resource version: a consistent read, never from the API server's own cache of unknown age.
        let listed = match api.list_metadata(&ListParams::default()).await {
            Ok(list) => versions(list.items.iter().map(|object| &object.metadata)),
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "list failed");
                continue;
            }
        };
        let caught_up = tokio::time::timeout(CATCH_UP, async {
            loop {
                let state = store.state();
                if newer_or_same(&versions(state.iter().map(|object| object.meta())), &listed) {
                    return;
                }
                seen.notified().await;
            }
        });
        if tokio::select! { result = caught_up => result.is_ok(), () = drain.begun() => return Ok(()) } {
            *confirmation.lock().unwrap_or_else(PoisonError::into_inner) = Some(start);
        } else {
            tracing::warn!(kind = %K::kind(&()), "the watch lags behind the list");
            store.state().iter().filter_map(|object| object.namespace()).for_each(|ns| changes.namespaces.mark(&ns));
        }
    }
}

type Versions = BTreeMap<String, u64>;

fn versions<'a>(
    objects: impl Iterator<Item = &'a k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>,
) -> Versions {
    objects.filter_map(|meta| Some((meta.uid.clone()?, meta.resource_version.as_ref()?.parse().ok()?))).collect()
}

/// Whether a store holds everything that was listed, at that version or a later one (the object may have changed
/// since), and nothing that the list no longer had. An object created after the list is newer than all listed ones.
fn newer_or_same(held: &Versions, listed: &Versions) -> bool {
    let newest = listed.values().copied().max().unwrap_or(0);
    listed.iter().all(|(uid, version)| held.get(uid).is_none_or(|have| have >= version))
        && listed.keys().filter(|uid| !held.contains_key(*uid)).count() == 0
        && held.iter().all(|(uid, version)| listed.contains_key(uid) || *version > newest)
}

/// Confirms the oldest of all kinds, once sidecars were told the grants that follow from all that the stores held then.
async fn confirm_all(
    confirmations: Vec<Arc<Mutex<Option<Timestamp>>>>,
    changes: Arc<Changes>,
    hub: Arc<Hub>,
    drain: Drain,
) -> TaskResult {
    let mut waiting: Option<(Timestamp, u64)> = None;
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            () = drain.begun() => return Ok(()),
            _ = tick.tick() => {}
        }
        if waiting.is_none() {
            waiting = complete_at(&confirmations)
                .filter(|as_of| *hub.as_of().borrow() != Some(*as_of))
                .map(|as_of| (as_of, changes.namespaces.made()));
        }
        if let Some((as_of, made)) = waiting
            && changes.namespaces.is_settled(made)
        {
            hub.confirm(as_of);
            waiting = None;
        }
    }
}

/// When the stores of all kinds were last known to be complete.
fn complete_at(confirmations: &[Arc<Mutex<Option<Timestamp>>>]) -> Option<Timestamp> {
    confirmations
        .iter()
        .map(|confirmation| *confirmation.lock().unwrap_or_else(PoisonError::into_inner))
        .try_fold(Timestamp::MAX, |oldest, at| at.map(|at| oldest.min(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, u64)]) -> Versions {
        pairs.iter().map(|(uid, version)| ((*uid).to_owned(), *version)).collect()
    }

    #[test]
    fn a_store_is_complete_when_it_holds_the_list_or_newer() {
        let listed = of(&[("a", 5), ("b", 7)]);
        assert!(newer_or_same(&of(&[("a", 5), ("b", 7)]), &listed));
        assert!(newer_or_same(&of(&[("a", 9), ("b", 7), ("c", 8)]), &listed));
        assert!(!newer_or_same(&of(&[("a", 4), ("b", 7)]), &listed), "an old version");
        assert!(!newer_or_same(&of(&[("a", 5)]), &listed), "one is missing");
        assert!(!newer_or_same(&of(&[("a", 5), ("b", 7), ("c", 3)]), &listed), "one was deleted");
    }

    #[tokio::test]
    async fn marks_are_settled_once_what_was_taken_is_dealt_with() {
        let dirty = Dirty::default();
        assert!(dirty.is_settled(dirty.made()), "nothing was marked");
        dirty.mark("shop");
        let made = dirty.made();
        dirty.settle();
        assert!(!dirty.is_settled(made), "not taken yet");
        dirty.take().await;
        assert!(!dirty.is_settled(made), "taken, not dealt with");
        dirty.mark("shop");
        dirty.settle();
        assert!(dirty.is_settled(made) && !dirty.is_settled(dirty.made()), "what came later has no part in it");
    }

    #[tokio::test(start_paused = true)]
    async fn sidecars_are_told_grants_before_they_are_told_that_these_are_fresh() {
        let (changes, hub, drain) = (Arc::new(Changes::default()), Arc::new(Hub::default()), Drain::new());
        let complete = Arc::new(Mutex::new(Some(Timestamp::UNIX_EPOCH)));
        changes.namespaces.mark("shop");
        let confirm = confirm_all(vec![complete], Arc::clone(&changes), Arc::clone(&hub), drain);
        let mut confirm = std::pin::pin!(confirm);
        let early = tokio::time::timeout(Duration::from_millis(600), &mut confirm).await;
        assert!(early.is_err() && hub.as_of().borrow().is_none(), "a plan of the namespace is still to come");
        changes.namespaces.take().await;
        changes.namespaces.settle();
        let later = tokio::time::timeout(Duration::from_millis(600), &mut confirm).await;
        assert!(later.is_err() && *hub.as_of().borrow() == Some(Timestamp::UNIX_EPOCH));
    }

    #[tokio::test]
    async fn a_mark_before_the_wait_is_not_lost() {
        let dirty = Dirty::default();
        dirty.mark("shop");
        dirty.mark("shop");
        assert_eq!(dirty.take().await.len(), 1);
    }
}

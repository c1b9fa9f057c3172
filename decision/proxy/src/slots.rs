//! How many calls of each tool are under way at once, over all workers, and which of them must be alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aegis_decision::tool::{Class, Endpoint, Operation, Tool};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Calls under way by tool. Holds only names and places of declared tools, so it is as small as they are few.
#[derive(Debug, Default)]
pub struct Slots {
    taken: Arc<Mutex<HashMap<String, u16>>>,
    turns: Mutex<HashMap<Place, Arc<RwLock<()>>>>,
}

/// Scheme, host and port of an endpoint. Several tools may lead to one, for different credentials or below different
/// paths: what one of them changes, another reads.
type Place = (&'static str, String, u16);

/// A write's turn at a tool; ends when dropped.
#[derive(Debug)]
pub enum Turn {
    /// A Read changes nothing: it waits for nobody.
    Read,
    /// Beside other writes.
    Shared(OwnedRwLockReadGuard<()>),
    /// No other write of this sidecar is under way.
    Alone(OwnedRwLockWriteGuard<()>),
}

/// One call under way; ends when dropped.
#[derive(Debug)]
pub struct Slot {
    taken: Arc<Mutex<HashMap<String, u16>>>,
    tool: String,
}

impl Slots {
    /// Takes a slot of the tool; none when its `limits.concurrency` is reached.
    pub fn take(&self, tool: &Tool) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(tool.name.clone()).or_default();
        if *count >= tool.limits.concurrency {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Slot { taken: Arc::clone(&self.taken), tool: tool.name.clone() })
    }

    /// Waits for the turn of a call. A write that is judged by facts is alone from the reading of its facts to its answer:
    /// else the same agent could change, with a second call, what the first was judged by (read an order of 100, make it
    /// 100,000, confirm), be it by another tool of the same endpoint. Against writers that do not pass this sidecar only the
    /// tool itself can guard.
    pub async fn turn(&self, tool: &Tool, operation: &Operation) -> Turn {
        if operation.class == Class::Read {
            return Turn::Read;
        }
        let turns = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let Endpoint { scheme, host, port, base_path: _ } = &tool.endpoint;
            Arc::clone(turns.entry((scheme.as_str(), host.clone(), *port)).or_default())
        };
        if operation.facts.is_empty() {
            Turn::Shared(turns.read_owned().await)
        } else {
            Turn::Alone(turns.write_owned().await)
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.tool) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.tool);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aegis_decision::path::{Path, Root, Step};
    use aegis_decision::tool::{Fact, HttpBinding, Limits, ResponseRules, Scheme};

    use super::*;

    fn operation(class: Class, facts: usize) -> Operation {
        let path = Path { root: Root::Arguments, steps: vec![Step::Key("total".to_owned())] };
        let fact = |number: usize| Fact {
            name: format!("f{number}"),
            operation: "orders.get".to_owned(),
            arguments: std::collections::BTreeMap::default(),
            paths: vec![path.clone()],
        };
        Operation {
            name: "orders.confirm".to_owned(),
            class,
            http: HttpBinding {
                method: "POST".to_owned(),
                path: "/orders".to_owned(),
                query: Vec::new(),
                body: std::collections::BTreeMap::default(),
            },
            arguments_from: String::new(),
            aliases: std::collections::BTreeMap::default(),
            dimensions: std::collections::BTreeMap::default(),
            arguments: None,
            facts: (0..facts).map(fact).collect(),
            record_clear: Vec::new(),
            sensitive: Vec::new(),
            response: ResponseRules::default(),
            timeout_seconds: 1,
        }
    }

    fn tool() -> Tool {
        Tool {
            name: "erp".to_owned(),
            uid: String::new(),
            endpoint: Endpoint {
                scheme: Scheme::Http,
                host: "127.0.0.1".to_owned(),
                port: 1,
                base_path: String::new(),
            },
            tls: None,
            headers: Vec::new(),
            credential: None,
            allow_private_addresses: true,
            operations: Vec::new().into(),
            limits: Limits { request_bytes: 1, response_bytes: 1, concurrency: 1 },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_rests_on_facts_is_alone_among_writes() {
        let (slots, tool) = (Slots::default(), tool());
        let edit = operation(Class::Draft, 0);
        let confirm = operation(Class::Commit, 1);
        let read = operation(Class::Read, 0);
        let soon = Duration::from_secs(1);
        let one = slots.turn(&tool, &edit).await;
        let other = slots.turn(&tool, &edit).await;
        assert!(tokio::time::timeout(soon, slots.turn(&tool, &confirm)).await.is_err(), "edits are under way");
        drop((one, other));
        let alone = slots.turn(&tool, &confirm).await;
        assert!(tokio::time::timeout(soon, slots.turn(&tool, &edit)).await.is_err(), "the order must not change now");
        assert!(tokio::time::timeout(soon, slots.turn(&tool, &confirm)).await.is_err());
        assert!(matches!(slots.turn(&tool, &read).await, Turn::Read));
        drop(alone);
        assert!(tokio::time::timeout(soon, slots.turn(&tool, &edit)).await.is_ok());
    }
    #[tokio::test(start_paused = true)]
    async fn tools_of_one_endpoint_take_turns_with_each_other() {
        let (slots, tool) = (Slots::default(), tool());
        let edit = operation(Class::Draft, 0);
        let confirm = operation(Class::Commit, 1);
        let soon = Duration::from_secs(1);
        let mut drafts = tool.clone();
        drafts.name = "erp-drafts".to_owned();
        drafts.endpoint.base_path = "/drafts".to_owned();
        let mut other = tool.clone();
        other.endpoint.port = 2;
        let alone = slots.turn(&tool, &confirm).await;
        assert!(tokio::time::timeout(soon, slots.turn(&drafts, &edit)).await.is_err(), "the same endpoint");
        assert!(tokio::time::timeout(soon, slots.turn(&other, &edit)).await.is_ok(), "another one");
        drop(alone);
        assert!(tokio::time::timeout(soon, slots.turn(&drafts, &edit)).await.is_ok());
    }
}

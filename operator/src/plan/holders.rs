//! One service account serves one agent: of several that name it, the oldest holds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use aegis_crds::api::Agent;
use jiff::Timestamp;

/// Orders agents from the oldest.
type Age<'a> = (Option<Timestamp>, Option<&'a str>);

/// Who holds each service account of a namespace.
#[derive(Debug)]
pub struct Holders<'a>(BTreeMap<&'a str, Age<'a>>);

impl<'a> Holders<'a> {
    /// Among these agents.
    pub fn among(agents: &'a [Arc<Agent>]) -> Self {
        let mut oldest: BTreeMap<&str, Age<'a>> = BTreeMap::new();
        for agent in agents {
            let held = oldest.entry(account(agent)).or_insert_with(|| age(agent));
            *held = age(agent).min(*held);
        }
        Self(oldest)
    }

    /// Whether an agent holds its account.
    pub fn has(&self, agent: &Agent) -> bool {
        self.0.get(account(agent)).is_none_or(|oldest| age(agent) <= *oldest)
    }
}

fn account(agent: &Agent) -> &str {
    &agent.spec.workload.service_account_name
}

fn age(agent: &Agent) -> Age<'_> {
    (agent.metadata.creation_timestamp.as_ref().map(|time| time.0), agent.metadata.uid.as_deref())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn agent(uid: &str, account: &str, created: &str) -> Arc<Agent> {
        let agent = json!({
            "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent",
            "metadata": {"name": uid, "namespace": "shop", "uid": uid, "creationTimestamp": created},
            "spec": {"tenant": "acme", "businessUnit": "office", "owner": {"name": "Ana"}, "version": "1",
                     "lifecycle": "Active", "workload": {"serviceAccountName": account}},
        });
        Arc::new(serde_json::from_value(agent).unwrap())
    }

    #[test]
    fn the_oldest_of_those_that_name_an_account_holds_it() {
        let agents = [
            agent("young", "till", "2026-03-02T00:00:00Z"),
            agent("old", "till", "2026-03-01T00:00:00Z"),
            agent("other", "desk", "2026-03-03T00:00:00Z"),
            agent("b", "both", "2026-03-01T00:00:00Z"),
            agent("a", "both", "2026-03-01T00:00:00Z"),
        ];
        let holders = Holders::among(&agents);
        let holding: Vec<_> = agents.iter().filter(|agent| holders.has(agent)).map(|agent| age(agent).1).collect();
        assert_eq!(holding, [Some("old"), Some("other"), Some("a")]);
    }
}

//! What is kept of a bundle where there are many and few of them judge. What a bundle was compiled to is several times as
//! large as what it was made from, and the bundles of a namespace share most of the latter.

use std::collections::BTreeMap;

use crate::agent::Agent;
use crate::bundle::{AssembleError, Bundle, BundleSource};
use crate::digest::Digest;
use crate::lineup::Lineups;
use crate::policy::Policy;
use crate::registry::Registry;
use crate::tool::Tool;

/// A bundle without what was compiled. It is made from a bundle and from nothing else, so its source is known to compile.
#[derive(Debug)]
pub struct Outline {
    source: BundleSource,
    digest: Digest,
    source_bytes: usize,
    review_digest: Digest,
    /// By tool and operation.
    compared: BTreeMap<String, BTreeMap<String, Compared>>,
}

/// What the context of a call of one operation is compared with.
#[derive(Debug)]
pub(crate) struct Compared {
    /// Digests of the rules that are in force for some call, by the share that its run is in.
    rules: Vec<Digest>,
    /// Digest of the operation as the tool declares it.
    pub(crate) tool: Digest,
}

impl From<Bundle> for Outline {
    fn from(bundle: Bundle) -> Self {
        let Bundle { source, digest, source_bytes, review_digest, lineups, .. } = bundle;
        let of_tool = |lineups: BTreeMap<String, Lineups>| {
            lineups.into_iter().map(|(operation, lineups)| (operation, Compared::of(&lineups))).collect()
        };
        let compared = lineups.into_iter().map(|(tool, lineups)| (tool, of_tool(lineups))).collect();
        Self { source, digest, source_bytes, review_digest, compared }
    }
}

impl Outline {
    /// The bundle, compiled anew.
    pub fn compile(&self) -> Result<Bundle, AssembleError> {
        Bundle::assemble(self.source.clone())
    }

    /// Digest of the source.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Length of the source as canonical JSON, in bytes.
    pub fn source_bytes(&self) -> usize {
        self.source_bytes
    }

    /// What a review of the agent attests ([`Agent::review_digest`]), computed once.
    pub fn review_digest(&self) -> Digest {
        self.review_digest
    }

    /// What the bundle was made from; its parts are ordered by name.
    pub fn source(&self) -> &BundleSource {
        &self.source
    }

    /// The agent.
    pub fn agent(&self) -> &Agent {
        &self.source.agent
    }

    /// The tool of that name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        named(&self.source.tools, name, |tool| tool.name.as_str())
    }

    /// The policy of that name.
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        named(&self.source.policies, name, |policy| policy.name.as_str())
    }

    /// The registry of that name.
    pub fn registry(&self, name: &str) -> Option<&Registry> {
        named(&self.source.registries, name, |registry| registry.name.as_str())
    }

    /// What contexts of an operation's calls are compared with. There is for every operation of the bundle.
    pub(crate) fn compared(&self, tool: &str, operation: &str) -> Option<&Compared> {
        self.compared.get(tool)?.get(operation)
    }
}

impl Compared {
    fn of(lineups: &Lineups) -> Self {
        Self { rules: lineups.rules().collect(), tool: lineups.tool }
    }

    /// This digest, where it is that of rules that are in force for some call; else that of the first.
    pub(crate) fn reported_or_first(&self, reported: Digest) -> Option<Digest> {
        if self.rules.contains(&reported) { Some(reported) } else { self.rules.first().copied() }
    }
}

/// The one of that name among values that are ordered by name, as [`Bundle::assemble`] orders them.
fn named<'a, T>(ordered: &'a [T], name: &str, name_of: impl Fn(&T) -> &str) -> Option<&'a T> {
    let place = ordered.binary_search_by(|one| name_of(one).cmp(name)).ok()?;
    ordered.get(place)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Two of everything, in no order, and a rollout, so that two sets of rules are in force.
    fn source() -> BundleSource {
        let operation = |name: &str| {
            json!({"name": name, "class": "Draft", "http": {"method": "POST", "path": format!("/{name}")},
                   "arguments": {"type": "object"}, "facts": [], "timeoutSeconds": 5})
        };
        let tool = |name: &str| {
            json!({"name": name, "endpoint": {"scheme": "https", "host": "post.example", "port": 443, "basePath": ""},
                   "allowPrivateAddresses": false, "operations": [operation("send"), operation("note")],
                   "limits": {"requestBytes": 1000, "responseBytes": 1000, "concurrency": 1}})
        };
        let registry = |name: &str| json!({"name": name, "key": "id", "entries": {"p1": {}}});
        let policy = |name: &str, rule: &str| {
            json!({"name": name, "tools": ["post", "mail"],
                   "rules": [{"name": rule, "operations": ["*"], "effect": "Allow"}]})
        };
        let mut second = policy("second", "more");
        second["rollout"] = json!({"percent": 50});
        serde_json::from_value(json!({
            "agent": {"namespace": "n", "name": "clerk", "uid": "u1", "tenant": "t", "businessUnit": "b", "owner": "o",
                      "version": "1", "ceiling": "Commit", "serviceAccount": "clerk", "maxStalenessSeconds": 60,
                      "tokenTtlSeconds": 300},
            "tools": [tool("post"), tool("mail")],
            "policies": [second, policy("first", "all")],
            "registries": [registry("people"), registry("banks")],
            "tiers": [],
        }))
        .unwrap()
    }

    fn bundle() -> Bundle {
        Bundle::assemble(source()).unwrap()
    }

    #[test]
    fn an_outline_says_what_its_bundle_says() {
        let (bundle, outline) = (bundle(), Outline::from(bundle()));
        assert_eq!(
            (outline.digest(), outline.source_bytes(), outline.review_digest()),
            (bundle.digest(), bundle.source_bytes(), bundle.review_digest())
        );
        assert_eq!((outline.source(), outline.agent()), (bundle.source(), bundle.agent()));
        let BundleSource { agent: _, tools, policies, registries, tiers: _ } = bundle.source();
        assert_eq!((tools.len(), policies.len(), registries.len()), (2, 2, 2));
        for tool in tools {
            assert_eq!((outline.tool(&tool.name), bundle.tool(&tool.name)), (Some(tool), Some(tool)));
            for operation in &tool.operations {
                let lineups = bundle.lineups(&tool.name, &operation.name).unwrap();
                let compared = outline.compared(&tool.name, &operation.name).unwrap();
                let rules: Vec<Digest> = lineups.rules().collect();
                assert_eq!((compared.tool, &compared.rules), (lineups.tool, &rules));
                assert_eq!(rules.len(), 2, "inside the share and outside");
                for one in &rules {
                    assert_eq!(compared.reported_or_first(*one), Some(*one));
                }
                assert_eq!(compared.reported_or_first(bundle.digest()), Some(rules[0]), "rules that are gone");
            }
        }
        for policy in policies {
            assert_eq!(outline.policy(&policy.name), Some(policy));
        }
        for registry in registries {
            assert_eq!(outline.registry(&registry.name), Some(registry));
        }
        let nothing = (outline.tool("gone"), outline.policy(""), outline.registry("zebra"));
        assert_eq!(nothing, (None, None, None));
        assert!(outline.compared("post", "gone").is_none() && outline.compared("gone", "send").is_none());
    }

    #[test]
    fn what_is_compiled_of_an_outline_is_the_bundle() {
        let again = Outline::from(bundle()).compile().unwrap();
        assert_eq!((again.digest(), again.source()), (bundle().digest(), bundle().source()));
    }
}

//! The resources of one namespace as core values, each lowered once. The bundles of all its agents then share what is large
//! of them, and so do the bundles that are made later of a resource that has not changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use aegis_decision::policy::Policy;
use aegis_decision::registry::Registry;
use aegis_decision::tier::Tier;
use aegis_decision::tool::Tool;
use kube::core::object::HasSpec;
use kube::{Resource, ResourceExt as _};

use crate::api;
use crate::lower::{self, Invalid};

/// How resources become core values.
pub trait Lower {
    /// The tool, or the field that cannot be used.
    fn tool(&self, resource: &api::Tool) -> Result<Tool, Invalid>;
    /// The policy, or the field that cannot be used.
    fn policy(&self, resource: &api::ToolPolicy) -> Result<Policy, Invalid>;
    /// The registry, or the field that cannot be used.
    fn registry(&self, resource: &api::Registry) -> Result<Registry, Invalid>;
    /// The tier, or the field that cannot be used.
    fn tier(&self, resource: &api::ApprovalTier) -> Result<Tier, Invalid>;
}

/// Lowers every time anew.
#[derive(Debug, Clone, Copy)]
pub struct Anew;

impl Lower for Anew {
    fn tool(&self, resource: &api::Tool) -> Result<Tool, Invalid> {
        lower::tool(resource)
    }

    fn policy(&self, resource: &api::ToolPolicy) -> Result<Policy, Invalid> {
        lower::policy(resource)
    }

    fn registry(&self, resource: &api::Registry) -> Result<Registry, Invalid> {
        lower::registry(resource)
    }

    fn tier(&self, resource: &api::ApprovalTier) -> Result<Tier, Invalid> {
        lower::tier(resource)
    }
}

/// What the resources of one namespace came to. Another resource is lowered when it is asked for, and not kept.
#[derive(Debug, Default)]
pub struct Lowered {
    tools: Kept<api::Tool, Tool>,
    policies: Kept<api::ToolPolicy, Policy>,
    registries: Kept<api::Registry, Registry>,
    tiers: Kept<api::ApprovalTier, Tier>,
}

impl Lowered {
    /// Lowers the resources of a namespace, but for those that are as they were `before`.
    pub fn of(
        before: &Self,
        tools: &[Arc<api::Tool>],
        policies: &[Arc<api::ToolPolicy>],
        registries: &[Arc<api::Registry>],
        tiers: &[Arc<api::ApprovalTier>],
    ) -> Self {
        Self {
            tools: Kept::of(&before.tools, tools, lower::tool),
            policies: Kept::of(&before.policies, policies, lower::policy),
            registries: Kept::of(&before.registries, registries, lower::registry),
            tiers: Kept::of(&before.tiers, tiers, lower::tier),
        }
    }
}

impl Lower for Lowered {
    fn tool(&self, resource: &api::Tool) -> Result<Tool, Invalid> {
        self.tools.find(resource).unwrap_or_else(|| lower::tool(resource))
    }

    fn policy(&self, resource: &api::ToolPolicy) -> Result<Policy, Invalid> {
        self.policies.find(resource).unwrap_or_else(|| lower::policy(resource))
    }

    fn registry(&self, resource: &api::Registry) -> Result<Registry, Invalid> {
        self.registries.find(resource).unwrap_or_else(|| lower::registry(resource))
    }

    fn tier(&self, resource: &api::ApprovalTier) -> Result<Tier, Invalid> {
        self.tiers.find(resource).unwrap_or_else(|| lower::tier(resource))
    }
}

/// What the resources of one kind came to, by name.
#[derive(Debug)]
struct Kept<K, C>(BTreeMap<String, (Arc<K>, Result<C, Invalid>)>);

impl<K, C> Default for Kept<K, C> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Resource + HasSpec<Spec: PartialEq>, C: Clone> Kept<K, C> {
    fn of(before: &Self, resources: &[Arc<K>], lower: impl Fn(&K) -> Result<C, Invalid>) -> Self {
        let kept = resources.iter().map(|resource| {
            let result = before.find(resource).unwrap_or_else(|| lower(resource));
            (resource.name_any(), (Arc::clone(resource), result))
        });
        Self(kept.collect())
    }

    /// What the resource came to, if it is known as it is now.
    fn find(&self, resource: &K) -> Option<Result<C, Invalid>> {
        let (known, result) = self.0.get(&resource.name_any())?;
        is_same::<K>(known, resource).then(|| result.clone())
    }
}

/// Whether two resources of one name are lowered to the same: nothing but name, uid and spec has a part in it.
fn is_same<K: Resource + HasSpec<Spec: PartialEq>>(one: &K, other: &K) -> bool {
    std::ptr::eq(one, other) || (one.meta().uid == other.meta().uid && one.spec() == other.spec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn registry(uid: &str, id: &str) -> Arc<api::Registry> {
        let registry = json!({
            "apiVersion": "aegis.dev/v1alpha1", "kind": "Registry", "metadata": {"name": "suppliers", "uid": uid},
            "spec": {"key": "supplierId", "entries": [{"id": id}]},
        });
        Arc::new(serde_json::from_value(registry).unwrap())
    }

    fn lowered(before: &Lowered, registry: &Arc<api::Registry>) -> Lowered {
        Lowered::of(before, &[], &[], std::slice::from_ref(registry), &[])
    }

    #[test]
    fn what_has_not_changed_is_one_value_and_what_has_is_another() {
        let entries = |lowered: &Lowered, of: &api::Registry| lowered.registry(of).unwrap().entries;
        let first = registry("1", "A");
        let known = lowered(&Lowered::default(), &first);
        let kept = entries(&known, &first);
        assert!(kept.is_one_with(&entries(&known, &first)));
        // A list brings a new object with the same spec.
        let (again, changed, anew) = (registry("1", "A"), registry("1", "B"), registry("2", "A"));
        assert!(kept.is_one_with(&entries(&lowered(&known, &again), &again)));
        for other in [changed, anew] {
            let next = lowered(&known, &other);
            assert!(!kept.is_one_with(&entries(&next, &other)));
            assert_eq!(next.registry(&other), lower::registry(&other));
        }
        assert_eq!(known.registry(&registry("1", "C")), lower::registry(&registry("1", "C")), "one that is not known");
    }
}

//! Resources as people write them: what is lowered is lowered once and for all, and what is not is named without its value.

use aegis_crds::api;
use aegis_crds::compiles;
use aegis_crds::gather::{Problem, bundle_source};
use aegis_crds::load::{Resources, load};
use aegis_crds::lower::{self, Invalid};
use aegis_decision::bundle::{AssembleError, Bundle, BundleSource};
use aegis_decision::digest::Digest;
use aegis_decision::json;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A word that no reason may repeat.
const SECRET: &str = "s3cret";

/// Panics where resources are lowered in two ways, or an error is not one that its author can mend. Gives the number of
/// bundles that were made.
pub fn check(bytes: &[u8]) -> usize {
    let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
    let all = match load("some.yaml", text) {
        Ok(all) => all,
        Err(error) => {
            assert!(error.to_string().starts_with("some.yaml: "), "{error}");
            return 0;
        }
    };
    all.tools.iter().for_each(|tool| lowered(tool, lower::tool));
    all.policies.iter().for_each(|policy| lowered(policy, lower::policy));
    all.registries.iter().for_each(|registry| lowered(registry, lower::registry));
    all.tiers.iter().for_each(|tier| lowered(tier, lower::tier));
    all.delegations.iter().for_each(|delegation| lowered(delegation, lower::delegation));
    all.agents.iter().for_each(|agent| lowered(agent, lower::agent));
    all.agents.iter().filter(|agent| gathered(agent, &all)).count()
}

/// One resource: the same twice, also after it was written; the core value is the same after it was written too.
fn lowered<K, V>(resource: &K, lower: impl Fn(&K) -> Result<V, Invalid>)
where
    K: Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let written = serde_json::to_value(resource).expect("a resource is JSON");
    let again: K = serde_json::from_value(written).expect("a resource that was written is read");
    match lower(resource) {
        Ok(value) => {
            assert_eq!(lower(&again).as_ref(), Ok(&value), "lowered after it was written");
            let text = serde_json::to_vec(&value).expect("a core value is JSON");
            // By digest: a number 1.0 of a schema is read as 1, which is the same number.
            let read = json::read::<V>(&text).ok().map(|read| Digest::of(&read));
            assert_eq!(read, Some(Digest::of(&value)), "a core value is not read as it was written");
        }
        Err(invalid) => {
            named(&invalid);
            assert_eq!(lower(&again).err(), Some(invalid), "refused otherwise after it was written");
        }
    }
}

fn named(invalid: &Invalid) {
    assert!(!invalid.field.is_empty() && !invalid.reason.is_empty(), "{invalid:?}");
    assert!(!invalid.reason.contains(SECRET), "a value is repeated: {invalid}");
}

/// All that concerns one agent: whether its bundle was made.
fn gathered(agent: &api::Agent, all: &Resources) -> bool {
    let Resources { tools, policies, registries, tiers, .. } = all;
    let gather = || bundle_source(agent, tools, policies, registries, tiers);
    let backwards = bundle_source(agent, rev(tools), rev(policies), rev(registries), rev(tiers));
    match gather() {
        Ok(source) => {
            let other = backwards.expect("the same resources in another order");
            assert_eq!(Digest::of(&other), Digest::of(&source), "resources in another order");
            made(source)
        }
        Err(error) => {
            if let Problem::Invalid(invalid) = &error.problem {
                named(invalid);
            }
            assert!(backwards.is_err(), "refused in one order only: {error}");
            false
        }
    }
}

fn rev<T>(items: &[T]) -> impl Iterator<Item = &T> {
    items.iter().rev()
}

fn made(source: BundleSource) -> bool {
    match Bundle::assemble(source.clone()) {
        Ok(bundle) => bundle.digest() == Digest::of(bundle.source()),
        // What is wrong with a tool stands in the tool's own condition as well.
        Err(
            AssembleError::Binding { tool, .. }
            | AssembleError::Schema { tool, .. }
            | AssembleError::MissingSchema { tool, .. }
            | AssembleError::Redaction { tool, .. },
        ) => {
            let tool = source.tools.into_iter().find(|one| one.name == tool).expect("the tool that is named");
            assert!(compiles::tool(tool).is_err(), "wrong in a bundle, right alone");
            false
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

//! `hostIn`: whether a host is one of a rule's, or one of a registry's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::RuleProblem;
use super::host::Host;
use super::registry::RegistryName;
use super::resolve::{Scope, Subject};
use crate::decision::Truth;
use crate::policy::{Normalize, Policy, Predicate};
use crate::registry::{DOMAINS, Registry};

/// The hosts of a `hostIn`, ready to be looked up.
#[derive(Debug)]
pub(super) struct HostSet {
    names: HostMap,
    registry: Option<(RegistryName, Domains)>,
}

/// The hosts of a registry's entries. Shared by all checks of a policy that name the registry.
pub(super) type Domains = Arc<HostMap>;

/// What a host leads to: the keys of entries that name it. A rule's own names lead to no key.
#[derive(Debug, Default)]
pub(super) struct HostMap {
    exact: BTreeMap<Host, Vec<String>>,
    /// `*.` names, without it.
    below: BTreeMap<String, Vec<String>>,
}

impl HostSet {
    /// Reads a rule's names; the error has the place of the first that is none.
    pub(super) fn compile(
        names: &[String],
        registry: Option<(RegistryName, Domains)>,
    ) -> Result<Self, (usize, RuleProblem)> {
        let mut own = HostMap::default();
        for (place, name) in names.iter().enumerate() {
            own.entry(name).map_err(|problem| (place, problem))?;
        }
        Ok(Self { names: own, registry })
    }

    /// Whether the value is a host, or a URL with a host, that is in the set. Neither: it cannot be told.
    pub(super) fn contains(&self, subject: Subject<'_>, normalize: Normalize, scope: &Scope<'_>) -> Truth {
        let Some(host) = host(subject, normalize) else {
            return Truth::Indeterminate;
        };
        if self.names.keys(&host).next().is_some() {
            return Truth::True;
        }
        match &self.registry {
            None => Truth::False,
            Some((name, _)) if name.registry(scope).is_none() => Truth::Indeterminate,
            Some((_, domains)) => domains.keys(&host).next().is_some().into(),
        }
    }

    /// The name of the registry whose entries' hosts count, if there is one.
    pub(super) fn registry_name(&self) -> Option<&str> {
        self.registry.as_ref().map(|(name, _)| name.name())
    }

    /// The registry, and the host with the keys of the entries that name it. None without a registry or a host.
    pub(super) fn named(&self, subject: Subject<'_>, normalize: Normalize) -> Option<(&RegistryName, Host, Vec<&str>)> {
        let (name, domains) = self.registry.as_ref()?;
        let host = host(subject, normalize)?;
        let keys = domains.keys(&host).flatten().map(String::as_str).collect();
        Some((name, host, keys))
    }
}

fn host(subject: Subject<'_>, normalize: Normalize) -> Option<Host> {
    Host::of(&normalize.apply(subject.text()?))
}

/// The hosts of every registry that a `hostIn` of the policy names and that exists.
pub(super) fn domains(policy: &Policy, registries: &[Registry]) -> BTreeMap<String, Domains> {
    let checks = policy.rules.iter().flat_map(|rule| &rule.when);
    let named: BTreeSet<&String> = checks
        .filter_map(|check| match &check.predicate {
            Predicate::HostIn { registry, .. } => registry.as_ref(),
            _ => None,
        })
        .collect();
    let known = registries.iter().filter(|registry| named.contains(&registry.name));
    known.map(|registry| (registry.name.clone(), Arc::new(HostMap::of_registry(registry)))).collect()
}

impl HostMap {
    fn of_registry(registry: &Registry) -> Self {
        let mut hosts = Self::default();
        for (key, entry) in registry.entries.iter() {
            for domain in entry.get(DOMAINS).into_iter().flatten() {
                // A text that is no host names none.
                if let Ok(keys) = hosts.entry(domain) {
                    keys.push(key.clone());
                }
            }
        }
        hosts
    }

    /// The keys under a name as written, made where there are none.
    fn entry(&mut self, written: &str) -> Result<&mut Vec<String>, RuleProblem> {
        let below = written.strip_prefix("*.");
        match (Host::parse(below.unwrap_or(written)), below) {
            (Some(host), None) => Ok(self.exact.entry(host).or_default()),
            (Some(Host::Name(name)), Some(_)) if is_public_suffix(&name) => Err(RuleProblem::PublicSuffix),
            (Some(Host::Name(name)), Some(_)) => Ok(self.below.entry(name).or_default()),
            (Some(Host::Address(_)) | None, _) => Err(RuleProblem::NotAHost),
        }
    }

    /// The keys of every name that covers the host.
    fn keys<'a>(&'a self, host: &Host) -> impl Iterator<Item = &'a Vec<String>> {
        let below = host.parents().filter_map(|parent| self.below.get(parent));
        self.exact.get(host).into_iter().chain(below)
    }
}

/// Whether the list names it as a suffix under which strangers have names, such as `com`, `co.uk` or a hoster's. A last
/// label that the list does not know, such as `internal`, is none.
fn is_public_suffix(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name.as_bytes())
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("shop.example")]
    #[test_case("Bücher.example."; "unicode and trailing dot")]
    #[test_case("*.shop.example")]
    #[test_case("*.corp.internal")]
    #[test_case("*.internal"; "a last label that is not public")]
    #[test_case("10.0.0.7")]
    #[test_case("[2001:db8::1]")]
    fn is_a_name(written: &str) {
        assert!(HostMap::default().entry(written).is_ok());
    }

    #[test_case("", RuleProblem::NotAHost)]
    #[test_case("*", RuleProblem::NotAHost)]
    #[test_case("*.", RuleProblem::NotAHost)]
    #[test_case("*.10.0.0.7", RuleProblem::NotAHost)]
    #[test_case("a.*.example", RuleProblem::NotAHost)]
    #[test_case("https://shop.example", RuleProblem::NotAHost)]
    #[test_case("shop.example:443", RuleProblem::NotAHost)]
    #[test_case("shop example", RuleProblem::NotAHost)]
    #[test_case("*.com", RuleProblem::PublicSuffix)]
    #[test_case("*.co.uk", RuleProblem::PublicSuffix)]
    #[test_case("*.github.io", RuleProblem::PublicSuffix)]
    fn is_no_name(written: &str, problem: RuleProblem) {
        assert_eq!(HostMap::default().entry(written).map(drop), Err(problem));
    }
}

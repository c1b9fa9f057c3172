//! `hostIn`: whether a host is one of a rule's, or one of a registry's.

use std::sync::Arc;

use super::error::RuleProblem;
use super::host::Host;
use super::host_name::{self, HostMap, HostName};
use super::registry::RegistryName;
use super::resolve::{Scope, Subject};
use crate::decision::Truth;
use crate::policy::Normalize;

/// The hosts of a `hostIn`, ready to be looked up.
#[derive(Debug)]
pub(super) struct HostSet {
    /// The rule's own names, in order, each once.
    own: Vec<HostName>,
    registry: Option<(RegistryName, Domains)>,
}

/// The hosts of a registry's entries. Shared by all checks of a bundle that name the registry.
pub(super) type Domains = Arc<HostMap>;

impl HostSet {
    /// Reads a rule's names; the error has the place of the first that is none.
    pub(super) fn compile(
        names: &[String],
        registry: Option<(RegistryName, Domains)>,
    ) -> Result<Self, (usize, RuleProblem)> {
        let read = |(place, name): (usize, &String)| HostName::read(name).map_err(|problem| (place, problem));
        let mut own = names.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        own.sort_unstable();
        own.dedup();
        Ok(Self { own, registry })
    }

    /// Whether the value is a host, or a URL with a host, that is in the set. Neither: it cannot be told.
    pub(super) fn contains(&self, subject: Subject<'_>, normalize: Normalize, scope: &Scope<'_>) -> Truth {
        let Some(host) = host(subject, normalize) else {
            return Truth::Indeterminate;
        };
        if self.names(&host) {
            return Truth::True;
        }
        match &self.registry {
            None => Truth::False,
            Some((name, _)) if name.registry(scope).is_none() => Truth::Indeterminate,
            Some((_, domains)) => domains.covering(&host).next().is_some().into(),
        }
    }

    /// Whether one of the rule's own names covers the host.
    fn names(&self, host: &Host) -> bool {
        host_name::covering(host).any(|name| self.own.binary_search_by(|own| own.borrowed().cmp(&name)).is_ok())
    }

    /// The rule's own names, in order, each once; none where a registry has a say beside them.
    pub(super) fn own_alone(&self) -> Option<&[HostName]> {
        self.registry.is_none().then_some(self.own.as_slice())
    }

    /// The name of the registry whose entries' hosts count, if there is one.
    pub(super) fn registry_name(&self) -> Option<&str> {
        self.registry.as_ref().map(|(name, _)| name.name())
    }

    /// The registry, and the host with the keys of the entries that name it. None without a registry or a host.
    pub(super) fn named<'k>(
        &'k self,
        subject: Subject<'_>,
        normalize: Normalize,
        scope: &Scope<'k>,
    ) -> Option<(&'k RegistryName, Host, Vec<&'k str>)> {
        let (name, domains) = self.registry.as_ref()?;
        let host = host(subject, normalize)?;
        let registry = name.registry(scope);
        let places = domains.covering(&host).flatten();
        let keys = places.filter_map(|place| registry?.entries.key_at(*place)).collect();
        Some((name, host, keys))
    }
}

fn host(subject: Subject<'_>, normalize: Normalize) -> Option<Host> {
    Host::of(&normalize.apply(subject.text()?))
}

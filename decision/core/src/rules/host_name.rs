//! Names of hosts as rules and registries write them, and what covers a host.

use std::iter;

use super::error::RuleProblem;
use super::host::Host;
use crate::keys::Keys;
use crate::registry::{DOMAINS, Registry};

/// A host name, `*.` and a host name, or an IP address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HostName {
    /// This host.
    Itself(Host),
    /// Every host below this one: what stands behind `*.`.
    Below(String),
}

/// A name that is not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameRef<'a> {
    /// This host.
    Itself(&'a Host),
    /// Every host below this one.
    Below(&'a str),
}

impl HostName {
    /// Reads a name as written. What is no name, or a `*.` that covers hosts of strangers, is the error.
    pub(super) fn read(written: &str) -> Result<Self, RuleProblem> {
        let below = written.strip_prefix("*.");
        match (Host::parse(below.unwrap_or(written)), below) {
            (Some(host), None) => Ok(Self::Itself(host)),
            (Some(Host::Name(name)), Some(_)) if is_public_suffix(&name) => Err(RuleProblem::PublicSuffix),
            (Some(Host::Name(name)), Some(_)) => Ok(Self::Below(name)),
            (Some(Host::Address(_)) | None, _) => Err(RuleProblem::NotAHost),
        }
    }

    /// Without holding it.
    pub(super) fn borrowed(&self) -> NameRef<'_> {
        match self {
            Self::Itself(host) => NameRef::Itself(host),
            Self::Below(name) => NameRef::Below(name),
        }
    }
}

/// Whether the list names it as a suffix under which strangers have names, such as `com`, `co.uk` or a hoster's. A last
/// label that the list does not know, such as `internal`, is none.
fn is_public_suffix(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name.as_bytes())
}

/// The names that cover a host, and there are no others: its own, then `*.` and each name above it, nearest first.
pub(super) fn covering(host: &Host) -> impl Iterator<Item = NameRef<'_>> {
    iter::once(NameRef::Itself(host)).chain(host.parents().map(NameRef::Below))
}

/// What hosts lead to by the names that cover them, such as entries: by their places.
#[derive(Debug, Default)]
pub(super) struct HostMap {
    exact: Keys<Host, Vec<usize>>,
    below: Keys<String, Vec<usize>>,
}

impl HostMap {
    /// Places of the entries that name hosts. A text that is no name names none.
    pub(super) fn of_registry(registry: &Registry) -> Self {
        let mut hosts = Self::default();
        for (place, entry) in registry.entries.values().enumerate() {
            let written = entry.get(DOMAINS).into_iter().flatten();
            for name in written.filter_map(|text| HostName::read(text).ok()) {
                hosts.of_name(name).push(place);
            }
        }
        hosts
    }

    /// The places under a name, made where there are none.
    pub(super) fn of_name(&mut self, name: HostName) -> &mut Vec<usize> {
        match name {
            HostName::Itself(host) => self.exact.of_key(host, Vec::new),
            HostName::Below(name) => self.below.of_key(name, Vec::new),
        }
    }

    /// The places under each name that covers the host.
    pub(super) fn covering<'a>(&'a self, host: &'a Host) -> impl Iterator<Item = &'a [usize]> {
        let places = move |name: NameRef<'a>| match name {
            NameRef::Itself(host) => self.exact.get(host),
            NameRef::Below(name) => self.below.get(name),
        };
        covering(host).filter_map(places).map(Vec::as_slice)
    }
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
        assert!(HostName::read(written).is_ok());
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
        assert_eq!(HostName::read(written).map(drop), Err(problem));
    }

    #[test]
    fn a_host_is_covered_by_its_own_name_and_by_those_above_it() {
        let host = Host::of("https://a.b.example:8443/x").unwrap();
        let names: Vec<_> = covering(&host).collect();
        assert_eq!(names, [NameRef::Itself(&host), NameRef::Below("b.example"), NameRef::Below("example")]);
        let address = Host::of("10.0.0.7").unwrap();
        assert_eq!(covering(&address).collect::<Vec<_>>(), [NameRef::Itself(&address)]);
    }
}

//! `hostIn` of names that a rule gives itself: from a host to the checks that name it, by one hash lookup for the host and
//! one for each name above it.
//!
//! What a host is and which names cover it is said in [`crate::rules::host`] and [`crate::rules::host_name`]. A value that
//! is no host is indeterminate for every check.

use super::slots::SlotValue;
use crate::rules::host_name::{HostMap, HostName};

/// The rules of one slot that hang on names of hosts. Places of candidates, rising.
#[derive(Debug, Default)]
pub(super) struct Hosts(HostMap);

impl Hosts {
    /// Hangs a rule on these names, each of them given once. Rules are added in their order.
    pub(super) fn add(&mut self, names: &[HostName], candidate: usize) {
        for name in names {
            self.0.of_name(name.clone()).push(candidate);
        }
    }

    /// The rules whose check is true for the value, by each name that covers its host; none when the check is
    /// indeterminate for all of them.
    pub(super) fn covering<'h>(&'h self, value: &'h SlotValue<'_>) -> Option<impl Iterator<Item = &'h [usize]>> {
        Some(self.0.covering(value.host()?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;
    use crate::rules::host::Host;

    const NAMES: [&str; 8] = [
        "a.example",
        "*.a.example",
        "b.a.example",
        "*.b.a.example",
        "*.example",
        "10.0.0.7",
        "[2001:db8::1]",
        "xn--bcher-kva.example",
    ];
    const TEXTS: [&str; 13] = [
        "a.example",
        "https://A.example:8443/x",
        "b.a.example",
        "c.b.a.example.",
        "http://x.b.a.example?y",
        "aa.example",
        "example",
        "10.0.0.7:25",
        "https://[2001:DB8::1]/",
        "https://bücher.example",
        "https://u@a.example",
        "10.7",
        "",
    ];

    /// Whether a name covers a host, said once more: by their texts.
    fn covers(name: &str, host: &str) -> bool {
        match name.strip_prefix('*') {
            Some(end) => host.ends_with(end),
            None => host == name.trim_matches(['[', ']']),
        }
    }

    proptest! {
        #[test]
        fn finds_what_a_look_at_each_rule_finds(
            rules in vec(subsequence(NAMES.to_vec(), 1..4), 0..12),
            texts in vec(select(TEXTS.to_vec()), 8),
        ) {
            let mut hosts = Hosts::default();
            for (at, names) in rules.iter().enumerate() {
                let names: Vec<_> = names.iter().map(|name| HostName::read(name).unwrap()).collect();
                hosts.add(&names, at);
            }
            for text in texts {
                let value = SlotValue::of_text(text);
                let found = hosts.covering(&value).map(|places| places.flatten().copied().collect::<BTreeSet<_>>());
                let plain = Host::of(text).map(|host| {
                    let names = |names: &[&str]| names.iter().any(|name| covers(name, &host.text()));
                    rules.iter().enumerate().filter(|(_, rule)| names(rule)).map(|(at, _)| at).collect::<BTreeSet<_>>()
                });
                prop_assert_eq!(found, plain, "{}", text);
            }
        }
    }
}

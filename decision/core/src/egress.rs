//! Hosts beside tools that an agent may reach: connections that are let through by name and recorded, not judged.

use serde::{Deserialize, Serialize};

/// How much an agent's pod is bound to its sidecar. Later is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Level {
    /// The agent is told to use the sidecar; a process that dials elsewhere is not stopped.
    #[default]
    Mediated,
    /// No packet leaves the pod but through the sidecar.
    Captured,
    /// Captured, and the pod reaches only the agent's gateway, which alone holds credentials and decides.
    Sealed,
}

impl Level {
    /// The name in resources, records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mediated => "Mediated",
            Self::Captured => "Captured",
            Self::Sealed => "Sealed",
        }
    }

    /// Whether the pod's traffic is captured, so that a probe must prove it.
    pub fn is_captured(self) -> bool {
        self >= Self::Captured
    }

    /// For `skip_serializing_if`: the default is left out, so that digests of agents without it stay.
    pub fn is_mediated(&self) -> bool {
        *self == Self::Mediated
    }
}

/// One host that an agent may reach beside its tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Egress {
    /// Exact name in lower case, or `*.` and a name: any name below it, not itself.
    pub host: String,
    /// Ports; at least one.
    pub ports: Vec<u16>,
    /// Why, as its owner writes it. Stands in every record of such a connection.
    pub reason: String,
}

impl Egress {
    /// Whether a connection to this host and port is meant. `host` is a name in lower case without a dot at its end.
    pub fn admits(&self, host: &str, port: u16) -> bool {
        let name = match self.host.strip_prefix("*.") {
            Some(parent) => host.strip_suffix(parent).is_some_and(|below| below.len() > 1 && below.ends_with('.')),
            None => self.host == host,
        };
        name && self.ports.contains(&port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(host: &str) -> Egress {
        Egress { host: host.to_owned(), ports: vec![443], reason: "models".to_owned() }
    }

    #[test]
    fn a_name_is_exact_and_a_wildcard_is_below() {
        assert!(egress("api.example").admits("api.example", 443));
        assert!(!egress("api.example").admits("api.example", 80));
        assert!(!egress("api.example").admits("x.api.example", 443));
        assert!(!egress("api.example").admits("evilapi.example", 443));
        let wild = egress("*.api.example");
        assert!(wild.admits("eu.api.example", 443) && wild.admits("a.b.api.example", 443));
        for host in ["api.example", ".api.example", "evilapi.example", "api.example.evil", ""] {
            assert!(!wild.admits(host, 443), "{host}");
        }
    }

    #[test]
    fn levels_are_ordered_by_strength() {
        assert!(Level::Mediated < Level::Captured && Level::Captured < Level::Sealed);
        assert!(Level::Sealed.is_captured() && !Level::Mediated.is_captured());
    }
}

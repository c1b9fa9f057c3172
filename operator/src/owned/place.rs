//! Where an agent's traffic must go, as its Tools, its egress entries and the settings name it. Pure.

use std::net::IpAddr;

use aegis_crds::mesh::Settings;
use aegis_decision::agent::Agent;
use aegis_decision::tool::Tool;

/// A place that must be reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A literal address.
    Address(IpAddr),
    /// A Service of this cluster.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Any other name, perhaps with a leading `*.`: where it leads is not known when the policy is written.
    Name {
        /// The name.
        name: String,
        /// Whether it may have a private address.
        private: bool,
    },
}

/// A place and its port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Where.
    pub place: Place,
    /// Port.
    pub port: u16,
    /// Also by UDP.
    pub udp: bool,
}

impl Destination {
    fn tcp(place: Place, port: u16) -> Self {
        Self { place, port, udp: false }
    }
}

/// What a host is, seen from a namespace: an address, `NAME.NAMESPACE.svc[.cluster.local]`, one word (a Service of the
/// same namespace), or any other name.
pub fn place(host: &str, namespace: &str, private: bool) -> Place {
    if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
        return Place::Address(address);
    }
    let service =
        |name: &str, namespace: &str| Place::Service { namespace: namespace.to_owned(), name: name.to_owned() };
    match host.split('.').collect::<Vec<_>>().as_slice() {
        [name] => service(name, namespace),
        [name, namespace, "svc"] | [name, namespace, "svc", "cluster", "local"] => service(name, namespace),
        _ => Place::Name { name: host.to_owned(), private },
    }
}

/// The tools and egress hosts of an agent, each once.
pub fn of_agent(agent: &Agent, tools: &[Tool]) -> Vec<Destination> {
    let tools = tools.iter().map(|tool| {
        let place = place(&tool.endpoint.host, &agent.namespace, tool.allow_private_addresses);
        Destination::tcp(place, tool.endpoint.port)
    });
    let egress = agent.egress.iter().flat_map(|egress| {
        let place = place(&egress.host, &agent.namespace, false);
        egress.ports.iter().map(move |port| Destination::tcp(place.clone(), *port))
    });
    sorted(tools.chain(egress))
}

/// The control service, and where names are asked: every pod of the mesh needs both.
pub fn of_mesh(settings: &Settings) -> Vec<Destination> {
    let authority = settings.control.trim_start_matches("https://").trim_end_matches('/');
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(443)),
        _ => (authority, 443),
    };
    let system = settings.system_namespace.as_str();
    let control = Destination::tcp(place(host, system, true), port);
    let dns =
        settings.network.dns.iter().map(|host| Destination { place: place(host, system, true), port: 53, udp: true });
    sorted(std::iter::once(control).chain(dns))
}

fn sorted(all: impl Iterator<Item = Destination>) -> Vec<Destination> {
    all.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_a_service_or_a_name() {
        let service =
            |namespace: &str, name: &str| Place::Service { namespace: namespace.to_owned(), name: name.to_owned() };
        let name = |name: &str| Place::Name { name: name.to_owned(), private: false };
        for (host, expected) in [
            ("192.0.2.7", Place::Address("192.0.2.7".parse().unwrap())),
            ("2001:db8::7", Place::Address("2001:db8::7".parse().unwrap())),
            ("erp", service("shop", "erp")),
            ("erp.books.svc", service("books", "erp")),
            ("erp.books.svc.cluster.local", service("books", "erp")),
            ("erp.books", name("erp.books")),
            ("api.example", name("api.example")),
            ("*.models.example", name("*.models.example")),
            ("a.erp.books.svc", name("a.erp.books.svc")),
        ] {
            assert_eq!(place(host, "shop", false), expected, "{host}");
        }
    }

    #[test]
    fn the_mesh_is_control_service_and_dns() {
        let settings: Settings = serde_json::from_value(serde_json::json!({
            "images": {"proxy": "x/aegis-proxy:1", "capture": "x/aegis-capture:1", "probe": "x/aegis-probe:1"},
            "control": "https://aegis-operator.guard.svc:8443", "systemNamespace": "guard",
            "network": {"dns": ["kube-dns.kube-system.svc", "169.254.20.10"]},
        }))
        .unwrap();
        let all: Vec<_> = of_mesh(&settings).into_iter().map(|to| (to.place, to.port, to.udp)).collect();
        let service =
            |namespace: &str, name: &str| Place::Service { namespace: namespace.to_owned(), name: name.to_owned() };
        assert_eq!(
            all,
            [
                (Place::Address("169.254.20.10".parse().unwrap()), 53, true),
                (service("guard", "aegis-operator"), 8443, false),
                (service("kube-system", "kube-dns"), 53, true),
            ]
        );
    }
}

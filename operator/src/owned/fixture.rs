//! One agent for the builders' tests. Its names differ from those of the product.

use std::collections::BTreeMap;

use aegis_crds::mesh::settings::Network;
use aegis_crds::mesh::{Brokered, Settings};
use aegis_decision::agent::Agent;
use aegis_decision::egress::Level;
use aegis_decision::tool::Class;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::peers::{Peer, To};

pub fn agent(level: Level) -> Agent {
    Agent {
        namespace: "shop".to_owned(),
        name: "buyer".to_owned(),
        uid: "uid-of-buyer".to_owned(),
        tenant: "acme".to_owned(),
        business_unit: "office".to_owned(),
        owner: "Purchasing".to_owned(),
        version: "1".to_owned(),
        ceiling: Class::Commit,
        service_account: "buyer-account".to_owned(),
        max_staleness_seconds: 60,
        token_ttl_seconds: 300,
        level,
        egress: Vec::new(),
        mode: aegis_decision::agent::Mode::Enforce,
    }
}

pub fn settings() -> Settings {
    serde_json::from_value(json!({
        "images": {"proxy": "x/aegis-proxy:1", "capture": "x/aegis-capture:1", "probe": "x/aegis-probe:1"},
        "control": "https://aegis-operator.guard.svc:8443", "systemNamespace": "guard",
    }))
    .unwrap()
}

pub fn network() -> Network {
    Network { metrics_from: BTreeMap::from([("team".to_owned(), "monitoring".to_owned())]), ..Network::default() }
}

fn pods(namespace: &str, app: &str, port: IntOrString, udp: bool) -> Peer {
    let labels = BTreeMap::from([("app".to_owned(), app.to_owned())]);
    Peer { to: To::Pods { namespace: namespace.to_owned(), labels }, port, udp }
}

pub fn mesh() -> Vec<Peer> {
    vec![
        pods("guard", "operator", IntOrString::Int(8443), false),
        Peer { to: To::Addresses(vec!["10.99.0.1".parse().unwrap()]), port: IntOrString::Int(53), udp: true },
    ]
}

pub fn own() -> Vec<Peer> {
    let anywhere = |name: &str, private| To::Anywhere { name: name.to_owned(), private };
    vec![
        pods("books", "ledger", IntOrString::String("web".to_owned()), false),
        Peer {
            to: To::Addresses(vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()]),
            port: IntOrString::Int(8069),
            udp: false,
        },
        Peer { to: anywhere("*.models.example", false), port: IntOrString::Int(443), udp: false },
        Peer { to: anywhere("erp.corp.example", true), port: IntOrString::Int(8443), udp: false },
    ]
}

pub fn brokered() -> Vec<Brokered> {
    vec![Brokered { tool: "ledger".to_owned(), secret: "ledger-key".to_owned(), key: "token".to_owned() }]
}

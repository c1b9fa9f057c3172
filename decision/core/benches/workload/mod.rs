//! The workload: a payment of 500 bytes and a purchase order of 10 KB, judged by N rules.
//!
//! One rule matches, in the middle.

mod given;
pub mod modules;
pub mod records;

use aegis_decision::agent::Standing;
use aegis_decision::bundle::{Bundle, BundleSource};
use aegis_decision::call::{HttpRequest, ToolCall};
use aegis_decision::decide::Evidence;
use aegis_decision::delegation::Delegation;
use aegis_decision::facts::FactSet;
use jiff::Timestamp;
use serde_json::{Value, json};

pub use given::{Rules, large_purchase_order, payment, purchase_order};

/// The moment of every decision and signature.
pub fn at() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().expect("a time")
}

/// A bundle of one tool with N rules, and the evidence for a call.
pub struct Desk {
    pub bundle: Bundle,
    pub standing: Standing,
    pub now: Timestamp,
    delegations: Vec<Delegation>,
    facts: FactSet,
}

impl Desk {
    /// With a payment, named already.
    pub fn named(kinds: Rules, rules: usize) -> (Self, ToolCall) {
        let (desk, request) = (Self::new(kinds, rules), Request::new("/payments", payment()));
        let call = desk.bundle.name_call("bank", &request.http()).expect("the workload is a call");
        (desk, call)
    }

    /// With a payment as it comes in.
    pub fn payment(rules: usize) -> (Self, Request) {
        (Self::new(Rules::Mixed, rules), Request::new("/payments", payment()))
    }

    /// With a purchase order as it comes in.
    pub fn purchase_order(rules: usize) -> (Self, Request) {
        (Self::new(Rules::Mixed, rules), Request::new("/orders", purchase_order()))
    }

    /// With nothing to judge yet.
    pub fn new(kinds: Rules, rules: usize) -> Self {
        Self::of(Bundle::assemble(source(kinds, rules)).expect("the workload is a bundle"))
    }

    /// Of any bundle that has the agent of the workload.
    pub fn of(bundle: Bundle) -> Self {
        let review = json!({"by": "rita", "at": "2026-01-01T00:00:00Z", "digest": bundle.agent().review_digest()});
        Self {
            standing: read(json!({"lifecycle": "Active", "review": review})),
            now: at(),
            delegations: vec![read(json!({
                "name": "spring", "uid": "delegation-1", "generation": 1, "agent": "payer", "requestedBy": "dora",
                "delegator": "dora", "workflow": "payables", "purpose": "pay what is due",
                "grants": [{"tool": "bank", "operations": ["*"]}],
                "notBefore": "2026-01-01T00:00:00Z", "expiresAt": "2027-01-01T00:00:00Z",
            }))],
            facts: FactSet::default(),
            bundle,
        }
    }

    /// The evidence of every call.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            standing: &self.standing,
            delegations: &self.delegations,
            facts: &self.facts,
            run: None,
            releases: &[],
        }
    }
}

/// A request as it comes in.
pub struct Request {
    path: &'static str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A `POST` of that body, with the headers that an agent sends.
    pub fn new(path: &'static str, body: Vec<u8>) -> Self {
        let headers = [
            ("host", "127.0.0.1:15001"),
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("user-agent", "agent/1.0"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { path, headers, body }
    }

    pub fn http(&self) -> HttpRequest<'_> {
        HttpRequest { method: "POST", path: self.path, query: None, headers: &self.headers, body: &self.body }
    }
}

/// What a bundle of so many rules is made of.
pub fn source(kinds: Rules, rules: usize) -> BundleSource {
    read(given::bundle(kinds, rules))
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the workload has the core's form")
}

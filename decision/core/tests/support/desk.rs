//! One agent and its one tool, around whatever policies a test generates.

use aegis_decision::agent::Standing;
use aegis_decision::bundle::{Bundle, BundleSource};
use serde_json::{Value, json};

/// The source of a bundle in which `clerk` may call `desk`: its operation `look`, which reads the fact `thing`, and
/// `write`, of which `write` has all but name and class. Each of `tiers` asks for one approval.
pub fn source(write: &Value, policies: &[Value], registries: &Value, tiers: &[&str]) -> BundleSource {
    let mut writes = json!({"name": "write", "class": "Draft", "timeoutSeconds": 5});
    writes.as_object_mut().unwrap().extend(write.as_object().unwrap().clone());
    let tier = |name: &&str| json!({"name": name, "minimum": 1, "separationOfDuties": [], "decideWithinSeconds": 60, "releaseTtlSeconds": 60});
    serde_json::from_value(json!({
        "agent": {"namespace": "n", "name": "clerk", "uid": "u1", "tenant": "acme", "businessUnit": "b", "owner": "o",
                  "version": "1", "ceiling": "Commit", "serviceAccount": "clerk", "maxStalenessSeconds": 60,
                  "tokenTtlSeconds": 300},
        "tools": [{"name": "desk", "uid": "t1", "endpoint": {"scheme": "https", "host": "desk.example", "port": 443,
                   "basePath": "/v1"}, "allowPrivateAddresses": false,
                   "operations": [
                       {"name": "look", "class": "Read", "http": {"method": "GET", "path": "/things/{id}"},
                        "timeoutSeconds": 5},
                       writes,
                   ],
                   "limits": {"requestBytes": 100_000, "responseBytes": 1000, "concurrency": 1}}],
        "policies": policies,
        "registries": registries,
        "tiers": tiers.iter().map(tier).collect::<Vec<_>>(),
    }))
    .expect("a source")
}

/// The fact `thing`, read by `look` of what `id` says.
pub fn thing(id: &Value) -> Value {
    json!([{"name": "thing", "operation": "look", "arguments": {"id": id}, "paths": ["total", "state"]}])
}

/// The agent is active, and was reviewed as it is.
pub fn standing(bundle: &Bundle) -> Standing {
    let review = json!({"by": "r", "at": "2026-01-01T00:00:00Z", "digest": bundle.agent().review_digest()});
    serde_json::from_value(json!({"lifecycle": "Active", "review": review})).unwrap()
}

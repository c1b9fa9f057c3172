//! What the sidecar judges by: one tool with three operations, and a rule for each supplier.

use std::net::SocketAddr;

use aegis_tests::story::DELEGATOR;
use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::workload::{bound, supplier};

/// The agent, its service account, and its delegation.
pub const AGENT: &str = "buyer";
/// Name of the delegation.
pub const DELEGATION: &str = "payables";
/// Rules of one policy; a policy has 64 at most.
const RULES: u32 = 50;

/// The agent. It may work on stale knowledge as long as any agent: the operator shares its core with the load.
pub fn agent() -> String {
    let agent = json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent", "metadata": {"name": AGENT},
        "spec": {
            "tenant": "acme", "businessUnit": "office", "version": "1.0", "ceiling": "Commit",
            "owner": {"name": "Purchasing", "contact": "purchasing@acme.example"},
            "workload": {"serviceAccountName": AGENT},
            "enforcement": {"maxStaleness": "10m"},
        },
    });
    agent.to_string()
}

/// The tool: `pass` takes everything, `judge` and `keep` are judged; `keep` is a Draft, so its record is durable first.
pub fn tool(address: SocketAddr) -> String {
    let judged = json!({
        "type": "object",
        "required": ["supplier", "amount", "currency"],
        "properties": {"amount": {"type": "string", "pattern": "^[0-9]+[.][0-9]{2}$"}},
    });
    let operation = |name: &str, class: &str| {
        json!({"name": format!("payments.{name}"), "class": class,
               "http": {"method": "POST", "path": format!("/{name}")}, "arguments": judged})
    };
    let pass = json!({"name": "payments.pass", "class": "Read", "http": {"method": "POST", "path": "/pass"}});
    let tool = json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Tool", "metadata": {"name": "bank"},
        "spec": {
            "endpoint": format!("http://{address}"),
            "allowPrivateAddresses": true,
            "limits": {"requestBytes": 65536, "responseBytes": 65536, "concurrency": 1024},
            "operations": [pass, operation("judge", "Read"), operation("keep", "Draft")],
        },
    });
    tool.to_string()
}

/// The policies, one after another: one that lets `pass` pass, and as many as it takes for a rule for each supplier.
pub fn policies(suppliers: u32) -> Vec<String> {
    let pass = json!({"name": "pass", "operations": ["payments.pass"], "effect": "Allow", "unconditional": true});
    let bounds = (0..suppliers.div_ceil(RULES)).map(|part| {
        let rules = (part * RULES..suppliers.min((part + 1) * RULES)).map(rule).collect::<Vec<_>>();
        policy(&format!("bounds-{part:03}"), &rules)
    });
    std::iter::once(policy("pass", &[pass])).chain(bounds).collect()
}

fn policy(name: &str, rules: &[Value]) -> String {
    let policy = json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "ToolPolicy", "metadata": {"name": name},
        "spec": {"tools": ["bank"], "rules": rules},
    });
    policy.to_string()
}

fn rule(number: u32) -> Value {
    json!({
        "name": supplier(number), "operations": ["payments.judge", "payments.keep"], "effect": "Allow",
        "when": [
            {"field": "supplier", "equals": supplier(number)},
            {"field": "amount", "atMost": format!("{}.00", bound(number))},
            {"field": "currency", "in": ["EUR", "CHF"]},
        ],
    })
}

/// The authority to pay, from now for some hours.
pub fn delegation() -> Result<String> {
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let end = now.checked_add(SignedDuration::from_hours(12))?;
    let delegation = json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Delegation", "metadata": {"name": DELEGATION},
        "spec": {
            "agent": AGENT, "delegator": DELEGATOR, "workflow": "payables", "purpose": "measure the whole sidecar",
            "grants": [{"tool": "bank", "operations": ["*"]}],
            "notBefore": now.to_string(), "expiresAt": end.to_string(),
        },
    });
    Ok(delegation.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::SUPPLIERS;

    #[test]
    fn every_supplier_has_one_rule() {
        let policies = policies(SUPPLIERS);
        let rules: Vec<Value> = policies
            .iter()
            .flat_map(|text| {
                let policy: Value = serde_json::from_str(text).unwrap();
                policy["spec"]["rules"].as_array().unwrap().clone()
            })
            .collect();
        assert_eq!(rules.len(), 1 + SUPPLIERS as usize);
        for number in 0..SUPPLIERS {
            assert_eq!(rules.iter().filter(|rule| rule["name"] == supplier(number)).count(), 1);
        }
    }
}

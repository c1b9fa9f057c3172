//! What the workload is given, as JSON: no type of the core is named here, so the core's own tests read it too.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// A payment: exactly 500 bytes, with the fields that the rules look at.
pub fn payment() -> Vec<u8> {
    let start = r#"{"supplier":"supplier-match","reference":"INV-2026-000417","amount":"1249.50","currency":"EUR","iban":"DE89370400440532013000","bic":"COBADEFFXXX","dueDate":"2026-06-15","costCentre":"4711","urgent":false,"contact":{"name":"Accounts Payable","email":"ap@retail.example","phone":"+49 30 1234567"},"lines":[{"sku":"PAPER-A4","quantity":12,"price":"41.65"},{"sku":"TONER-BK","quantity":5,"price":"149.94"}],"note":""#;
    padded(start, "\"}", 500)
}

/// A purchase order of 60 lines: exactly 10,240 bytes.
pub fn purchase_order() -> Vec<u8> {
    order(60, 10_240)
}

/// One of 600 lines: exactly 102,400 bytes.
pub fn large_purchase_order() -> Vec<u8> {
    order(600, 102_400)
}

fn order(lines: usize, bytes: usize) -> Vec<u8> {
    let mut text =
        r#"{"supplier":"supplier-match","reference":"PO-2026-000417","amount":"4998.00","currency":"EUR","lines":["#
            .to_owned();
    for line in 0..lines {
        let comma = if line == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"sku":"SKU-{line:05}","description":"office supplies, carton {line:02}","quantity":{quantity},"price":"{price}.95","taxRate":"0.19","costCentre":"4711","delivery":"2026-06-30"}}"#,
            quantity = line + 1,
            price = 10 + line,
        )
        .expect("a string takes everything");
    }
    text.push_str(r#"],"note":""#);
    padded(&text, "\"}", bytes)
}

fn padded(start: &str, end: &str, bytes: usize) -> Vec<u8> {
    let room = bytes.checked_sub(start.len() + end.len()).expect("the text fits");
    format!("{start}{}{end}", "x".repeat(room)).into_bytes()
}

/// The source of a bundle of one tool with N rules about each of two operations.
pub fn bundle(kinds: Rules, rules: usize) -> Value {
    let operation = |name: &str, path: &str| {
        json!({"name": name, "class": "Commit", "timeoutSeconds": 10, "http": {"method": "POST", "path": path},
               "recordClear": ["reference", "currency"], "sensitive": ["iban"], "arguments": schema()})
    };
    let rules: Vec<Value> = (0..rules).map(|index| rule(kinds, index, index == rules / 2)).collect();
    json!({
        "agent": {"namespace": "shop", "name": "payer", "uid": "agent-1", "tenant": "acme", "businessUnit": "retail",
                  "owner": "o", "version": "1", "ceiling": "Commit", "serviceAccount": "payer",
                  "maxStalenessSeconds": 60, "tokenTtlSeconds": 300},
        "tools": [{"name": "bank", "uid": "tool-1", "allowPrivateAddresses": false,
                   "endpoint": {"scheme": "https", "host": "bank.example", "port": 443, "basePath": "/api"},
                   "headers": [{"name": "x-company", "value": "7"}],
                   "limits": {"requestBytes": 65536, "responseBytes": 65536, "concurrency": 8},
                   "operations": [operation("payments.create", "/payments"), operation("orders.create", "/orders")]}],
        "policies": [{"name": "spend", "tools": ["bank"], "rules": rules, "registries": ["suppliers"]}],
        "registries": [{"name": "suppliers", "key": "supplierId", "entries": {
            "supplier-match": {"iban": ["DE89370400440532013000"]},
        }}],
        "tiers": [],
    })
}

fn schema() -> Value {
    let text = |most: u32| json!({"type": "string", "maxLength": most});
    json!({
        "type": "object",
        "required": ["supplier", "reference", "amount", "currency", "lines"],
        "additionalProperties": false,
        "properties": {
            "supplier": text(64), "reference": text(64), "amount": {"type": "string", "pattern": "^[0-9]+\\.[0-9]{2}$"},
            "currency": {"type": "string", "minLength": 3, "maxLength": 3}, "iban": text(34), "bic": text(11),
            "dueDate": text(10), "costCentre": text(16), "urgent": {"type": "boolean"}, "note": text(4000),
            "contact": {"type": "object"},
            "lines": {"type": "array", "maxItems": 100, "items": {"type": "object", "required": ["sku", "quantity"]}},
        },
    })
}

/// Which kinds of rules.
#[derive(Debug, Clone, Copy)]
pub enum Rules {
    /// Of a hundred 70 compare a key, 10 look at a range, 8 at a prefix, 6 at a set, 4 at a pattern, 2 at another document.
    Mixed,
    /// All compare a key.
    Keyed,
}

/// Rule number `index`. None holds for the workload but the one that `matches`; every fifth other one is a `Deny`.
fn rule(kinds: Rules, index: usize, matches: bool) -> Value {
    let check = |field: &str, predicate: Value| json!({"field": field, "predicate": predicate});
    let amount = |value: usize| json!({"value": format!("{value}.00")});
    let equals = |field: &str, text: String| check(field, json!({"equals": {"text": text}}));
    let at_most = check("amount", json!({"atMost": amount(5000)}));
    // 21 and 50 have no common divisor: every run of rules has about the shares of the whole.
    let kind = match kinds {
        Rules::Mixed => index * 21 % 50,
        Rules::Keyed => 0,
    };
    let when = match kind {
        _ if matches => vec![equals("supplier", "supplier-match".to_owned()), at_most],
        0..35 => vec![equals("supplier", format!("supplier-{index}")), at_most],
        35..40 => vec![
            check("amount", json!({"atLeast": amount(10_000 + index)})),
            check("amount", json!({"lessThan": amount(10_001 + index)})),
        ],
        40..44 => vec![check("reference", json!({"prefix": format!("BATCH-{index}-")})), at_most],
        44..47 => {
            let others = ["a", "b", "c"].map(|part| json!({"text": format!("centre-{index}-{part}")}));
            vec![check("costCentre", json!({"in": others})), at_most]
        }
        47..49 => vec![check("reference", json!({"matches": format!("ORD-{index}-[0-9]{{4,8}}")})), at_most],
        _ => {
            let own = json!({"registryField": {"registry": "suppliers", "key": "supplier", "attribute": "iban"}});
            vec![equals("costCentre", format!("centre-{index}")), check("iban", own)]
        }
    };
    let effect = if index % 5 == 3 && !matches { "Deny" } else { "Allow" };
    json!({"name": format!("rule-{index}"), "operations": ["payments.create", "orders.create"], "effect": effect,
           "when": when})
}

//! Cedar: a policy for each rule; the supplier is the resource, the body the context.
//!
//! Cedar has no regular expressions: such a rule becomes a glob, which is true of more. [`crate::calls::Call`] says of which
//! calls; on them Cedar is not compared.

use aegis_decision::policy::{Check, Predicate, Rule, Scalar};
use cedar_policy::{Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet, Request};
use serde_json::{Value, json};

use crate::rego::text;
use crate::{Peer, Policy, denies, literal, literals};

/// Policies, the suppliers as entities, and who asks for what.
pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    suppliers: Entities,
    agent: EntityUid,
    pay: EntityUid,
    supplier: EntityTypeName,
}

impl Cedar {
    /// With all policies parsed.
    pub fn new(policy: &Policy) -> Self {
        let entities = policy
            .suppliers
            .entries
            .iter()
            .map(|(key, entry)| json!({"uid": {"type": "Supplier", "id": key}, "attrs": entry, "parents": []}));
        Self {
            authorizer: Authorizer::new(),
            policies: policies(policy).parse().expect("the policies are Cedar"),
            suppliers: Entities::from_json_value(Value::Array(entities.collect()), None).expect("entities"),
            agent: r#"Agent::"payer""#.parse().expect("a name"),
            pay: r#"Action::"payments.create""#.parse().expect("a name"),
            supplier: "Supplier".parse().expect("a name"),
        }
    }
}

/// The policies as text.
pub fn policies(policy: &Policy) -> String {
    policy.rules.iter().map(written).collect()
}

fn written(rule: &Rule) -> String {
    let effect = if denies(rule) { "forbid" } else { "permit" };
    let checks: Vec<_> = rule.when.iter().map(condition).collect();
    format!("{effect}(principal, action, resource) when {{ {} }};\n", checks.join(" && "))
}

fn condition(check: &Check) -> String {
    let field = format!("context.{}", check.field);
    let decimal = |bound: &str| format!("decimal({})", literal(bound));
    match &check.predicate {
        Predicate::Equals(Scalar::Text(text)) => format!("{field} == {}", literal(text)),
        Predicate::In(scalars) => format!("[{}].contains({field})", literals(scalars.iter().map(text))),
        Predicate::Prefix(text) => format!("{field} like {}", literal(&format!("{}*", plain(text)))),
        Predicate::Matches(pattern) => {
            let start = pattern.strip_suffix("[0-9]{4,8}").expect("the workload's patterns end in digits");
            format!("{field} like {}", literal(&format!("{}*", plain(start))))
        }
        Predicate::AtMost(bound) => format!("{field}.lessThanOrEqual({})", decimal(&bound.value)),
        Predicate::AtLeast(bound) => format!("{field}.greaterThanOrEqual({})", decimal(&bound.value)),
        Predicate::LessThan(bound) => format!("{field}.lessThan({})", decimal(&bound.value)),
        Predicate::RegistryField { key, attribute, .. } if key.to_string() == "supplier" => {
            format!("resource has {attribute} && resource.{attribute}.contains({field})")
        }
        other => panic!("the workload asks something new: {other:?}"),
    }
}

/// A text without what a glob, or a pattern, reads otherwise.
fn plain(text: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    assert!(text.bytes().all(is_plain), "{text:?} is no plain text");
    text
}

impl Peer for Cedar {
    type Input = Request;

    fn input(&self, body: &[u8]) -> Request {
        let mut body: Value = serde_json::from_slice(body).expect("the body is JSON");
        let members = body.as_object_mut().expect("the body is an object");
        let amount = members.get_mut("amount").expect("a payment has an amount");
        *amount = json!({"__extn": {"fn": "decimal", "arg": amount.take()}});
        let id = EntityId::new(members.get("supplier").and_then(Value::as_str).expect("a payment has a supplier"));
        let supplier = EntityUid::from_type_name_and_id(self.supplier.clone(), id);
        let context = Context::from_json_value(body, None).expect("the body is a context");
        Request::new(self.agent.clone(), self.pay.clone(), supplier, context, None).expect("no schema refuses it")
    }

    fn allows(&mut self, input: &Request) -> bool {
        let response = self.authorizer.is_authorized(input, &self.policies, &self.suppliers);
        assert!(response.diagnostics().errors().next().is_none(), "a policy failed: {response:?}");
        response.decision() == Decision::Allow
    }
}

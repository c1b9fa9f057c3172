//! What regorus' interpreter says of a call: the machine, its input narrowed and its work paid for, must say the same.

use std::collections::{BTreeMap, BTreeSet};

use aegis_decision::agent::Standing;
use aegis_decision::bundle::Bundle;
use aegis_decision::call::ToolCall;
use aegis_decision::codes::Code;
use aegis_decision::contract::DecisionInput;
use aegis_decision::delegation::{Delegation, DelegationState};
use aegis_decision::policy::{MAX_HOLD_SECONDS, Policy};
use aegis_decision::rego::{MAX_VERDICTS, ModuleSource, RULE};
use regorus::{Engine, Value as Rego};
use serde::Deserialize;
use serde_json::{Value, json};

/// Effects and reasons of a module's verdicts; none where it gives none, which denies.
pub type Said = Option<BTreeSet<(String, String)>>;

/// The approval of a verdict, in the documented form.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Approval {
    tier: String,
    #[serde(default)]
    hold_seconds: u32,
}

/// What the interpreter says of the call for each policy with a module, by the policy's name. Panics where the decision
/// says otherwise, and where the call was refused before a module was asked.
pub fn compared(
    bundle: &Bundle,
    input: &DecisionInput,
    standing: &Standing,
    delegations: &[Delegation],
) -> BTreeMap<String, Said> {
    let call = bundle.call_of_input(input).expect("the call is named");
    let output = bundle.decide_input_in_full(input, standing, delegations, &[]).output;
    let asked = matches!(output.code, None | Some(Code::RuleDenies | Code::NoRuleAllows | Code::ApprovalRequired));
    assert!(asked, "no module was asked: {output:?}");
    let document = document(bundle, &call, input, delegations);
    let policies = bundle.source().policies.iter().filter(|policy| policy.applies_to(&bundle.agent().name, &call.tool));
    let mut all = BTreeMap::new();
    for (policy, rego) in policies.filter_map(|policy| Some((policy, policy.rego.as_ref()?))) {
        let said = interpreted(bundle, &call, policy, rego, &document);
        let told = output.rules.iter().filter(|rule| rule.policy == policy.name && rule.rule == RULE);
        let told: BTreeSet<_> =
            told.map(|rule| (rule.effect.clone(), rule.reason.clone().unwrap_or_default())).collect();
        let failed = || BTreeSet::from([("Deny".to_owned(), "rego_failed".to_owned())]);
        let mut wanted = said.clone().unwrap_or_else(failed);
        // Of all that a module allows, one verdict is told.
        let allows = told.iter().find(|(effect, _)| effect == "Allow");
        wanted.retain(|verdict| verdict.0 != "Allow" || allows.is_none_or(|one| one == verdict));
        assert_eq!(told, wanted, "machine and interpreter, policy {}, {document}\n{}", policy.name, rego.module);
        all.insert(policy.name.clone(), said);
    }
    all
}

/// All that a module could read, as `docs/reference/rego.md` lists it.
fn document(bundle: &Bundle, call: &ToolCall, input: &DecisionInput, delegations: &[Delegation]) -> Value {
    let agent = bundle.agent();
    let mut document = json!({
        "arguments": call.arguments,
        "tool": call.tool,
        "operation": call.operation,
        "class": call.class.as_str(),
        "time": input.at.to_string(),
        "seconds": input.at.as_second(),
        "agent": {
            "namespace": agent.namespace,
            "name": agent.name,
            "tenant": agent.tenant,
            "businessUnit": agent.business_unit,
            "owner": agent.owner,
            "version": agent.version,
        },
        "facts": facts(bundle, call, input),
    });
    let in_force = |one: &&Delegation| {
        one.agent == agent.name
            && one.grants(&call.tool, &call.operation)
            && call.delegation.as_ref().is_none_or(|name| *name == one.name)
            && one.state(input.at) == DelegationState::Effective
    };
    if let [one] = delegations.iter().filter(in_force).collect::<Vec<_>>().as_slice() {
        document["delegation"] = json!({
            "name": one.name,
            "delegator": one.delegator,
            "requester": one.requester(),
            "workflow": one.workflow,
            "purpose": one.purpose,
        });
    }
    if let Some(run) = &call.run {
        document["run"] = json!(run);
    }
    document
}

fn facts(bundle: &Bundle, call: &ToolCall, input: &DecisionInput) -> BTreeMap<String, aegis_decision::json::Value> {
    let keep = |(name, fact): (&String, &aegis_decision::json::Value)| {
        Some((name.clone(), bundle.keep_fact(call, name, &aegis_decision::json::emit(fact))?))
    };
    input.facts.iter().filter_map(keep).collect()
}

/// What the interpreter says; none where it fails, or says what is no set of verdicts.
fn interpreted(bundle: &Bundle, call: &ToolCall, policy: &Policy, rego: &ModuleSource, document: &Value) -> Said {
    let registry = |name: &String| {
        let found = bundle.source().registries.iter().find(|registry| registry.name == *name)?;
        Some((name.clone(), &found.entries))
    };
    // A registry that does not exist, and a fact that could not be read, deny whatever the module would say.
    let registries: BTreeMap<_, _> = policy.registries.iter().map(registry).collect::<Option<_>>()?;
    let operation = bundle.tool(&call.tool).and_then(|tool| tool.operation(&call.operation));
    let declared = operation.map_or(0, |operation| operation.facts.len());
    let read = document["facts"].as_object().map_or(0, serde_json::Map::len);
    if read < declared && rego.module.contains("facts") {
        return None;
    }

    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.add_policy("t".to_owned(), rego.module.as_str().to_owned()).unwrap();
    engine.add_data(value(&json!({"registries": registries}))).unwrap();
    engine.set_input(value(document));
    let Rego::Set(verdicts) = engine.eval_rule("data.aegis.verdicts".to_owned()).ok()? else { return None };
    if verdicts.len() > MAX_VERDICTS {
        return None;
    }
    verdicts.iter().map(|one| verdict(one, rego)).collect()
}

fn value(json: &Value) -> Rego {
    Rego::from_json_str(&json.to_string()).unwrap()
}

/// Effect and reason of a verdict; none where it has not the documented form.
fn verdict(verdict: &Rego, rego: &ModuleSource) -> Option<(String, String)> {
    let mut members: BTreeMap<String, Value> = serde_json::from_str(&verdict.to_json_str().ok()?).ok()?;
    let approval = members.remove("approval");
    let mut text = |name: &str| match members.remove(name)? {
        Value::String(text) => Some(text),
        _ => None,
    };
    let (effect, reason, message) = (text("effect")?, text("reason")?, text("message")?);
    let asks = |approval: &Value| {
        let read = Approval::deserialize(approval);
        read.is_ok_and(|one| rego.tiers.contains(&one.tier) && one.hold_seconds <= MAX_HOLD_SECONDS)
    };
    let has_approval = match (effect.as_str(), &approval) {
        ("Allow" | "Deny", None) => true,
        ("RequireApproval", Some(approval)) => asks(approval),
        _ => false,
    };
    // Texts stand in the module, so none is made from the call.
    let stands = |text: &str| !text.is_empty() && rego.module.contains(&format!("\"{text}\""));
    let is_well_formed = members.is_empty() && has_approval && stands(&reason) && stands(&message);
    is_well_formed.then_some((effect, reason))
}

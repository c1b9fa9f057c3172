//! Whether a resource can work: it can be lowered, it compiles with what it names, and its tests pass. Pure.
//!
//! The operator says the same in a condition, with the same functions, so this only tells an author sooner. What is
//! missing is a warning: Git applies resources in any order.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aegis_crds::api::{ApprovalTier, Registry, Tool, ToolPolicy};
use aegis_crds::gather::{self, Problem};
use aegis_crds::load::Resources;
use aegis_crds::policy_test::{CaseError, Suite, expected_words};
use aegis_crds::{compiles, lower};
use aegis_decision::tool::Scheme;
use jiff::Timestamp;
use kube::ResourceExt as _;

/// Said of a tool whose credential anybody on the way can read.
const IN_CLEAR: &str =
    "spec.endpoint: is http, so spec.credential crosses the network unencrypted for everybody on the way; use https";
/// Most failing tests that a refusal names.
const MAX_NAMED: usize = 5;
/// Most agents for which it is looked whether a policy fits beside their others. The operator looks at all.
const MAX_AGENTS: usize = 8;
/// Most bundles that are made for the tests of one policy: each takes as long and as much as an agent's does.
const MAX_BUNDLES: usize = 4;

/// What becomes of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken. What its author should know.
    Accepted(Vec<String>),
    /// It is not, and why.
    Refused(String),
}

/// A tool by itself.
pub fn tool(tool: &Tool) -> Verdict {
    match lower::tool(tool) {
        Ok(core) => {
            let warning = in_clear(&core).then(|| IN_CLEAR.to_owned());
            match compiles::tool(core) {
                Ok(()) => Verdict::Accepted(warning.into_iter().collect()),
                Err(problem) => Verdict::Refused(problem.to_string()),
            }
        }
        Err(invalid) => Verdict::Refused(invalid.to_string()),
    }
}

/// Whether a credential leaves the cluster without TLS, as far as the host tells.
fn in_clear(tool: &aegis_decision::tool::Tool) -> bool {
    let host = tool.endpoint.host.trim_start_matches('[').trim_end_matches(']');
    let inside = match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        // One word, or NAME.NAMESPACE.svc: a Service.
        Err(_) => !host.contains('.') || host.split('.').nth(2) == Some("svc"),
    };
    tool.endpoint.scheme == Scheme::Http && tool.credential.is_some() && !inside
}

/// A registry by itself.
pub fn registry(registry: &Registry) -> Verdict {
    verdict(lower::registry(registry).map_err(Problem::from))
}

/// A tier by itself.
pub fn tier(tier: &ApprovalTier) -> Verdict {
    verdict(lower::tier(tier).map_err(Problem::from))
}

/// A policy with the resources of its namespace, of which it need not be one yet. Its tests run as if called `at`.
pub fn policy(policy: &ToolPolicy, mut resources: Resources, at: Timestamp) -> Verdict {
    let core = match lower::policy(policy) {
        Ok(core) => core,
        Err(invalid) => return Verdict::Refused(with_name(policy, &invalid.to_string())),
    };
    let Resources { policies, tools, registries, tiers, .. } = &resources;
    let missing = gather::missing(&core, policies, tools, registries, tiers);
    if let Err(problem) = compiles::policy(&core, tools, registries, tiers) {
        return Verdict::Refused(with_name(policy, &problem.to_string()));
    }
    let mut warnings: Vec<String> = missing.iter().map(|problem| format!("{problem} yet")).collect();
    resources.policies.retain(|other| other.name_any() != policy.name_any());
    resources.policies.push(policy.clone());
    warnings.extend(unserved(policy, &resources));
    match tests(policy, &resources, at) {
        Ok(not_run) => {
            warnings.extend(not_run);
            Verdict::Accepted(warnings)
        }
        Err(failed) => Verdict::Refused(failed),
    }
}

/// Said of a policy that fits by itself, where an agent's policies are too large together: that depends on other resources,
/// whose authors may be about to mend it.
fn unserved(policy: &ToolPolicy, resources: &Resources) -> Option<String> {
    let Resources { agents, tools, policies, registries, tiers, .. } = resources;
    let selected = agents.iter().filter(|agent| gather::selects(policy, &agent.name_any()));
    selected.take(MAX_AGENTS).find_map(|agent| {
        let problem = compiles::for_agent(agent, tools, policies, registries, tiers).err()?;
        Some(format!("not served to Agent {}, which keeps its last bundle: {problem}", agent.name_any()))
    })
}

/// Warnings about tests that could not be run, or what failed.
fn tests(policy: &ToolPolicy, resources: &Resources, at: Timestamp) -> Result<Vec<String>, String> {
    let mut suite = Suite::making(MAX_BUNDLES, resources);
    let mut failed = Vec::new();
    let mut not_run = BTreeSet::new();
    for (index, test) in policy.spec.tests.iter().enumerate() {
        let name = format!("spec.tests[{index}] ({})", test.name);
        match suite.judge(policy, test, at) {
            Ok(judged) if judged.passed => {}
            Ok(judged) => {
                let (expected, found) = (expected_words(&test.expect), judged.found.words());
                let because = judged.output.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
                failed.push(format!("{name}: expected {expected}, found {found}{because}"));
            }
            // Delegations are made for one task and are not read here.
            Err(CaseError::UnknownDelegation(_)) => {
                not_run.insert(format!("{name}: not run, it names a delegation; run aegis policy test"));
            }
            Err(fault @ CaseError::TooManyAgents { .. }) => {
                not_run.insert(format!("{name}: not run, {fault}, or run aegis policy test"));
            }
            Err(CaseError::Gather(_, fault)) => {
                not_run.insert(format!("tests not run: {fault}"));
            }
            Err(CaseError::Assemble(_, fault)) => {
                not_run.insert(format!("tests not run: {fault}"));
            }
            Err(fault) => failed.push(format!("{name}: {}", chain(&fault))),
        }
    }
    if failed.is_empty() {
        return Ok(not_run.into_iter().collect());
    }
    let more = failed.len().saturating_sub(MAX_NAMED);
    failed.truncate(MAX_NAMED);
    if more > 0 {
        failed.push(format!("and {more} more"));
    }
    Err(failed.join("; "))
}

fn verdict<T>(result: Result<T, Problem>) -> Verdict {
    match result {
        Ok(_) => Verdict::Accepted(Vec::new()),
        Err(problem) => Verdict::Refused(problem.to_string()),
    }
}

/// A fault of a rule with the rule's name: people know it by that, not by its place.
fn with_name(policy: &ToolPolicy, fault: &str) -> String {
    let index = fault.strip_prefix("spec.rules[").and_then(|rest| rest.split_once(']')?.0.parse::<usize>().ok());
    match index.and_then(|index| policy.spec.rules.get(index)) {
        Some(rule) => format!("rule {}: {fault}", rule.name),
        None => fault.to_owned(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn warnings(endpoint: &str, credential: bool) -> Vec<String> {
        let mut tool = json!({
            "apiVersion": "aegis.dev/v1alpha1", "kind": "Tool", "metadata": {"name": "erp"},
            "spec": {"endpoint": endpoint, "operations": [
                {"name": "list", "class": "Read", "http": {"method": "GET", "path": "/orders"}},
            ]},
        });
        if credential {
            tool["spec"]["credential"] = json!({"name": "authorization", "secretRef": {"name": "erp", "key": "token"}});
        }
        match super::tool(&serde_json::from_value(tool).unwrap()) {
            Verdict::Accepted(warnings) => warnings,
            Verdict::Refused(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_credential_that_leaves_the_cluster_in_clear_is_warned_of() {
        for outside in ["http://erp.example.com", "http://192.0.2.1:8080", "http://[2001:db8::1]"] {
            assert_eq!(warnings(outside, true), [IN_CLEAR], "{outside}");
            assert_eq!(warnings(outside, false), [""; 0], "{outside}");
        }
        for inside in ["https://erp.example.com", "http://erp", "http://erp.books.svc:8080", "http://127.0.0.1:8069"] {
            assert_eq!(warnings(inside, true), [""; 0], "{inside}");
        }
    }

    #[test]
    fn a_policy_that_fits_only_by_itself_is_accepted_with_a_warning_and_one_that_fits_nowhere_is_refused() {
        let operation = |at: usize| {
            let http = json!({"method": "GET", "path": format!("/things/{at}")});
            json!({"name": format!("things.{at}"), "class": "Read", "http": http})
        };
        let object = |kind: &str, name: &str, spec: serde_json::Value| {
            json!({"apiVersion": "aegis.dev/v1alpha1", "kind": kind,
                "metadata": {"name": name, "namespace": "shop", "uid": name}, "spec": spec})
        };
        let wide = |name: &str, places: usize| -> ToolPolicy {
            let values: Vec<String> = (0..places).map(|at| format!("v{at}")).collect();
            let rule = json!({"name": "known", "operations": ["*"], "effect": "Allow",
                "when": [{"field": "payee", "in": values}]});
            serde_json::from_value(object("ToolPolicy", name, json!({"tools": ["wide"], "rules": [rule]}))).unwrap()
        };
        let operations: Vec<_> = (0..500).map(operation).collect();
        let tool = object("Tool", "wide", json!({"endpoint": "https://wide.example/", "operations": operations}));
        let agent = json!({"tenant": "acme", "businessUnit": "office", "owner": {"name": "Ana"}, "version": "1",
            "lifecycle": "Registered", "workload": {"serviceAccountName": "buyer"}});
        let judged = |places: usize, other: usize| {
            let mut resources = Resources::default();
            resources.agents = vec![serde_json::from_value(object("Agent", "buyer", agent.clone())).unwrap()];
            resources.tools = vec![serde_json::from_value(tool.clone()).unwrap()];
            resources.policies = vec![wide("other", other)];
            super::policy(&wide("new", places), resources, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(judged(100, 100), Verdict::Accepted(Vec::new()));
        let Verdict::Accepted(warnings) = judged(300, 300) else { panic!("refused") };
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("not served to Agent buyer, which keeps its last bundle: "), "{warnings:?}");
        let Verdict::Refused(why) = judged(501, 1) else { panic!("accepted") };
        assert!(why.starts_with("spec: is too large for a bundle: "), "{why}");
    }

    #[test]
    fn tests_of_more_agents_than_bundles_are_made_for_are_not_run_and_refuse_nothing() {
        let test = |at: usize| {
            json!({"name": format!("t{at}"), "expect": {"verdict": "Allow"},
                "call": {"agent": format!("agent-{at}"), "tool": "desk", "operation": "look"}})
        };
        let judged = |tests: usize| {
            let policy = json!({"apiVersion": "aegis.dev/v1alpha1", "kind": "ToolPolicy", "metadata": {"name": "looks"},
                "spec": {"tools": ["desk"], "tests": (0..tests).map(test).collect::<Vec<_>>(),
                    "rules": [{"name": "all", "operations": ["look"], "unconditional": true, "effect": "Allow"}]}});
            let tool = json!({"apiVersion": "aegis.dev/v1alpha1", "kind": "Tool", "metadata": {"name": "desk"},
                "spec": {"endpoint": "https://desk.example", "operations": [
                    {"name": "look", "class": "Read", "http": {"method": "GET", "path": "/"}}]}});
            let mut resources = Resources::default();
            resources.tools = vec![serde_json::from_value(tool).unwrap()];
            super::policy(&serde_json::from_value(policy).unwrap(), resources, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(judged(MAX_BUNDLES), Verdict::Accepted(Vec::new()));
        let Verdict::Accepted(warnings) = judged(MAX_BUNDLES + 2) else { panic!("refused") };
        let said = "not run, tests name more than 4 agents in turn; put the tests of one agent one behind the other, or run \
            aegis policy test";
        assert_eq!(warnings, [format!("spec.tests[4] (t4): {said}"), format!("spec.tests[5] (t5): {said}")]);
    }
}

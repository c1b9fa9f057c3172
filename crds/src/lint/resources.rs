//! Registries that nothing looks at, and operations that one path could mean.

use aegis_decision::naming::Router;
use aegis_decision::policy::{Policy, Predicate};
use aegis_decision::tool::Tool;

use super::finding::{Finding, Lint, Subject};
use super::world::{Space, World};

pub(super) fn look(world: &World, findings: &mut Vec<Finding>) {
    for (namespace, space) in &world.0 {
        registries(namespace, space, findings);
        for tool in &space.tools {
            templates(namespace, tool, findings);
        }
    }
}

fn registries(namespace: &str, space: &Space, findings: &mut Vec<Finding>) {
    for policy in &space.policies {
        let subject = || Subject { kind: "ToolPolicy", namespace: namespace.to_owned(), name: policy.name.clone() };
        for (at, name) in policy.registries.iter().enumerate() {
            if !looks_at(policy, name) {
                let message = format!("no check of the policy looks at Registry {name}");
                let finding = Finding::new(Lint::UnusedRegistry, subject(), format!("spec.registries[{at}]"), message);
                findings.push(finding.about(name));
            }
        }
    }
    for registry in &space.registries {
        if !space.policies.iter().any(|policy| looks_at(policy, &registry.name)) {
            let subject = Subject { kind: "Registry", namespace: namespace.to_owned(), name: registry.name.clone() };
            let message = "no check of any policy of the namespace looks at it";
            findings.push(Finding::new(Lint::UnusedRegistry, subject, "metadata.name", message));
        }
    }
}

/// Whether a check looks at the registry, or a module may: it sees every registry that its policy names.
fn looks_at(policy: &Policy, name: &str) -> bool {
    if policy.rego.is_some() && policy.registries.iter().any(|seen| seen == name) {
        return true;
    }
    let mut checks = policy.rules.iter().flat_map(|rule| &rule.when);
    checks.any(|check| match &check.predicate {
        Predicate::InRegistry(registry)
        | Predicate::RegistryField { registry, .. }
        | Predicate::Document { registry, .. }
        | Predicate::HostIn { registry: Some(registry), .. } => registry == name,
        _ => false,
    })
}

fn templates(namespace: &str, tool: &Tool, findings: &mut Vec<Finding>) {
    // What does not compile was found before.
    let Ok(router) = Router::compile(tool) else { return };
    for (first, second) in router.overlaps() {
        let (Some(specific), Some(general)) = (tool.operations.get(first), tool.operations.get(second)) else {
            continue;
        };
        let subject = Subject { kind: "Tool", namespace: namespace.to_owned(), name: tool.name.clone() };
        let message = format!(
            "{} {} of {} is also matched by {} of {}; such a request is always {}",
            specific.http.method, specific.http.path, specific.name, general.http.path, general.name, specific.name
        );
        let field = format!("spec.operations[{second}].http.path");
        findings.push(Finding::new(Lint::OverlappingTemplates, subject, field, message).about(&general.name));
    }
}

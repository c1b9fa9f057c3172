//! The Tools of the cookbook name the requests that the services' own clients send: one real request each.

mod requests;

use std::fs;
use std::path::Path;

use aegis_crds::{load, lower};
use serde_json::{Value, json};

use crate::aegis;
use crate::cookbook::cookbook;
use requests::{ASKED, HELD, REQUESTS};

/// The recipe with an agent at work and a delegation in force.
fn at_work(recipe: &str, folder: &Path) -> String {
    for file in ["tool.yaml", "policy.yaml", "lists.yaml"] {
        let source = cookbook().join(recipe).join(file);
        if source.exists() {
            fs::copy(source, folder.join(file)).unwrap();
        }
    }
    let agent = |more: &str| {
        format!(
            "{{apiVersion: aegis.dev/v1alpha1, kind: Agent, metadata: {{name: helper}}, spec: {{tenant: acme, \
             businessUnit: shop, owner: {{name: Shop}}, version: '1', ceiling: Commit, \
             workload: {{serviceAccountName: helper}}{more}}}}}\n"
        )
    };
    let digest = lower::agent(&load::load("agent", &agent("")).unwrap().agents[0]).unwrap().0.review_digest();
    let reviewed = format!(", lifecycle: Active, review: {{by: r, at: '2026-05-01T00:00:00Z', digest: '{digest}'}}");
    let tools = load::load("tool", &fs::read_to_string(folder.join("tool.yaml")).unwrap()).unwrap().tools;
    let tool = tools[0].metadata.name.clone().unwrap();
    let delegation = format!(
        "---\n{{apiVersion: aegis.dev/v1alpha1, kind: Delegation, metadata: {{name: d}}, spec: {{agent: helper, \
         requestedBy: lead, delegator: lead, workflow: shop, purpose: a test, request: '{ASKED}', \
         grants: [{{tool: {tool}, operations: ['*']}}], notBefore: '2026-05-01T00:00:00Z', \
         expiresAt: '2026-06-01T00:00:00Z'}}}}\n"
    );
    fs::write(folder.join("agent.yaml"), agent(&reviewed) + &delegation).unwrap();
    tool
}

#[test]
fn every_recipe_has_one_request() {
    let entries = fs::read_dir(cookbook()).unwrap().map(|entry| entry.unwrap());
    let mut recipes: Vec<_> = entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name()).collect();
    recipes.sort();
    let mut named = REQUESTS.map(|(recipe, ..)| recipe);
    named.sort_unstable();
    assert_eq!(recipes, named);
}

#[test]
fn real_requests_are_named_and_allowed() {
    for (recipe, method, target, media, body, facts) in REQUESTS {
        let folder = tempfile::tempdir().unwrap();
        let tool = at_work(recipe, folder.path());
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut headers = vec![["aegis-run", "r1"]];
        if !body.is_empty() {
            headers.push(["content-type", media]);
        }
        let mut http = json!({"method": method, "path": path, "headers": headers, "body": body});
        if let Some(query) = query {
            http["query"] = query.into();
        }
        let facts: Value = serde_json::from_str(facts).unwrap();
        let call = json!({"agent": "default/helper", "tool": tool, "http": http, "facts": facts});
        let ran =
            aegis(&["eval", "--resources", folder.path().to_str().unwrap(), "--calls", "-"], &format!("{call}\n"));
        let output: Value = serde_json::from_str(&ran.out).unwrap_or_default();
        let verdict = if HELD.contains(&recipe) { "hold" } else { "allow" };
        assert_eq!(output["verdict"], verdict, "{recipe}: {}", ran.whole());
    }
}

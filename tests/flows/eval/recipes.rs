//! A recipe of the cookbook, made ready for a server: its Tool is a service of this process, its delegations are of today,
//! and there are agents for it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aegis_crds::api::agent::Mode;
use aegis_crds::api::operation::Operation;
use aegis_crds::api::policy::TestCall;
use aegis_crds::api::{Agent, Delegation, Tool};
use aegis_crds::load::Resources;
use aegis_crds::test_files::{cases, is_test_file};
use aegis_tests::cluster::{Cluster, apply_in};
use aegis_tests::story::DELEGATOR;
use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde_json::json;

/// Recipes that agents also try out, in the modes Propose and Audit: those with Rego, with facts, with a rollout.
const TRIED_OUT: [&str; 4] = ["quantity-per-item", "shipment-after-submission", "tightening-by-steps", "travel-spend"];

/// One folder of the cookbook.
#[derive(Debug)]
pub struct Recipe {
    /// Name of its folder.
    pub name: String,
    /// The calls of its tests.
    pub calls: Vec<TestCall>,
    resources: Resources,
}

impl Recipe {
    /// All recipes, ordered by name.
    pub fn all() -> Result<Vec<Self>> {
        let cookbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/cookbook");
        inside(&cookbook)?.iter().filter(|path| path.is_dir()).map(|folder| Self::read(folder)).collect()
    }

    fn read(folder: &Path) -> Result<Self> {
        let name = folder.file_name().context("a folder has a name")?.to_string_lossy().into_owned();
        let mut resources = Resources::default();
        for file in inside(folder)?.iter().filter(|path| path.extension().is_some_and(|end| end == "yaml")) {
            let (origin, text) = (file.display().to_string(), std::fs::read_to_string(file)?);
            if is_test_file(&origin) {
                resources.add_tests(&origin, &text)?;
            } else {
                resources.add(&origin, &text)?;
            }
        }
        let calls = cases(&resources)?.into_iter().map(|case| case.test.call.clone()).collect();
        let mut recipe = Self { name, calls, resources };
        recipe.bring_agents()?;
        Ok(recipe)
    }

    /// Names of its agents.
    pub fn agents(&self) -> Vec<String> {
        self.resources.agents.iter().map(ResourceExt::name_any).collect()
    }

    /// Names of its delegations.
    pub fn delegations(&self) -> Vec<String> {
        self.resources.delegations.iter().map(ResourceExt::name_any).collect()
    }

    /// Its tools.
    pub fn tools(&self) -> &[Tool] {
        &self.resources.tools
    }

    /// The tool of that name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools().iter().find(|tool| tool.name_any() == name)
    }

    /// The operation of that name.
    pub fn operation(&self, tool: &str, name: &str) -> Option<&Operation> {
        self.tool(tool)?.spec.operations.iter().find(|operation| operation.name == name)
    }

    /// Lets its tools be at this address, with the paths of the service that they stand for.
    pub fn serve_at(&mut self, address: SocketAddr) -> Result<()> {
        for tool in &mut self.resources.tools {
            let (_, rest) = tool.spec.endpoint.split_once("://").context("an endpoint has a scheme")?;
            let path = rest.split_once('/').map(|(_, path)| format!("/{path}")).unwrap_or_default();
            tool.spec.endpoint = format!("http://{address}{path}");
            tool.spec.allow_private_addresses = true;
        }
        Ok(())
    }

    /// Applies all but the delegations to a namespace, with a service account for each agent.
    pub async fn apply(&self, cluster: &Cluster, namespace: &str) -> Result<()> {
        let admin = cluster.admin().await?;
        let accounts: Vec<_> = self.resources.agents.iter().map(account).collect();
        apply(&admin, namespace, &accounts).await?;
        apply(&admin, namespace, &self.resources.registries).await?;
        apply(&admin, namespace, &self.resources.tiers).await?;
        apply(&admin, namespace, &self.resources.tools).await?;
        apply(&admin, namespace, &self.resources.policies).await?;
        apply(&admin, namespace, &self.resources.agents).await
    }

    /// Lends what its delegations lend, and all operations of all tools to every agent.
    pub async fn lend(&self, cluster: &Cluster, namespace: &str) -> Result<()> {
        apply(&cluster.client(DELEGATOR).await?, namespace, &self.resources.delegations).await
    }

    /// Adds agents where there are none or too few modes, a delegation to each, and no wait for approvals.
    fn bring_agents(&mut self) -> Result<()> {
        let resources = &mut self.resources;
        if resources.agents.is_empty() {
            resources.agents.push(agent("helper", Mode::Enforce)?);
        }
        if TRIED_OUT.contains(&self.name.as_str()) {
            resources.agents.push(agent("proposer", Mode::Propose)?);
            resources.agents.push(agent("audited", Mode::Audit)?);
        }
        let tools: Vec<_> = resources.tools.iter().map(ResourceExt::name_any).collect();
        for agent in &resources.agents {
            resources.delegations.push(everything(&agent.name_any(), &tools)?);
        }
        let now = Timestamp::from_second(Timestamp::now().as_second())?;
        for Delegation { spec, .. } in &mut resources.delegations {
            DELEGATOR.clone_into(&mut spec.delegator);
            spec.not_before = Time(now);
            spec.expires_at = Time(now.checked_add(SignedDuration::from_hours(24))?);
        }
        for policy in &mut resources.policies {
            let of_rules = policy.spec.rules.iter_mut().filter_map(|rule| rule.approval.as_mut());
            let of_origins = policy.spec.provenance.iter_mut().filter_map(|origin| origin.approval.as_mut());
            // Nobody decides here.
            of_rules.chain(of_origins).for_each(|approval| "0s".clone_into(&mut approval.hold));
        }
        Ok(())
    }
}

/// Name of the delegation that lends an agent everything.
pub fn lent(agent: &str) -> String {
    format!("all-to-{agent}")
}

fn everything(agent: &str, tools: &[String]) -> Result<Delegation> {
    let grants: Vec<_> = tools.iter().map(|tool| json!({"tool": tool, "operations": ["*"]})).collect();
    Ok(serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Delegation", "metadata": {"name": lent(agent)},
        "spec": {"agent": agent, "delegator": DELEGATOR, "workflow": "cookbook", "purpose": "Try a recipe.",
            "grants": grants, "notBefore": "2026-01-01T00:00:00Z", "expiresAt": "2026-01-02T00:00:00Z"},
    }))?)
}

fn agent(name: &str, mode: Mode) -> Result<Agent> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent", "metadata": {"name": name},
        "spec": {"tenant": "acme", "businessUnit": "cookbook", "owner": {"name": "Cookbook"}, "version": "1.0",
            "ceiling": "Commit", "workload": {"serviceAccountName": name}, "enforcement": {"mode": mode}},
    }))?)
}

fn account(agent: &Agent) -> serde_json::Value {
    let name = &agent.spec.workload.service_account_name;
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
}

async fn apply<K: Serialize>(client: &Client, namespace: &str, objects: &[K]) -> Result<()> {
    for object in objects {
        // JSON is YAML.
        apply_in(client, namespace, serde_json::to_string(object)?.as_str(), "flows").await?;
    }
    Ok(())
}

/// Files and folders in a folder, ordered by name.
fn inside(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut entries: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    entries.sort();
    Ok(entries)
}

//! Calls to the tools of the cookbook: those of its tests and a great many variations of them, of every recipe, and of
//! some of them in every mode of an agent. `AEGIS_SEED=n` makes other ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_crds::gather;
use aegis_crds::load::Resources;
use aegis_decision::bundle::Bundle;
use aegis_decision::contract::HttpInput;
use aegis_decision::json::parse;
use aegis_tests::cluster::{Cluster, eventually};
use aegis_tests::erp::Caller;
use aegis_tests::install;
use aegis_tests::mesh::{Operator, OperatorSpec, Sidecar, SidecarSpec};
use aegis_tests::story::{self, Teller, wait_ready};
use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::ResourceExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::calls::{Call, Calls};
use super::recipes::{self, Recipe};
use super::service::{Cue, Service};
use super::tally::Tally;
use super::{Sent, agree, export, input, requests, send};

/// Calls to all tools of the cookbook, at least.
pub const CALLS: usize = 9_100;
/// Recipes that are at work at once.
const AT_ONCE: usize = 3;
/// Longer than anything here takes on a machine that compiles beside it.
const PATIENCE: Duration = Duration::from_mins(1);

/// What must be among the calls, and of how many at least.
const LEAST: &[(&str, usize)] = &[
    ("allow", 600),
    ("deny", 1000),
    ("hold", 200),
    ("propose", 50),
    ("effect", 2000),
    ("would allow", 20),
    ("would hold", 20),
    ("would deny", 20),
    ("policy on trial", 50),
    ("rego hold", 5),
    ("rego deny", 5),
    ("fact", 300),
    ("fact not read", 50),
    ("sanitized", 5),
    ("unknown origin", 20),
    ("code no_rule_allows", 300),
    ("code rule_denies", 300),
    ("code schema_violation", 500),
    ("code approval_required", 200),
    ("code proposed", 50),
    ("code class_above_ceiling", 10),
    ("code unknown_origin", 10),
    ("code unknown_operation", 20),
    ("code no_delegation", 20),
    ("code ambiguous_delegation", 1),
    ("code undeclared_parameter", 5),
    ("code malformed_body", 5),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecar_and_eval_agree_on_the_cookbook() -> Result<()> {
    let seed = match std::env::var("AEGIS_SEED") {
        Ok(seed) => seed.parse().context("AEGIS_SEED is a number")?,
        Err(_) => 27,
    };
    let tally = Box::pin(compared(seed)).await.with_context(|| format!("AEGIS_SEED={seed} makes these calls again"))?;
    println!("agreed, with seed {seed}: {tally:?}");
    Ok(())
}

async fn compared(seed: u64) -> Result<Tally> {
    let folder = tempfile::tempdir()?;
    let cluster = install::shared().await?;
    let recipes = Recipe::all()?;
    ensure!(recipes.len() >= 27, "the cookbook has only {} recipes", recipes.len());
    let each = CALLS.div_ceil(recipes.iter().map(|recipe| recipe.agents().len()).sum());
    let work = recipes.into_iter().map(|recipe| {
        let dir = folder.path().join(&recipe.name);
        of_recipe(cluster, recipe, dir, each, seed)
    });
    let tallies: Vec<_> = stream::iter(work.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await?;
    let mut all = Tally::default();
    for tally in tallies {
        all.add(tally);
    }
    ensure!(all.calls >= CALLS, "{} calls", all.calls);
    all.expect(LEAST)?;
    Ok(all)
}

/// So many calls of each agent of a recipe.
async fn of_recipe(cluster: &Cluster, recipe: Recipe, dir: PathBuf, each: usize, seed: u64) -> Result<Tally> {
    let name = recipe.name.clone();
    let scene = Scene::set(cluster, recipe, dir).await.with_context(|| format!("recipe {name}"))?;
    let mut tally = Tally::default();
    for agent in scene.recipe.agents() {
        let judged = scene.judged(&agent, each, seed).await;
        tally.add(judged.with_context(|| format!("recipe {name}, agent {agent}"))?);
    }
    Ok(tally)
}

/// A recipe at work, in a namespace of its own.
struct Scene<'a> {
    cluster: &'a Cluster,
    namespace: String,
    recipe: Recipe,
    service: Service,
    operator: Operator,
    dir: PathBuf,
}

impl<'a> Scene<'a> {
    /// Applies the recipe, lets its agents be reviewed, and lends them what they need.
    async fn set(cluster: &'a Cluster, mut recipe: Recipe, dir: PathBuf) -> Result<Self> {
        let namespace = format!("eval-{}-{:08x}", recipe.name, rand::random::<u32>());
        let service = Service::start().await?;
        recipe.serve_at(service.address)?;
        story::people(cluster, &namespace).await?;
        recipe.apply(cluster, &namespace).await?;
        let mut spec = OperatorSpec::new(&[&namespace], &dir.join("operator"));
        // Every held call waits for somebody, and nobody comes.
        spec.arguments = ["--max-open-approvals", "1000"].map(str::to_owned).to_vec();
        let operator = Operator::start(cluster, &spec).await?;
        for agent in recipe.agents() {
            story::review(cluster, &namespace, &Teller::silent(), &agent).await?;
        }
        recipe.lend(cluster, &namespace).await?;
        for delegation in recipe.delegations() {
            wait_ready(cluster, &namespace, "delegation", &delegation).await?;
        }
        export(cluster, &namespace, &dir.join("resources")).await?;
        Ok(Self { cluster, namespace, recipe, service, operator, dir })
    }

    /// Lets one agent make so many calls at its sidecar, one after another, and compares what became of them.
    async fn judged(&self, agent: &str, calls: usize, seed: u64) -> Result<Tally> {
        let sidecar = Sidecar::start(self.cluster, &self.operator, &self.sidecar(agent)).await?;
        let bundle = self.bundle(agent)?;
        let caller = Caller::keeping(1);
        let mut made = Calls::new(&self.recipe, recipes::lent(agent), StdRng::seed_from_u64(seed));
        let mut sent = Vec::new();
        while sent.len() < calls {
            for call in made.upcoming() {
                let one = self.call(&caller, &sidecar, &bundle, &call).await;
                sent.push(one.with_context(|| format!("{call:?}"))?);
            }
        }
        sidecar.process().terminate()?;
        sidecar.process().wait_exit(PATIENCE).await?;
        agree(&sent, sidecar.records(), &self.dir).await
    }

    fn sidecar(&self, agent: &str) -> SidecarSpec {
        let mut spec = SidecarSpec::new(&self.namespace, agent, &self.dir.join(agent));
        for tool in self.recipe.tools() {
            if let Some(credential) = &tool.spec.credential {
                spec = spec.credential(&tool.name_any(), &credential.secret_ref.key, "credential-of-a-test");
            }
        }
        spec
    }

    /// The agent's bundle: says what the sidecar reads before it decides.
    fn bundle(&self, agent: &str) -> Result<Bundle> {
        let resources = exported(&self.dir.join("resources"))?;
        let Resources { agents, tools, policies, registries, tiers, .. } = &resources;
        let agent = agents.iter().find(|one| one.name_any() == agent).context("the agent is on the server")?;
        Ok(Bundle::assemble(gather::bundle_source(agent, tools, policies, registries, tiers)?)?)
    }

    /// Makes one call, with the service answering what the call says.
    async fn call(&self, caller: &Caller, sidecar: &Sidecar, bundle: &Bundle, call: &Call) -> Result<Sent> {
        let http = self.request(call);
        let agent = &bundle.agent().name;
        let mut input = input(format!("{}/{agent}", self.namespace), &call.tool, http.clone());
        let named = bundle.call_of_input(&input).ok();
        let mut facts = BTreeMap::new();
        for permit in named.iter().flat_map(|named| bundle.fact_permits(named)) {
            let (name, read) = permit.into_parts();
            let fact = facts.entry(read.url).or_insert_with(|| call.facts.get(&name).cloned());
            // What is no strict JSON, the sidecar does not take for a fact.
            if let Some(fact) = fact.as_ref().and_then(|fact| parse(fact.to_string().as_bytes()).ok()) {
                input.facts.insert(name, fact);
            }
        }
        self.service.expects(Cue { facts, answer: call.answer.clone() });
        // 503 is no verdict: on a busy machine, Rego or the control service may not have answered in time.
        let (answer, id) = eventually("the sidecar to judge", PATIENCE, async || {
            let (answer, id) = send(caller, sidecar, &call.tool, &http).await?;
            ensure!(answer.status != 503, "{}", answer.body);
            Ok((answer, id))
        })
        .await?;
        let went = named.filter(|_| answer.status == 200);
        let returned = went.and_then(|named| {
            let response = json!({
                "tool": named.tool, "operation": named.operation, "arguments": named.arguments, "content": call.answer,
            });
            Some(json!({"run": named.run?, "response": response}))
        });
        Ok(Sent { id, input, returned })
    }

    fn request(&self, call: &Call) -> HttpInput {
        let mut http = match self.recipe.operation(&call.tool, &call.operation) {
            Some(operation) => requests::of_operation(operation, &call.arguments, call.form),
            None => requests::of_nothing(&call.operation, &call.arguments),
        };
        let named = [("aegis-delegation", &call.delegation), ("aegis-run", &call.run)];
        let named = named.into_iter().filter_map(|(header, name)| Some((header.to_owned(), name.clone()?)));
        http.headers.extend(named);
        http
    }
}

/// The resources as they were exported to a folder.
fn exported(folder: &Path) -> Result<Resources> {
    let mut resources = Resources::default();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        resources.add(&path.display().to_string(), &fs::read_to_string(&path)?)?;
    }
    Ok(resources)
}

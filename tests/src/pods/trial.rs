//! Trying the tables on a cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use aegis_crds::api::Agent;
use aegis_crds::api::agent::{Level as AgentLevel, MeshStatus};
use aegis_crds::mesh::{self, AGENT_LABEL, Fault, Images, Settings};
use aegis_decision::egress::Level;
use anyhow::{Context, Result, anyhow, bail, ensure};
use json_patch::Patch as JsonPatch;
use k8s_openapi::api::core::v1::{Pod, PodSchedulingGate};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::cases::{Act, HonestCase, HostileCase, honest_cases, hostile_cases};
use super::injection::{inject, patched, written};
use crate::cluster::{apply_in, eventually};

/// How long operator and API server may take to learn of an Agent.
const PATIENCE: Duration = Duration::from_mins(1);
const MANAGER: &str = "aegis-tests";
/// What a refusal by the guard says first.
const GUARD: &str = "ValidatingAdmissionPolicy 'aegis-pods'";

/// Who injects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injection {
    /// The webhook is down: honest pods are brought as it would have left them.
    ByHand,
    /// The webhook is up: honest pods are brought as people write them. It may mend a hostile pod instead of having it
    /// refused.
    ByWebhook,
}

/// Where the tables are tried.
pub struct Ground {
    client: Client,
    namespace: String,
    twin: String,
    injection: Injection,
    settings: Settings,
    levels: BTreeMap<String, Level>,
}

/// How many cases ended in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Accepted.
    pub accepted: usize,
    /// Refused by the pod guard.
    pub refused: usize,
    /// Refused by the API server itself.
    pub refused_by_server: usize,
    /// Brought back into form by the webhook.
    pub mended: usize,
}

/// Makes accounts in a namespace and its twin, and Agents of the three levels in the first.
///
/// # Errors
/// When something of it is refused.
pub async fn prepare(client: &Client, namespace: &str, twin: &str) -> Result<()> {
    for home in [namespace, twin] {
        apply_in(client, home, include_str!("../../flows/pods/scene.yaml"), MANAGER).await?;
    }
    apply_in(client, namespace, include_str!("../../flows/pods/agents.yaml"), MANAGER).await?;
    Ok(())
}

/// Does the operator's part where none runs: states what the pods of an Agent must look like. `operator` acts as its
/// account.
///
/// # Errors
/// When the status is refused.
pub async fn state_mesh(operator: &Client, namespace: &str, agent: &str, settings: &Settings) -> Result<()> {
    let agents: Api<Agent> = Api::namespaced(operator.clone(), namespace);
    let level = agents.get(agent).await?.spec.enforcement.level;
    let mesh = MeshStatus {
        level,
        control: settings.control.clone(),
        proxy_images: settings.proxy_images(),
        capture_images: settings.capture_images(),
        probe_images: settings.probe_images(),
    };
    let status = Patch::Merge(json!({"status": {"mesh": mesh}}));
    agents.patch_status(agent, &PatchParams::default(), &status).await.context("status.mesh")?;
    Ok(())
}

impl Ground {
    /// Waits until the Agents of a prepared namespace are known to the API server's guard.
    ///
    /// # Errors
    /// When that takes longer than a minute.
    pub async fn new(client: Client, namespace: &str, twin: &str, injection: Injection) -> Result<Self> {
        let agents: Api<Agent> = Api::namespaced(client.clone(), namespace);
        let mut levels = BTreeMap::new();
        let mut settings = None;
        for name in ["reader", "buyer", "payer"] {
            let (level, mesh) = eventually(&format!("status.mesh of {name}"), PATIENCE, async || {
                let agent = agents.get(name).await?;
                let mesh = agent.status.and_then(|status| status.mesh).context("no status.mesh")?;
                Ok((agent.spec.enforcement.level, mesh))
            })
            .await?;
            levels.insert(
                name.to_owned(),
                match level {
                    AgentLevel::Mediated => Level::Mediated,
                    AgentLevel::Captured => Level::Captured,
                    AgentLevel::Sealed => Level::Sealed,
                },
            );
            settings = Some(settings_of(&mesh)?);
        }
        let ground = Self {
            client,
            namespace: namespace.to_owned(),
            twin: twin.to_owned(),
            injection,
            settings: settings.context("there are agents")?,
            levels,
        };
        for case in honest_cases()?.iter().take(3) {
            let mut pod = ground.pod(case, &[], true)?;
            pod.labels_mut().clear();
            eventually(&format!("the guard to know the agent of {}", case.name), PATIENCE, async || {
                let dry_run = PostParams { dry_run: true, ..PostParams::default() };
                match ground.pods(&ground.namespace).create(&dry_run, &pod).await {
                    Err(kube::Error::Api(status)) if status.message.contains("its pods carry the label") => Ok(()),
                    Err(other) => Err(other.into()),
                    Ok(_) => bail!("accepted"),
                }
            })
            .await?;
        }
        Ok(ground)
    }

    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The pod of an honest case, changed before injection.
    fn pod(&self, case: &HonestCase, before: &[json_patch::PatchOperation], injected: bool) -> Result<Pod> {
        let pod = written(case, &self.namespace, &self.settings)?;
        let mut pod = self.patched(&pod, &JsonPatch(before.to_vec()))?;
        if injected {
            let level = case.agent.as_ref().and_then(|agent| self.levels.get(agent)).copied();
            inject(case, &mut pod, &self.namespace, level.unwrap_or(Level::Mediated), &self.settings)?;
        }
        Ok(pod)
    }

    fn patched(&self, pod: &Pod, patch: &JsonPatch) -> Result<Pod> {
        patched(pod, patch, &self.namespace, &self.settings)
    }

    /// What operator and `aegis check` think of a pod as it is stored: a fault of each agent that it belongs to.
    fn faults(&self, pod: &Pod) -> Vec<Fault> {
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
        let label = pod.labels().get(AGENT_LABEL);
        let mut faults = Vec::new();
        for (agent, level) in &self.levels {
            let own = account == Some(&format!("{agent}-account"));
            if own {
                faults.extend(
                    mesh::inspect(pod, &self.namespace, agent, *level, &self.settings).err().into_iter().flatten(),
                );
            } else if label == Some(agent) {
                faults.push(Fault::Label);
            }
        }
        faults
    }
}

/// The settings by which the agents' pods are judged, read from what the operator stated.
fn settings_of(mesh: &MeshStatus) -> Result<Settings> {
    let first = |images: &[String]| images.first().cloned().context("status.mesh names an image");
    let previous = [&mesh.proxy_images, &mesh.capture_images, &mesh.probe_images];
    let previous = previous.into_iter().flat_map(|images| images.iter().skip(1).cloned()).collect();
    Ok(Settings {
        images: Images {
            proxy: first(&mesh.proxy_images)?,
            capture: first(&mesh.capture_images)?,
            probe: first(&mesh.probe_images)?,
            previous,
        },
        ..Settings::from_yaml(&format!(
            "{{images: {{proxy: 'a:1', capture: 'b:1', probe: 'c:1'}}, control: '{}', systemNamespace: aegis-system}}",
            mesh.control
        ))?
    })
}

/// Every honest pod is accepted, and [`mesh::inspect`] finds no fault in what is stored.
///
/// # Errors
/// Lists every case that went otherwise.
pub async fn honest(ground: &Ground) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for case in honest_cases()? {
        // A gateway, and a version that is being replaced, come as they are in any case.
        let by_hand = ground.injection == Injection::ByHand || case.gateway || case.previous;
        let pod = ground.pod(&case, &[], by_hand)?;
        let pods = ground.pods(&ground.namespace);
        match pods.create(&PostParams::default(), &pod).await {
            Err(refusal) => wrong.push(format!("{}: refused: {refusal}", case.name)),
            Ok(stored) => {
                tally.accepted += 1;
                let faults = ground.faults(&stored);
                if !faults.is_empty() {
                    wrong.push(format!("{}: accepted, but inspected: {faults:?}", case.name));
                }
                remove(&pods, &stored).await?;
            }
        }
    }
    report(&wrong, tally)
}

/// Every hostile pod is refused with the message of its case. Its twin where no Agent lives is accepted, so it was the
/// guard, and [`mesh::inspect`] finds a fault in that twin.
///
/// # Errors
/// Lists every case that went otherwise.
pub async fn hostile(ground: &Ground) -> Result<Tally> {
    let bases: BTreeMap<String, HonestCase> =
        honest_cases()?.into_iter().map(|case| (case.name.clone(), case)).collect();
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for case in hostile_cases()? {
        let base = bases.get(&case.base).with_context(|| format!("{}: no base {}", case.name, case.base))?;
        if let Err(error) = one_hostile(ground, base, &case, &mut tally).await {
            wrong.push(format!("{} ({}): {error:#}", case.name, case.threat));
        }
    }
    report(&wrong, tally)
}

/// The named hostile pods are accepted, once nothing judges them any more.
///
/// # Errors
/// When one of them is refused for longer than a minute: the API server lets go of a guard a moment after it is gone.
pub async fn unguarded(ground: &Ground, names: &[&str]) -> Result<()> {
    let (bases, cases) = (honest_cases()?, hostile_cases()?);
    for name in names {
        let case = cases.iter().find(|case| case.name == *name).with_context(|| format!("no case {name}"))?;
        let base = bases.iter().find(|base| base.name == case.base).context("its base")?;
        eventually(&format!("{name} to be accepted"), PATIENCE, async || {
            Ok(Box::pin(bring(ground, base, case, &ground.namespace)).await?.map(drop)?)
        })
        .await?;
    }
    Ok(())
}

async fn one_hostile(ground: &Ground, base: &HonestCase, case: &HostileCase, tally: &mut Tally) -> Result<()> {
    let answer = Box::pin(bring(ground, base, case, &ground.namespace)).await?;
    let twin = Box::pin(bring(ground, base, case, &ground.twin)).await?;
    if case.by_server {
        tally.refused_by_server += 1;
        let refusal = answer.err().context("accepted")?;
        // The webhook may be asked before the server looks at the whole.
        if ground.injection == Injection::ByHand {
            says(&refusal, &case.says)?;
        }
        return says(&twin.err().context("the twin is accepted")?, &case.says);
    }
    let twin = twin.map_err(|refusal| anyhow!("refused even where no Agent lives: {refusal}"))?;
    ensure!(!ground.faults(&twin).is_empty(), "inspected: no fault");
    match answer {
        Err(refusal) if ground.injection == Injection::ByHand => {
            says(&refusal, GUARD)?;
            says(&refusal, &case.says)?;
            tally.refused += 1;
        }
        Err(kube::Error::Api(status)) => {
            ensure!((400..500).contains(&status.code), "{status:?}");
            tally.refused += 1;
        }
        Err(other) => bail!("no answer: {other}"),
        Ok(stored) if ground.injection == Injection::ByWebhook && case.act == Act::Create => {
            let faults = ground.faults(&stored);
            ensure!(faults.is_empty(), "accepted with {faults:?}");
            tally.mended += 1;
        }
        Ok(_) => bail!("accepted"),
    }
    Ok(())
}

/// Does what a case does in a namespace, and takes away what came of it. The outer error is one of the trial itself.
async fn bring(
    ground: &Ground,
    base: &HonestCase,
    case: &HostileCase,
    namespace: &str,
) -> Result<Result<Pod, kube::Error>> {
    let pods = ground.pods(namespace);
    let mut pod = ground.pod(base, &case.before, case.injected)?;
    if case.act == Act::Create {
        let answer = pods.create(&PostParams::default(), &ground.patched(&pod, &case.patch)?).await;
        if let Ok(stored) = &answer {
            remove(&pods, stored).await?;
        }
        return Ok(answer);
    }
    // Held back, so that no node takes it while it is being changed.
    if let Some(spec) = &mut pod.spec {
        spec.scheduling_gates = Some(vec![PodSchedulingGate { name: "example.com/held".to_owned() }]);
    }
    let stored = pods.create(&PostParams::default(), &pod).await.context("the honest pod is refused")?;
    let mut changed = ground.patched(&stored, &case.patch)?;
    changed.metadata.resource_version = None;
    let (name, parameters) = (stored.name_any(), PostParams::default());
    let answer = match case.act {
        Act::Create | Act::Update => pods.replace(&name, &parameters, &changed).await,
        Act::Ephemeral => pods.replace_ephemeral_containers(&name, &parameters, &changed).await,
        Act::Status => pods.replace_status(&name, &parameters, &changed).await,
    };
    remove(&pods, &stored).await?;
    Ok(answer)
}

async fn remove(pods: &Api<Pod>, pod: &Pod) -> Result<()> {
    pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
    Ok(())
}

fn says(refusal: &kube::Error, part: &str) -> Result<()> {
    match refusal {
        kube::Error::Api(status) if status.message.contains(part) => Ok(()),
        other => bail!("refused, but not for {part:?}: {other}"),
    }
}

fn report(wrong: &[String], tally: Tally) -> Result<Tally> {
    ensure!(wrong.is_empty(), "{} cases went wrong ({tally:?}):\n{}", wrong.len(), wrong.join("\n"));
    Ok(tally)
}

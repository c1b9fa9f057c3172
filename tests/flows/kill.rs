//! Killing operator and sidecar at every named point of a held call's life. Whatever happens, Aegis never sends an effect
//! twice (counted in the ERP), and no record that an answer acknowledged is lost.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use aegis_crds::api::ApprovalRequest;
use aegis_crds::api::approval::Execution;
use aegis_decision::jws::KeySet;
use aegis_decision::record::Record;
use aegis_decision::segment::{self, Entry};
use aegis_tests::cluster::{Cluster, eventually};
use aegis_tests::erp::{Erp, OrderLine};
use aegis_tests::install;
use aegis_tests::mesh::{Answer, Operator, OperatorSpec, Sidecar, SidecarSpec};
use aegis_tests::story::{self, Teller};
use anyhow::{Context as _, Result, bail, ensure};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(40);
/// Times that the agent repeats its call after the crash.
const REPEATS: usize = 4;

/// Points of the sidecar, in the order in which a held call passes them. An unknown name ends the process with 64.
const SIDECAR: [&str; 13] = [
    "submit.before",
    "submit.after",
    "hold.released",
    "claim.before",
    "claim.after",
    "intent.before",
    "intent.after",
    "send.before",
    "send.after",
    "outcome.before",
    "outcome.after",
    "report.before",
    "report.after",
];
/// Points of the operator.
const OPERATOR: [&str; 8] = [
    "create.before",
    "create.after",
    "approve.before",
    "approve.after",
    "store-claim.before",
    "store-claim.after",
    "store-outcome.before",
    "store-outcome.after",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_killed_at_any_point_never_sends_twice() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let scene = Scene::set("kill-sidecar", folder.path()).await?;
    let operator = scene.operator(None).await?;
    let mut burnt = None;
    for point in SIDECAR {
        let order = scene.sidecar_dies(&operator, point).await.with_context(|| format!("killed at {point}"))?;
        if point == "claim.after" {
            burnt = Some(order);
        }
    }
    scene.outcome_is_unknown(&operator, burnt.context("no claim was burnt")?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_killed_at_any_point_never_lets_a_call_out_twice() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let scene = Scene::set("kill-operator", folder.path()).await?;
    for point in OPERATOR {
        scene.operator_dies(point).await.with_context(|| format!("killed at {point}"))?;
    }
    Ok(())
}

struct Scene {
    cluster: &'static Cluster,
    erp: Erp,
    namespace: String,
    dir: std::path::PathBuf,
    /// Address of the control service, kept over restarts.
    listen: String,
}

impl Scene {
    async fn set(prefix: &str, dir: &Path) -> Result<Self> {
        let cluster = install::shared().await?;
        let namespace = format!("{prefix}-{:08x}", rand::random::<u32>());
        let erp = Erp::start(&dir.join("erp")).await?;
        story::people(cluster, &namespace).await?;
        story::resources(cluster, &namespace, &erp).await?;
        // Any free port will do, as long as every operator of this scene has the same.
        let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let scene = Self { cluster, erp, namespace, dir: dir.to_owned(), listen };
        let operator = scene.operator(None).await?;
        let teller = Teller::silent();
        story::review(cluster, &scene.namespace, &teller, "buyer").await?;
        story::delegate(cluster, &scene.namespace, &teller).await?;
        drop(operator);
        Ok(scene)
    }

    async fn operator(&self, kill_at: Option<&str>) -> Result<Operator> {
        let mut spec = OperatorSpec::new(&[&self.namespace], &self.dir.join("operator"));
        spec.listen.clone_from(&self.listen);
        spec.kill_at = kill_at.map(str::to_owned);
        Operator::start(self.cluster, &spec).await
    }

    async fn sidecar(&self, operator: &Operator, kill_at: Option<&str>) -> Result<Sidecar> {
        let mut spec = SidecarSpec::new(&self.namespace, "buyer", &self.dir.join("buyer")).credential(
            "erp",
            "token",
            &self.erp.key("agent-erp")?,
        );
        spec.kill_at = kill_at.map(str::to_owned);
        Sidecar::start(self.cluster, operator, &spec).await
    }

    /// Gives the order that the killed sidecar was about to confirm.
    async fn sidecar_dies(&self, operator: &Operator, point: &str) -> Result<u64> {
        let order = self.order().await?;
        let mut acknowledged = BTreeSet::new();
        let sidecar = self.sidecar(operator, Some(point)).await?;
        let mut dead = self.try_until_dead(&sidecar, order, &mut acknowledged).await?;
        if !dead {
            self.approve(order).await?;
            dead = self.try_until_dead(&sidecar, order, &mut acknowledged).await?;
        }
        if !dead {
            sidecar.process().wait_exit(WITHIN).await.context("the point was never reached")?;
        }
        drop(sidecar);
        let again = self.sidecar(operator, None).await?;
        self.finish(&again, order, &mut acknowledged).await?;
        drop(again);
        self.check(order, &acknowledged)?;
        Ok(order)
    }

    /// A claim whose sidecar died before it sent: the operator calls its outcome unknown, a minute after the claim (the
    /// operation's timeout and 30 s), and the call is refused for that reason from then on.
    async fn outcome_is_unknown(&self, operator: &Operator, order: u64) -> Result<()> {
        eventually("the burnt claim to become Indeterminate", Duration::from_secs(90), async || {
            let requests = self.requests(order).await?;
            let last = requests.iter().filter_map(|request| request.status.as_ref()?.execution).next_back();
            ensure!(last == Some(Execution::Indeterminate), "{last:?}");
            Ok(())
        })
        .await?;
        let sidecar = self.sidecar(operator, None).await?;
        let answer = sidecar.call("POST", &confirm(order), None).await?;
        ensure!(answer.body.get("code") == Some(&json!("outcome_unknown")), "{} {}", answer.status, answer.body);
        Ok(())
    }

    async fn operator_dies(&self, point: &str) -> Result<()> {
        let order = self.order().await?;
        let mut acknowledged = BTreeSet::new();
        let operator = self.operator(Some(point)).await?;
        let sidecar = self.sidecar(&operator, None).await?;
        let first = sidecar.call("POST", &confirm(order), None).await?;
        note(&first, &mut acknowledged);
        let held = first.status.as_u16() == 428;
        if held {
            self.approve(order).await?;
        }
        eventually("the operator to reach the point", WITHIN, async || {
            let dead = || operator.process().exit_status().map(|status| status.is_some());
            if dead()? {
                return Ok(());
            }
            ensure!(held, "it did not die, and the call was not held: {} {}", first.status, first.body);
            let answer = sidecar.call("POST", &confirm(order), None).await?;
            ensure!(dead()?, "{} {}", answer.status, answer.body);
            Ok(())
        })
        .await?;
        drop(operator);
        let operator = self.operator(None).await?;
        sidecar.ready(WITHIN).await?;
        self.finish(&sidecar, order, &mut acknowledged).await?;
        drop(sidecar);
        drop(operator);
        self.check(order, &acknowledged)
    }

    /// Calls until the sidecar dies or answers something final; says whether it died.
    async fn try_until_dead(&self, sidecar: &Sidecar, order: u64, acknowledged: &mut BTreeSet<String>) -> Result<bool> {
        for _ in 0..20 {
            match sidecar.call("POST", &confirm(order), None).await {
                Ok(answer) => {
                    note(&answer, acknowledged);
                    match answer.status.as_u16() {
                        428 if self.pending(order).await? => return Ok(false),
                        428 | 503 => {}
                        _ => return Ok(false),
                    }
                }
                Err(error) => {
                    sidecar.process().wait_exit(WITHIN).await.context(error)?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// After the restart: approve what is open and repeat, as an agent would, until the call is settled.
    async fn finish(&self, sidecar: &Sidecar, order: u64, acknowledged: &mut BTreeSet<String>) -> Result<()> {
        let mut settled = 0;
        eventually("the call to be settled", WITHIN, async || {
            let answer = sidecar.call("POST", &confirm(order), None).await?;
            note(&answer, acknowledged);
            match answer.status.as_u16() {
                428 => {
                    self.approve(order).await?;
                    bail!("held")
                }
                200 | 409 => settled += 1,
                _ => bail!("{} {}", answer.status, answer.body),
            }
            ensure!(settled >= REPEATS, "repeating");
            Ok(())
        })
        .await
    }

    /// An order above the limit, drafted and quoted by a person.
    async fn order(&self) -> Result<u64> {
        let ids = self.erp.ids();
        let clerk = self.erp.person("clerk")?;
        let line = OrderLine::of(ids.product("desk")?, 2);
        let purchase = clerk.draft(ids.supplier("nordwind")?, "KILL", &[line]).await?;
        clerk.quote(purchase.id).await?;
        Ok(purchase.id)
    }

    async fn requests(&self, order: u64) -> Result<Vec<ApprovalRequest>> {
        let api: Api<ApprovalRequest> = Api::namespaced(self.cluster.admin().await?, &self.namespace);
        let ours = format!("/purchase.purchase/{order}/confirm");
        let mut requests = api.list(&kube::api::ListParams::default()).await?.items;
        requests.retain(|request| request.spec.action.target.url.contains(&ours));
        Ok(requests)
    }

    async fn pending(&self, order: u64) -> Result<bool> {
        Ok(self.requests(order).await?.iter().any(|request| request.spec.decision.is_none()))
    }

    /// Approves every open request of the order, as a person with the verb.
    async fn approve(&self, order: u64) -> Result<()> {
        let api: Api<ApprovalRequest> = Api::namespaced(self.cluster.client(story::FINANCE).await?, &self.namespace);
        for request in self.requests(order).await? {
            if request.spec.decision.is_none() {
                let decision = json!({"verdict": "Approved", "effectDigest": request.spec.action.effect_digest});
                let patch = json!({"spec": {"decision": decision}});
                // The request may have ended meanwhile; then the next repeat opens another.
                let _ = api.patch(&request.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
            }
        }
        Ok(())
    }

    fn check(&self, order: u64, acknowledged: &BTreeSet<String>) -> Result<()> {
        let path = format!("/purchase.purchase/{order}/confirm");
        let sent = self.erp.requests()?.iter().filter(|request| request.path.ends_with(&path)).count();
        ensure!(sent <= 1, "the ERP was asked {sent} times to confirm order {order}");
        let recorded = recorded(&self.dir.join("buyer"))?;
        let lost: Vec<_> = acknowledged.difference(&recorded).collect();
        ensure!(lost.is_empty(), "acknowledged and not on disk: {lost:?}");
        Ok(())
    }
}

fn confirm(order: u64) -> String {
    format!("/erp/rest/model/purchase.purchase/{order}/confirm")
}

/// An answer about a Commit acknowledges its record, unless it says that nothing could be judged or recorded.
fn note(answer: &Answer, acknowledged: &mut BTreeSet<String>) {
    if answer.status.as_u16() != 503
        && let Some(id) = answer.headers.get("aegis-decision").and_then(|id| id.to_str().ok())
    {
        acknowledged.insert(id.to_owned());
    }
}

/// Ids of all decisions on disk. Every file must verify up to the torn end that a crash may leave.
fn recorded(dir: &Path) -> Result<BTreeSet<String>> {
    let keys: KeySet = serde_json::from_slice(&std::fs::read(dir.join("trust/jwks.json"))?)?;
    let mut ids = BTreeSet::new();
    for entry in std::fs::read_dir(dir.join("records"))? {
        let path = entry?.path();
        let bytes = std::fs::read(&path)?;
        let report = segment::verify(&bytes, &keys, None);
        ensure!(report.is_ok(), "{}: {report:?}", path.display());
        for entry in segment::read(&bytes) {
            if let Entry::Record(Record::Decision(record)) = entry {
                ids.insert(record.id.clone());
            }
        }
    }
    Ok(ids)
}

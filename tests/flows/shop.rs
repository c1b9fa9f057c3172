//! A shop: the example of `examples/procurement` in a namespace of its own, with an operator that serves only this
//! namespace, and a sidecar for agent `buyer`. The ERP is shared by all shops of the process; every test has its own orders.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_crds::api::approval::{ApprovalRequestStatus, ApprovalVerdict, Execution, Phase};
use aegis_crds::api::{Agent, ApprovalRequest, Delegation};
use aegis_tests::cluster::{Cluster, TestNamespace, eventually};
use aegis_tests::erp::{AccessLine, Erp, OrderLine};
use aegis_tests::install;
use aegis_tests::mesh::{Answer, Operator, OperatorSpec, Sidecar, SidecarSpec};
use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Resource};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// Longer than anything here takes on a machine that compiles beside it.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Decides held calls of tier `finance`.
pub const APPROVER: &str = "ana";
/// Suspends agents.
pub const RESPONDER: &str = "bob";
/// Lends authority to the agent, for a task of carol's.
pub const DELEGATOR: &str = "dave";
/// Looks at agents before they may work.
pub const REVIEWER: &str = "erin";
/// The agent, its service account, and its only delegation.
pub const BUYER: &str = "buyer";
pub const DELEGATION: &str = "office-supplies";

/// People of the example, and who plays them here.
const CAST: [(&str, &str); 5] = [
    ("finance-approver", APPROVER),
    ("incident-responder", RESPONDER),
    ("office-manager", "carol"),
    ("purchasing-lead", DELEGATOR),
    ("security-reviewer", REVIEWER),
];

/// What differs from shop to shop.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How long the sidecar keeps a held call waiting.
    pub hold: &'static str,
    /// Time to decide a held call.
    pub decide_within: &'static str,
    /// Time to use an approval.
    pub release_ttl: &'static str,
    /// Age over which the sidecar's knowledge is stale.
    pub max_staleness: &'static str,
    /// Life of the agent's tokens.
    pub token_ttl: &'static str,
    /// Further arguments of the operator.
    pub operator: &'static [&'static str],
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            hold: "0s",
            decide_within: "2h",
            release_ttl: "15m",
            max_staleness: "60s",
            token_ttl: "5m",
            operator: &[],
        }
    }
}

/// A running shop.
pub struct Shop<'a> {
    pub sidecar: Sidecar,
    /// None while it is stopped.
    operator: Option<Operator>,
    listen: String,
    pub namespace: &'a TestNamespace<'a>,
    pub erp: &'static Erp,
    plan: Plan,
    folder: TempDir,
}

/// Runs a test in a shop on the server that all tests share.
pub async fn in_shop(prefix: &str, plan: Plan, test: impl AsyncFnOnce(&mut Shop<'_>) -> Result<()>) -> Result<()> {
    in_shop_of(install::shared().await?, prefix, plan, test).await
}

/// Runs a test in a shop on a server of its own, with Aegis installed.
pub async fn in_shop_of(
    cluster: &Cluster,
    prefix: &str,
    plan: Plan,
    test: impl AsyncFnOnce(&mut Shop<'_>) -> Result<()>,
) -> Result<()> {
    cluster
        .in_namespace(prefix, async |namespace| {
            let mut shop = Shop::open(namespace, plan).await?;
            namespace.watch_log(shop.sidecar.process().log());
            test(&mut shop).await
        })
        .await
}

/// The ERP of all shops. Its folder goes when the next run finds that its process is gone.
async fn erp() -> Result<&'static Erp> {
    static SHARED: OnceCell<Erp> = OnceCell::const_new();
    SHARED
        .get_or_try_init(|| async {
            let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared-erp");
            fs::create_dir_all(&all)?;
            for entry in fs::read_dir(&all)? {
                let entry = entry?;
                if !Path::new("/proc").join(entry.file_name()).exists() {
                    fs::remove_dir_all(entry.path())?;
                }
            }
            Erp::start(&all.join(std::process::id().to_string())).await
        })
        .await
}

/// A manifest of the example, played by the people of this cluster.
pub fn example(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/procurement").join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(CAST.iter().fold(text, |text, (role, person)| text.replace(role, person)))
}

/// An agent with a service account, not yet reviewed.
pub fn agent(name: &str, account: &str, plan: &Plan) -> String {
    format!(
        "apiVersion: aegis.dev/v1alpha1
kind: Agent
metadata: {{name: {name}}}
spec:
  tenant: acme
  businessUnit: office
  owner: {{name: Purchasing}}
  version: '1.0'
  ceiling: Commit
  workload: {{serviceAccountName: {account}}}
  tokens: {{ttl: {}}}
  enforcement: {{maxStaleness: {}}}
",
        plan.token_ttl, plan.max_staleness
    )
}

impl<'a> Shop<'a> {
    async fn open(namespace: &'a TestNamespace<'a>, plan: Plan) -> Result<Self> {
        let (folder, erp) = (tempfile::tempdir()?, erp().await?);
        namespace.apply("admin", example("00-people.yaml")?.as_str(), "flows").await?;
        namespace.apply("admin", tool(erp)?.as_str(), "flows").await?;
        namespace.apply("admin", example("20-registry.yaml")?.as_str(), "flows").await?;
        let tier = example("30-tier.yaml")?
            .replace("decideWithin: 2h", &format!("decideWithin: {}", plan.decide_within))
            .replace("releaseTTL: 15m", &format!("releaseTTL: {}", plan.release_ttl));
        namespace.apply("admin", tier.as_str(), "flows").await?;
        namespace.apply("admin", policy(&plan)?.as_str(), "flows").await?;
        namespace.apply("admin", agent(BUYER, BUYER, &plan).as_str(), "flows").await?;
        let operator = operator(namespace, &plan, folder.path(), "127.0.0.1:0").await?;
        review(namespace, BUYER).await?;
        delegate(namespace, DELEGATION).await?;
        let sidecar = Sidecar::start(namespace.cluster(), &operator, &spec(namespace, erp, folder.path())?).await?;
        let listen = operator.control().to_owned();
        Ok(Self { sidecar, operator: Some(operator), listen, namespace, erp, plan, folder })
    }

    pub fn cluster(&self) -> &Cluster {
        self.namespace.cluster()
    }

    pub fn operator(&self) -> Result<&Operator> {
        self.operator.as_ref().context("the operator is stopped")
    }

    /// Kills the operator.
    pub fn stop_operator(&mut self) {
        drop(self.operator.take());
    }

    /// Starts it again at the address that the sidecar knows.
    pub async fn start_operator(&mut self) -> Result<()> {
        self.operator = Some(operator(self.namespace, &self.plan, self.folder.path(), &self.listen).await?);
        Ok(())
    }

    /// A folder for files of the test.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The example's tool, policy and registry as they stand in this shop, to be applied again with a change.
    pub fn tool(&self) -> Result<String> {
        tool(self.erp)
    }

    pub fn policy(&self) -> Result<String> {
        policy(&self.plan)
    }

    /// Applies a manifest as it stands in this shop but for one replacement, which must change something.
    pub async fn change(&self, manifest: &str, from: &str, to: &str) -> Result<()> {
        let changed = manifest.replace(from, to);
        ensure!(changed != manifest, "{from:?} is not in the manifest");
        self.namespace.apply("admin", changed.as_str(), "flows").await.map(drop)
    }

    /// Applies a change and waits until the sidecar judges by it.
    pub async fn change_in_use(&self, manifest: &str, from: &str, to: &str) -> Result<()> {
        let before = self.sidecar_metric("aegis_bundle_version").await?;
        self.change(manifest, from, to).await?;
        eventually("the sidecar to use the next bundle", PATIENCE, async || {
            let now = self.sidecar_metric("aegis_bundle_version").await?;
            ensure!(now > before, "version {now}");
            Ok(())
        })
        .await
    }

    /// A quotation over the limit, made by a clerk past the sidecar; gives its id.
    pub async fn order(&self) -> Result<u64> {
        let (clerk, ids) = (self.erp.person("clerk")?, self.erp.ids());
        let lines = [OrderLine::of(ids.product("desk")?, 2)];
        let draft = clerk.draft(ids.supplier("nordwind")?, "FLOW", &lines).await?;
        clerk.quote(draft.id).await?;
        Ok(draft.id)
    }

    /// The agent confirms an order.
    pub async fn confirm(&self, order: u64) -> Result<Answer> {
        self.confirm_with(order, &[]).await
    }

    pub async fn confirm_with(&self, order: u64, headers: &[(&str, &str)]) -> Result<Answer> {
        self.sidecar.call_with("POST", &confirm_path(order), headers, None).await
    }

    /// A call of class Read.
    pub async fn read(&self) -> Result<Answer> {
        self.sidecar.call("GET", "/erp/rest/model/party.party?f=name", None).await
    }

    /// A call of class Draft.
    pub async fn draft(&self) -> Result<Answer> {
        let ids = self.erp.ids();
        let lines = [OrderLine::of(ids.product("chair")?, 1)];
        let body = self.erp.person("clerk")?.draft_body(ids.supplier("nordwind")?, "FLOW", &lines);
        self.sidecar.call("POST", "/erp/rest/model/purchase.purchase?f=state", Some(&body)).await
    }

    /// The agent confirms an order and is held; gives the request's name.
    pub async fn held(&self, order: u64) -> Result<String> {
        held_as(&self.confirm(order).await?)
    }

    /// An order whose confirmation is approved: its id, and its request.
    pub async fn approved(&self) -> Result<(u64, String)> {
        let order = self.order().await?;
        let name = self.held(order).await?;
        self.decide(&name, ApprovalVerdict::Approved).await?;
        self.until_phase(&name, Phase::Approved).await?;
        Ok((order, name))
    }

    /// The approver decides, with what `kubectl patch` would send.
    pub async fn decide(&self, name: &str, verdict: ApprovalVerdict) -> Result<ApprovalRequest> {
        let requests: Api<ApprovalRequest> = self.namespace.api(APPROVER).await?;
        let digest = requests.get(name).await?.spec.action.effect_digest;
        let patch = json!({"spec": {"decision": {"verdict": verdict, "effectDigest": digest}}});
        Ok(requests.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
    }

    pub async fn request(&self, name: &str) -> Result<ApprovalRequest> {
        Ok(self.namespace.api("admin").await?.get(name).await?)
    }

    pub async fn requests(&self) -> Result<Vec<ApprovalRequest>> {
        let requests: Api<ApprovalRequest> = self.namespace.api("admin").await?;
        Ok(requests.list(&ListParams::default()).await?.items)
    }

    pub async fn until_phase(&self, name: &str, phase: Phase) -> Result<ApprovalRequest> {
        eventually(&format!("{name} to be {phase:?}"), PATIENCE, async || {
            let request = self.request(name).await?;
            let now = request.status.as_ref().and_then(|status| status.phase);
            ensure!(now == Some(phase), "it is {now:?}");
            Ok(request)
        })
        .await
    }

    /// Waits for the stored outcome of an approved call: the sidecar reports it after it has answered the agent.
    pub async fn until_succeeded(&self, name: &str) -> Result<ApprovalRequestStatus> {
        eventually("the outcome to be stored", PATIENCE, async || {
            let status = self.request(name).await?.status.context("no status")?;
            ensure!(status.execution == Some(Execution::Succeeded), "it is {:?}", status.execution);
            Ok(status)
        })
        .await
    }

    /// The agent repeats its call until it goes through.
    pub async fn until_confirmed(&self, order: u64) -> Result<Answer> {
        eventually("the approved call to go through", PATIENCE, async || {
            let answer = self.confirm(order).await?;
            expect(&answer, 200, None)?;
            Ok(answer)
        })
        .await
    }

    /// Confirmations of an order that reached the ERP.
    pub fn sent(&self, order: u64) -> Result<Vec<AccessLine>> {
        let path = format!("/purchase.purchase/{order}/confirm");
        Ok(self.erp.requests()?.into_iter().filter(|line| line.path.ends_with(&path)).collect())
    }

    /// Merges a change into an object, as a user.
    pub async fn patch<K>(&self, user: &str, name: &str, change: Value) -> Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = self.namespace.api(user).await?;
        Ok(api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await?)
    }

    /// The sum of a metric of the sidecar over all its labels.
    pub async fn sidecar_metric(&self, name: &str) -> Result<f64> {
        metric(&self.sidecar.admin("/metrics").await?, name)
    }

    /// The sum of a metric of the operator over all its labels.
    pub async fn operator_metric(&self, name: &str) -> Result<f64> {
        let url = format!("{}/metrics", self.operator()?.admin());
        metric(&aegis_tests::erp::http_json(http::Method::GET, &url, &[], None).await?, name)
    }
}

/// The sum of the samples whose line begins with `name`, which may end in the middle of the labels.
fn metric(answer: &Answer, name: &str) -> Result<f64> {
    let text = answer.body.as_str().context("metrics are text")?;
    let samples = text.lines().filter(|line| line.starts_with(name));
    Ok(samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
}

fn tool(erp: &Erp) -> Result<String> {
    // The example's ERP listens on 8069; this one took a free port.
    Ok(example("10-tool.yaml")?.replace("http://127.0.0.1:8069/erp", erp.base_url()))
}

fn policy(plan: &Plan) -> Result<String> {
    Ok(example("40-policy.yaml")?.replace("{tier: finance}", &format!("{{tier: finance, hold: {}}}", plan.hold)))
}

fn spec(namespace: &TestNamespace<'_>, erp: &Erp, folder: &Path) -> Result<SidecarSpec> {
    let spec = SidecarSpec::new(namespace.name(), BUYER, &folder.join(BUYER));
    Ok(spec.credential("erp", "token", &erp.key("agent-erp")?))
}

async fn operator(namespace: &TestNamespace<'_>, plan: &Plan, folder: &Path, listen: &str) -> Result<Operator> {
    let mut spec = OperatorSpec::new(&[namespace.name()], &folder.join("operator"));
    spec.listen = listen.to_owned();
    spec.arguments = plan.operator.iter().map(|&argument| argument.to_owned()).collect();
    let operator = Operator::start(namespace.cluster(), &spec).await?;
    namespace.watch_log(operator.process().log());
    Ok(operator)
}

/// The reviewer looks at an agent and makes it Active; returns when the operator agrees.
pub async fn review(namespace: &TestNamespace<'_>, name: &str) -> Result<()> {
    let agents: Api<Agent> = namespace.api(REVIEWER).await?;
    eventually(&format!("agent {name} to be reviewed"), PATIENCE, async || {
        let digest = agents.get(name).await?.status.and_then(|status| status.review_digest).context("no digest yet")?;
        let review = json!({"by": REVIEWER, "at": whole_second()?.to_string(), "digest": digest});
        let patch = Patch::Merge(json!({"spec": {"lifecycle": "Active", "review": review}}));
        Ok(agents.patch(name, &PatchParams::default(), &patch).await.map(drop)?)
    })
    .await?;
    eventually(&format!("agent {name} to be ready"), PATIENCE, async || {
        ready(&agents.get(name).await?.status.unwrap_or_default().conditions)
    })
    .await
}

/// The delegator lends authority for a day; returns when it is in force.
pub async fn delegate(namespace: &TestNamespace<'_>, name: &str) -> Result<()> {
    let now = whole_second()?;
    let end = now.checked_add(SignedDuration::from_hours(24))?;
    let text = example("60-delegations.yaml")?
        .replace("2026-01-01T00:00:00Z", &now.to_string())
        .replace("2026-01-02T00:00:00Z", &end.to_string())
        .replace(DELEGATION, name);
    let first = text.split("---").next().unwrap_or_default();
    // The server learns of new rights a moment after they were stored.
    eventually("the right to delegate", PATIENCE, async || namespace.apply(DELEGATOR, first, "flows").await.map(drop))
        .await?;
    let delegations: Api<Delegation> = namespace.api(DELEGATOR).await?;
    eventually(&format!("delegation {name} to be in force"), PATIENCE, async || {
        ready(&delegations.get(name).await?.status.unwrap_or_default().conditions)
    })
    .await
}

fn whole_second() -> Result<Timestamp> {
    Ok(Timestamp::from_second(Timestamp::now().as_second())?)
}

fn ready(conditions: &[Condition]) -> Result<()> {
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready").context("no condition Ready")?;
    ensure!(ready.status == "True", "{}: {}", ready.reason, ready.message);
    Ok(())
}

pub fn confirm_path(order: u64) -> String {
    format!("/erp/rest/model/purchase.purchase/{order}/confirm?f=state")
}

/// The name of the request that a held call was given.
pub fn held_as(answer: &Answer) -> Result<String> {
    expect(answer, 428, Some("approval_required"))?;
    let name = answer.headers.get("aegis-approval").context("a held call must name its request")?;
    Ok(name.to_str()?.to_owned())
}

/// An answer with this status and code.
pub fn expect(answer: &Answer, status: u16, code: Option<&str>) -> Result<()> {
    ensure!(
        answer.status.as_u16() == status && (code.is_none() || code_of(answer) == code),
        "expected {status} {}, got {} {}",
        code.unwrap_or_default(),
        answer.status,
        answer.body
    );
    Ok(())
}

pub fn code_of(answer: &Answer) -> Option<&str> {
    answer.body.get("code").and_then(Value::as_str)
}

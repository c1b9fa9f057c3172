//! Aegis as it is installed: its custom resource definitions, guards and roles, applied to a cluster and waited for until they are in force.
//!
//! The API server takes up an admission policy some tenths of a second after it was stored. Until then it accepts what the policy forbids, so a test or a demo
//! that goes on at once sees forgeries pass. [`install`] therefore lets every guard act once before it returns.

use std::path::Path;
use std::time::Duration;

use aegis_crds::api::{Agent, ApprovalRequest, Delegation};
use anyhow::{Context, Result, ensure};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::cluster::{Cluster, apply, eventually, until_refused};

/// The namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "aegis-system";
/// The service account of the operator, in [`OPERATOR_NAMESPACE`].
pub const OPERATOR_ACCOUNT: &str = "aegis-operator";
/// The operator's account as the API server names it.
pub const OPERATOR_USERNAME: &str = "system:serviceaccount:aegis-system:aegis-operator";

/// How long a guard may take until it acts. Under a second on an idle machine.
const IN_FORCE_WITHIN: Duration = Duration::from_mins(1);
/// Field manager of what is installed.
pub const MANAGER: &str = "aegis-install";
/// A well-formed digest of nothing in particular.
const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Applies definitions, guards and roles as `admin` and returns when the definitions are served and every guard has acted. May be repeated.
///
/// # Errors
/// When a manifest is refused, or a guard does not act within a minute; the error names it.
pub async fn install(cluster: &Cluster) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace has a root")?;
    let admin = cluster.admin().await?;
    apply(&admin, &root.join("crds/generated"), MANAGER).await?;
    apply(&admin, &root.join("guards"), MANAGER).await?;
    tokio::try_join!(
        approvals_are_guarded(cluster, &admin),
        delegations_are_guarded(&admin),
        reviews_are_guarded(&admin),
    )?;
    Ok(())
}

/// The server that all tests of this process share, with Aegis installed by the first that asks.
pub async fn shared() -> Result<&'static Cluster> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = Cluster::shared().await?;
    INSTALLED.get_or_try_init(|| install(cluster)).await?;
    Ok(cluster)
}

/// A client that acts as any account, such as a node, by impersonation from `admin`. Belongs to the runtime of the caller, as [`Cluster::client`] does.
pub async fn impersonate(cluster: &Cluster, username: &str, groups: &[&str]) -> Result<Client> {
    let read = Kubeconfig::read_from(cluster.kubeconfig("admin"))?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    config.auth_info.impersonate = Some(username.to_owned());
    config.auth_info.impersonate_groups = Some(groups.iter().map(|&group| group.to_owned()).collect());
    Ok(Client::try_from(config)?)
}

/// One undecided request is stored for the moment, since only a change of a stored one shows that deciders are stamped.
async fn approvals_are_guarded(cluster: &Cluster, admin: &Client) -> Result<()> {
    let as_user: Api<ApprovalRequest> = Api::namespaced(admin.clone(), OPERATOR_NAMESPACE);
    let operator = impersonate(cluster, OPERATOR_USERNAME, &["system:masters"]).await?;
    let as_operator: Api<ApprovalRequest> = Api::namespaced(operator, OPERATOR_NAMESPACE);
    let name = format!("install-probe-{:08x}", rand::random::<u32>());
    let probe = probe(&name)?;
    until_refused("guard aegis-approvals", "only Aegis creates an ApprovalRequest", IN_FORCE_WITHIN, async || {
        as_user.create(&PostParams { dry_run: true, ..PostParams::default() }, &probe).await
    })
    .await?;
    as_operator.create(&PostParams::default(), &probe).await.context("the operator's account cannot make a request")?;
    let stamped = stamps_deciders(&as_user, &name).await;
    as_operator.delete(&name, &DeleteParams::default()).await.context("cannot delete the probe of the guards")?;
    stamped
}

async fn stamps_deciders(requests: &Api<ApprovalRequest>, name: &str) -> Result<()> {
    let decision = Patch::Merge(json!({"spec": {"decision": {"verdict": "Denied", "effectDigest": DIGEST}}}));
    eventually("guard aegis-approver-stamp", IN_FORCE_WITHIN, async || {
        let decided = requests.patch(name, &PatchParams { dry_run: true, ..PatchParams::default() }, &decision).await?;
        let by = decided.spec.decision.and_then(|decision| decision.by).context("the decider was not filled in")?;
        ensure!(by.username == "admin", "the decider is {}", by.username);
        Ok(())
    })
    .await
}

async fn delegations_are_guarded(admin: &Client) -> Result<()> {
    let delegations: Api<Delegation> = Api::namespaced(admin.clone(), OPERATOR_NAMESPACE);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let delegation = |requested_by: Option<&str>| -> Result<Delegation> {
        let mut value = json!({
            "apiVersion": "aegis.dev/v1alpha1", "kind": "Delegation", "metadata": {"generateName": "install-probe-"},
            "spec": {"agent": "none", "delegator": "admin", "workflow": "none", "purpose": "Probe of the guards.",
                "grants": [{"tool": "none", "operations": ["*"]}],
                "notBefore": "2000-01-01T00:00:00Z", "expiresAt": "2000-01-01T00:00:01Z"},
        });
        if let (Some(spec), Some(name)) =
            (value.pointer_mut("/spec").and_then(|spec| spec.as_object_mut()), requested_by)
        {
            spec.insert("requestedBy".to_owned(), name.into());
        }
        Ok(serde_json::from_value(value)?)
    };
    let (forged, unsigned) = (delegation(Some("somebody-else"))?, delegation(None)?);
    until_refused("guard aegis-delegations", "spec.requestedBy must be the caller", IN_FORCE_WITHIN, async || {
        delegations.create(&dry_run, &forged).await
    })
    .await?;
    eventually("guard aegis-requested-by-stamp", IN_FORCE_WITHIN, async || {
        let stamped = delegations.create(&dry_run, &unsigned).await?;
        ensure!(stamped.spec.requested_by.as_deref() == Some("admin"), "stamped with {:?}", stamped.spec.requested_by);
        Ok(())
    })
    .await
}

async fn reviews_are_guarded(admin: &Client) -> Result<()> {
    let agents: Api<Agent> = Api::namespaced(admin.clone(), OPERATOR_NAMESPACE);
    let forged: Agent = serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent", "metadata": {"name": "install-probe"},
        "spec": {"tenant": "none", "businessUnit": "none", "owner": {"name": "none"}, "version": "1",
            "workload": {"serviceAccountName": "none"},
            "review": {"by": "somebody-else", "at": "2000-01-01T00:00:00Z", "digest": DIGEST}},
    }))?;
    until_refused("guard aegis-agents", "spec.review.by must be the caller", IN_FORCE_WITHIN, async || {
        agents.create(&PostParams { dry_run: true, ..PostParams::default() }, &forged).await
    })
    .await
    .map(drop)
}

fn probe(name: &str) -> Result<ApprovalRequest> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "ApprovalRequest", "metadata": {"name": name},
        "spec": {
            "agent": {"name": "none", "uid": "none", "version": "1"},
            "delegation": {"name": "none", "uid": "none", "generation": 1, "delegator": "nobody"},
            "requester": "nobody",
            "action": {
                "tool": "none", "operation": "none", "class": "Read",
                "target": {"method": "GET", "url": "https://none.invalid/"},
                "effectDigest": DIGEST, "contextDigest": DIGEST,
                "contextParts": {"rules": DIGEST, "registries": DIGEST, "facts": DIGEST, "delegation": DIGEST, "tool": DIGEST},
            },
            "previewDigest": DIGEST,
            "requirements": [{"tier": "none", "minimum": 1, "separationOfDuties": [], "decideWithin": "1s", "releaseTTL": "1s",
                "askedBy": [{"policy": "none", "rule": "none"}]}],
            "requestedAt": "2000-01-01T00:00:00Z", "expiresAt": "2000-01-01T00:00:01Z", "releaseTTL": "1s",
        },
    }))?)
}

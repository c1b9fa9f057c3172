//! A namespace with its people and the control service's hand: what every test of the guards begins with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aegis_crds::api::ApprovalRequest;
use aegis_tests::cluster::{Cluster, TestNamespace, TokenFor};
use aegis_tests::install::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, OPERATOR_USERNAME, impersonate, shared};
use anyhow::{Context, Result, bail};
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::{Value, json};

use super::people::{self, NODE, ROBOT};
use super::request::{EFFECT, State, request};

/// Longer than anything here takes on a machine that compiles beside it.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A namespace in which everybody of [`people`] has arrived.
pub struct Scene<'a> {
    pub namespace: &'a TestNamespace<'a>,
    /// One for everybody who acts here: a client keeps its connection.
    clients: BTreeMap<&'static str, Client>,
    made: AtomicU32,
}

/// Runs a test in a scene of its own on the shared server.
pub async fn in_scene(prefix: &str, test: impl AsyncFnOnce(&Scene<'_>) -> Result<()>) -> Result<()> {
    let cluster = shared().await?;
    cluster
        .in_namespace(prefix, async |namespace| {
            people::arrive(namespace).await?;
            let mut clients = BTreeMap::from([
                ("control", account(cluster, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT).await?),
                ("control with every right", impersonate(cluster, OPERATOR_USERNAME, &["system:masters"]).await?),
                ("robot", account(cluster, namespace.name(), ROBOT).await?),
                ("node", impersonate(cluster, NODE, &["system:nodes", "system:authenticated"]).await?),
            ]);
            for user in ["admin", "ana", "bob", "carol", "dave", "erin", "mallory"] {
                clients.insert(user, cluster.client(user).await?);
            }
            for (who, verb, resource, name) in [
                ("control", "delete", "approvalrequests", ""),
                ("robot", "approve", "approvaltiers", "auditor"),
                ("node", "approve", "approvaltiers", "auditor"),
            ] {
                let client = clients.get(who).context("everybody has a client")?.clone();
                people::client_until_allowed(client, namespace.name(), verb, resource, name).await?;
            }
            let scene = Scene { namespace, clients, made: AtomicU32::new(0) };
            Box::pin(test(&scene)).await
        })
        .await
}

impl Scene<'_> {
    /// The requests of this namespace, reached as `control`, `control with every right`, `robot`, `node` or one of the users.
    pub fn requests(&self, who: &str) -> Result<Api<ApprovalRequest>> {
        let client = self.clients.get(who).with_context(|| format!("{who} does not act here"))?;
        Ok(Api::namespaced(client.clone(), self.namespace.name()))
    }

    /// A name that no request of this scene has.
    pub fn fresh_name(&self) -> String {
        format!("buyer-{}", self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// A request in some state, brought there in the honest way: made by the control service, decided by ana.
    pub async fn request(&self, state: State, tiers: usize) -> Result<ApprovalRequest> {
        self.bring(request(&self.fresh_name(), tiers)?, state).await
    }

    /// As [`Self::request`], of a given content.
    pub async fn bring(&self, wanted: ApprovalRequest, state: State) -> Result<ApprovalRequest> {
        let control = self.requests("control")?;
        let mut stored = control.create(&PostParams::default(), &wanted).await.context("a request is not made")?;
        let mut statuses = state.statuses().into_iter();
        // The first status is written before somebody decides, as the control service does.
        if let Some(first) = statuses.next() {
            stored = put_status(&control, stored, first).await?;
        }
        if let Some(verdict) = state.verdict() {
            stored = self.decide("ana", &stored, &decision(verdict)).await.context("ana cannot decide")?;
        }
        for status in statuses {
            stored = put_status(&control, stored, status).await?;
        }
        Ok(stored)
    }

    /// What one person's merge patch of `spec.decision` is answered.
    pub async fn decide(&self, who: &str, request: &ApprovalRequest, decision: &Value) -> Result<ApprovalRequest> {
        let patch = Patch::Merge(json!({"spec": {"decision": decision}}));
        Ok(self.requests(who)?.patch(&request.name_any(), &PatchParams::default(), &patch).await?)
    }
}

/// A decision as people write it: who decides is left out.
pub fn decision(verdict: &str) -> Value {
    json!({"verdict": verdict, "effectDigest": EFFECT})
}

/// Demands that the server itself has refused, with a message that holds `reason`.
pub fn refused<T>(what: &str, answer: Result<T, kube::Error>, reason: &str) -> Result<()> {
    match answer {
        Err(kube::Error::Api(status))
            if (status.code == 403 || status.code == 422) && status.message.contains(reason) =>
        {
            Ok(())
        }
        Err(other) => bail!("{what}: wanted a refusal for {reason:?}, got: {other}"),
        Ok(_) => bail!("{what}: accepted"),
    }
}

async fn put_status(
    control: &Api<ApprovalRequest>,
    mut request: ApprovalRequest,
    status: Value,
) -> Result<ApprovalRequest> {
    request.status = Some(serde_json::from_value(status.clone())?);
    control
        .replace_status(&request.name_any(), &PostParams::default(), &request)
        .await
        .with_context(|| format!("the control service cannot write the status {status}"))
}

/// A client with a token of a service account.
pub async fn account(cluster: &Cluster, home: &str, name: &str) -> Result<Client> {
    let token = cluster
        .service_account_token(&TokenFor {
            namespace: home,
            name,
            audiences: &[],
            pod: None,
            life: Duration::from_mins(10),
        })
        .await?;
    let read = Kubeconfig::read_from(cluster.kubeconfig("admin"))?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    Ok(Client::try_from(config)?)
}

//! The exchange (RFC 8693): a pod's service account token and its TLS key become an agent token and the attestation of
//! its record key.

use std::sync::Arc;
use std::time::Duration;

use aegis_crds::mesh::{self, AGENT_LABEL};
use aegis_decision::control::{GRANT_TYPE, ISSUED_TOKEN_TYPE, SUBJECT_TOKEN_TYPE, TokenAnswer, TokenForm};
use aegis_decision::egress::Level;
use aegis_decision::jws::{self, PublicKey, thumbprint};
use aegis_decision::probe::ProbeStatement;
use aegis_decision::token::{AgentClaims, AgentName, Attestation, Confirmation, PodName, subject, verify_record_key};
use aegis_decision::tool::Class;
use aegis_runtime::serve::{PeerKey, Stranger};
use axum::extract::{Form, State};
use axum::{Extension, Json};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{AUDIENCE, Control, Refusal, loggable, probe};
use crate::hub::View;
use crate::pods::ProofFault;

/// Audience that a pod's token must be for.
const POD_TOKEN_AUDIENCE: &str = "aegis";
/// `amr` of tokens that rest on a pod-bound service account token.
const PROOF: &str = "k8s-pod-token";
/// An attestation outlives its token: batches sealed while renewals fail must still be covered.
const ATTESTATION_GRACE: SignedDuration = SignedDuration::from_hours(6);
/// Exchanges at once.
const MAX_EXCHANGES: usize = 32;
/// Time to wait for one's turn; a sidecar tries again.
const WAIT: Duration = Duration::from_secs(5);

/// Lets a few exchanges through at once: anyone who reaches the control service can ask for one, and each asks the API
/// server twice.
#[derive(Clone)]
pub struct Turnstile(Arc<Semaphore>);

impl Default for Turnstile {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_EXCHANGES)))
    }
}

/// `POST /v1/token`.
pub async fn exchange(
    State(control): State<Arc<Control>>,
    Extension(PeerKey(key)): Extension<PeerKey>,
    Extension(turnstile): Extension<Turnstile>,
    stranger: Option<Extension<Stranger>>,
    Form(form): Form<TokenForm>,
) -> Result<Json<TokenAnswer>, Refusal> {
    let result = match timeout(WAIT, turnstile.0.acquire()).await {
        Ok(Ok(_turn)) => issue(&control, &key, &form).await,
        Ok(Err(_)) | Err(_) => Err(Refusal::TooMany),
    };
    let label = result.as_ref().map_or_else(Refusal::reason, |_| "issued");
    control.metrics.tokens(label);
    if let (Ok(_), Some(Extension(stranger))) = (&result, stranger) {
        stranger.proven();
    }
    if let Err(refusal) = &result {
        tracing::warn!(agent = %loggable(&form.agent), reason = refusal.reason(), %refusal, "no token");
    }
    result.map(Json)
}

async fn issue(control: &Control, key: &[u8; 32], form: &TokenForm) -> Result<TokenAnswer, Refusal> {
    if form.grant_type != GRANT_TYPE || form.subject_token_type != SUBJECT_TOKEN_TYPE {
        return Err(Refusal::Malformed(format!(
            "grant_type must be {GRANT_TYPE} and subject_token_type {SUBJECT_TOKEN_TYPE}"
        )));
    }
    let (namespace, name) =
        form.agent.split_once('/').ok_or_else(|| Refusal::Malformed("agent must be namespace/name".to_owned()))?;
    let client_thumbprint = thumbprint(key);
    let record_key = record_key(form, &client_thumbprint)?;
    let account = review(control, &form.subject_token).await?;
    let pod = pod(control, namespace, name, &account).await?;
    let view = control.hub.find(namespace, name).ok_or(Refusal::UnknownAgent)?;
    if !view.workload_bound || account.name != view.agent.service_account {
        return Err(Refusal::NotThisAgent("the pod's service account is not the one that the Agent names and holds"));
    }
    let name = PodName { name: account.pod_name, uid: account.pod_uid };
    governed(control, &view, &pod, &name, form.probe.as_deref(), &record_key).await?;
    sign(control, &view, name, client_thumbprint, record_key)
}

fn record_key(form: &TokenForm, client_thumbprint: &str) -> Result<PublicKey, Refusal> {
    let bytes: [u8; 32] = jws::from_base64url(&form.record_key)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Refusal::Malformed("record_key must be 32 bytes, base64url".to_owned()))?;
    let key = PublicKey::from_bytes(&bytes)
        .map_err(|_| Refusal::Malformed("record_key is not a usable Ed25519 key".to_owned()))?;
    if verify_record_key(&key, client_thumbprint, &form.record_key_proof) {
        Ok(key)
    } else {
        Err(Refusal::NotThisAgent("record_key_proof does not show possession of record_key on this connection"))
    }
}

/// The service account and the pod that a token speaks for.
struct Account {
    namespace: String,
    name: String,
    pod_name: String,
    pod_uid: String,
    node: Option<String>,
}

/// Asks the API server whose token this is.
async fn review(control: &Control, token: &str) -> Result<Account, Refusal> {
    let review = TokenReview {
        spec: TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![POD_TOKEN_AUDIENCE.to_owned()]) },
        ..Default::default()
    };
    let reviews: Api<TokenReview> = Api::all(control.client.clone());
    let status = reviews.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
    let for_us = status.audiences.unwrap_or_default().iter().any(|audience| audience == POD_TOKEN_AUDIENCE);
    if !status.authenticated.unwrap_or(false) || !for_us {
        return Err(Refusal::NotThisAgent("the API server does not accept the token for audience aegis"));
    }
    status
        .user
        .and_then(|user| account(&user))
        .ok_or(Refusal::NotThisAgent("the token is not a service account token bound to a pod"))
}

fn account(user: &UserInfo) -> Option<Account> {
    let extra = |key: &str| match user.extra.as_ref()?.get(key)?.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    let (namespace, name) = user.username.as_ref()?.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(Account {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        pod_name: extra("authentication.kubernetes.io/pod-name")?,
        pod_uid: extra("authentication.kubernetes.io/pod-uid")?,
        node: extra("authentication.kubernetes.io/node-name"),
    })
}

/// The pod itself, read now: it must exist, be the one of the token, and be labelled as this agent.
async fn pod(control: &Control, namespace: &str, agent: &str, account: &Account) -> Result<Pod, Refusal> {
    if account.namespace != namespace {
        return Err(Refusal::NotThisAgent("the pod is in another namespace than the agent"));
    }
    let pods: Api<Pod> = Api::namespaced(control.client.clone(), namespace);
    let pod = pods.get_opt(&account.pod_name).await?.ok_or(Refusal::NotThisAgent("the pod does not exist"))?;
    let spec = pod.spec.as_ref();
    if pod.uid().as_deref() != Some(&account.pod_uid) || pod.metadata.deletion_timestamp.is_some() {
        return Err(Refusal::NotThisAgent("the pod is another one of that name, or is being deleted"));
    }
    if pod.labels().get(AGENT_LABEL).map(String::as_str) != Some(agent) {
        return Err(Refusal::NotThisAgent("the pod's label aegis.dev/agent does not name the agent"));
    }
    if spec.and_then(|spec| spec.service_account_name.as_deref()) != Some(&account.name) {
        return Err(Refusal::NotThisAgent("the pod runs under another service account than its token's"));
    }
    let node = spec.and_then(|spec| spec.node_name.as_deref());
    if account.node.as_deref().is_some_and(|claimed| node != Some(claimed)) {
        return Err(Refusal::NotThisAgent("the pod runs on another node than its token's"));
    }
    Ok(pod)
}

/// No mesh, no token: the pod must have the form of its agent's level, and where that form captures, a probe must have
/// shown that nothing gets past it. A gateway holds nothing of the agent, so it needs no probe.
async fn governed(
    control: &Control,
    view: &View,
    pod: &Pod,
    name: &PodName,
    statement: Option<&str>,
    record_key: &PublicKey,
) -> Result<(), Refusal> {
    let agent = &view.agent;
    let governed = mesh::inspect(pod, &agent.namespace, &agent.name, agent.level, &control.mesh);
    let governed = governed.map_err(|faults| Refusal::NotGoverned(listed(&faults)))?;
    if governed.gateway {
        let sealed = agent.level == Level::Sealed;
        let other = "only an agent at level Sealed has a gateway".to_owned();
        return if sealed { Ok(()) } else { Err(Refusal::NotGoverned(other)) };
    }
    if !agent.level.is_captured() {
        return Ok(());
    }
    let statement = statement.ok_or(ProofFault::Missing)?;
    let statement = ProbeStatement::verify(statement, record_key).map_err(|_| ProofFault::Signature)?;
    probe::settle(control, view, pod, name, &statement).await
}

/// The first faults, by container and field. Names of containers are the pod's author's; values are never named.
fn listed(faults: &[mesh::Fault]) -> String {
    const MOST: usize = 8;
    let mut texts: Vec<String> = faults.iter().take(MOST).map(ToString::to_string).collect();
    if faults.len() > MOST {
        texts.push(format!("{} more", faults.len() - MOST));
    }
    texts.join("; ")
}

fn sign(
    control: &Control,
    view: &View,
    pod: PodName,
    client_thumbprint: String,
    record_key: PublicKey,
) -> Result<TokenAnswer, Refusal> {
    let agent = &view.agent;
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
    let life = SignedDuration::from_secs(i64::from(agent.token_ttl_seconds));
    let name = AgentName {
        namespace: agent.namespace.clone(),
        name: agent.name.clone(),
        uid: agent.uid.clone(),
        version: agent.version.clone(),
    };
    let claims = AgentClaims {
        iss: control.issuer.clone(),
        sub: subject(&control.trust_domain, &agent.namespace, &agent.name),
        aud: AUDIENCE.to_owned(),
        exp: now.saturating_add(life).unwrap_or(now),
        nbf: now,
        iat: now,
        jti: jws::base64url(&rand::random::<[u8; 16]>()),
        org: control.org.clone(),
        tenant: agent.tenant.clone(),
        bu: agent.business_unit.clone(),
        agent: name.clone(),
        scope: scope(view),
        amr: vec![PROOF.to_owned()],
        cnf: Confirmation { jkt: client_thumbprint },
        pod: pod.clone(),
    };
    let attestation = Attestation {
        pod,
        agent: name,
        key: record_key,
        nbf: now,
        exp: now.saturating_add(life.saturating_add(ATTESTATION_GRACE)).unwrap_or(now),
    };
    Ok(TokenAnswer {
        access_token: claims.issue(&control.keys.tokens)?,
        issued_token_type: ISSUED_TOKEN_TYPE.to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: agent.token_ttl_seconds,
        attestation: attestation.issue(&control.keys.attestations)?,
    })
}

/// `tool:operation` of everything under the agent's ceiling that no rule holds unconditionally for a person.
fn scope(view: &View) -> String {
    let Some(published) = &view.bundle else { return String::new() };
    let source = published.bundle.source();
    let mut scope: Vec<String> = Vec::new();
    for tool in &source.tools {
        for operation in &tool.operations {
            let ceiling: Class = view.agent.ceiling;
            let allowed = source.policies.iter().filter(|policy| policy.tools.contains(&tool.name)).any(|policy| {
                policy.rules.iter().any(|rule| {
                    rule.effect == aegis_decision::policy::Effect::Allow
                        && rule.operations.iter().any(|name| name == "*" || *name == operation.name)
                })
            });
            if operation.class <= ceiling && allowed {
                scope.push(format!("{}:{}", tool.name, operation.name));
            }
        }
    }
    scope.join(" ")
}

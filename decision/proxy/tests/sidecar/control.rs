//! A control service that fits in a test: real TLS, real signatures, the same shared types and the same decision; only
//! the API server behind it is a map.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aegis_decision::agent::Lifecycle;
use aegis_decision::approval::{ClaimReceipt, Release};
use aegis_decision::bundle::{Bundle, BundleSource};
use aegis_decision::codes::Code;
use aegis_decision::control::{
    ApprovalAnswer, ClaimAnswer, ClaimRequest, ControlError, Execution, GRANT_TYPE, Head, ISSUED_TOKEN_TYPE,
    OutcomeReport, ProbeSubmission, SUBJECT_TOKEN_TYPE, Submission, TokenAnswer, TokenForm,
};
use aegis_decision::decision::{Outcome, UnknownValue};
use aegis_decision::digest::Digest;
use aegis_decision::feed::{Envelope, FeedItem, Grants};
use aegis_decision::jws::{KeySet, PublicKey, Purpose, SigningKey, from_base64url, thumbprint};
use aegis_decision::probe::ProbeStatement;
use aegis_decision::token::{AgentClaims, AgentName, Attestation, Confirmation, PodName, subject, verify_record_key};
use aegis_decision::trial::TrialReport;
use aegis_runtime::serve::{Limits, PeerKey, https};
use aegis_runtime::shutdown::Drain;
use aegis_runtime::tls::{Authority, server_config};
use axum::body::Body;
use axum::extract::{Form, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::bed::{Sidecar, Trial, command, write_credential};
use crate::upstream::Upstream;

const AUDIENCE: &str = "aegis-control";
pub const POD_TOKEN: &str = "pod.token";
/// Of a gateway's pod.
pub const GATEWAY_TOKEN: &str = "gateway.token";

/// What the feed tells.
#[derive(Clone)]
pub struct Told {
    pub version: u64,
    pub source: BundleSource,
    pub grants: Grants,
    /// Heartbeats go on, and `asOf` with them.
    pub alive: bool,
    /// Sent as it is, once per change.
    pub garbage: Option<String>,
}

/// An approval request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub name: String,
    pub submission: Submission,
    /// Values of unknown origin, as deciding again finds them: what the approver's preview begins with.
    pub unknown: Vec<UnknownValue>,
    pub nonce: Option<String>,
    pub outcome: Option<OutcomeReport>,
    /// What a claim or a repeat is told instead of the truth.
    pub refuse: Option<Code>,
}

/// Everything that may be changed by a test.
pub struct Settings {
    pub token_seconds: u32,
    pub exchanges: u32,
    pub refuse_tokens: bool,
    pub forge_receipts: bool,
}

/// The control service.
pub struct Control {
    pub told: watch::Sender<Told>,
    pub asked: Mutex<BTreeMap<String, Asked>>,
    pub heads: Mutex<Vec<Head>>,
    /// What was told of trials.
    pub trials: Mutex<Vec<TrialReport>>,
    /// What came with the exchanges about the pod's probe.
    pub exchanged: Mutex<Vec<Option<ProbeStatement>>>,
    /// What was reported about it later.
    pub probed: Mutex<Vec<ProbeStatement>>,
    pub settings: Mutex<Settings>,
    /// Every token that was issued, the newest last.
    pub issued: Mutex<Vec<String>>,
    pub keys: KeySet,
    tokens: SigningKey,
    attestations: SigningKey,
    feed: SigningKey,
    releases: SigningKey,
}

/// The control service with an upstream and the files that a kubelet would mount.
pub struct Mesh {
    pub control: Arc<Control>,
    pub upstream: Upstream,
    pub folder: TempDir,
    pub address: SocketAddr,
}

impl Mesh {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Trial)) -> Self {
        let upstream = Upstream::start().await;
        let mut trial = Trial::new(upstream.address);
        change(&mut trial);
        let key = |purpose, seed| SigningKey::from_seed(purpose, &[seed; 32]);
        let (tokens, attestations) = (key(Purpose::Tokens, 1), key(Purpose::Attestations, 2));
        let (feed, releases) = (key(Purpose::Feed, 3), key(Purpose::Releases, 4));
        let mut keys = KeySet::new();
        for key in [&tokens, &attestations, &feed, &releases] {
            keys.insert(key.purpose(), key.public()).unwrap();
        }
        let Trial { source, grants } = trial;
        let control = Arc::new(Control {
            told: watch::Sender::new(Told { version: 1, source, grants, alive: true, garbage: None }),
            asked: Mutex::default(),
            heads: Mutex::default(),
            trials: Mutex::default(),
            exchanged: Mutex::default(),
            probed: Mutex::default(),
            settings: Mutex::new(Settings {
                token_seconds: 300,
                exchanges: 0,
                refuse_tokens: false,
                forge_receipts: false,
            }),
            issued: Mutex::default(),
            keys,
            tokens,
            attestations,
            feed,
            releases,
        });
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::generate("test", Duration::from_hours(1)).unwrap();
        let leaf = authority.leaf(&["127.0.0.1".to_owned()], Duration::from_hours(1)).unwrap();
        std::fs::create_dir(folder.path().join("trust")).unwrap();
        std::fs::write(folder.path().join("trust/ca.crt"), authority.certificate_pem()).unwrap();
        std::fs::write(folder.path().join("trust/jwks.json"), serde_json::to_string(&control.keys).unwrap()).unwrap();
        for (file, token) in [("token", POD_TOKEN), ("gateway-token", GATEWAY_TOKEN)] {
            std::fs::write(folder.path().join(file), token).unwrap();
        }
        write_credential(folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = Arc::new(server_config(&leaf).unwrap());
        tokio::spawn(https(listener, tls, control.router(), Limits::default(), Drain::new()));
        Self { control, upstream, folder, address }
    }

    fn command(&self) -> std::process::Command {
        self.reached_by(command(self.folder.path()), "token")
    }

    /// The same program with the control service, and what it takes to be believed by it: the pod's token, in this file.
    pub fn reached_by(&self, mut command: std::process::Command, token: &str) -> std::process::Command {
        command.arg("--control").arg(format!("https://{}", self.address)).args(["--agent", "shop/clerk"]);
        command.arg("--trust-dir").arg(self.folder.path().join("trust"));
        command.arg("--token-file").arg(self.folder.path().join(token));
        command
    }

    /// Starts a sidecar; it need not become ready.
    pub async fn launch(&self) -> Sidecar {
        Sidecar::launch(self.command(), self.folder.path(), self.control.keys.clone()).await
    }

    /// Starts a sidecar that has its capture probed over this socket; nothing is captured.
    pub async fn probed(&self, socket: &std::path::Path) -> Sidecar {
        let mut command = self.command();
        command.args(["--level", "Captured", "--probe-minutes", "1", "--probe-socket"]).arg(socket);
        Sidecar::launch(command, self.folder.path(), self.control.keys.clone()).await
    }

    /// Starts a sidecar that captures, as [`crate::namespace`] lets it.
    pub async fn captured(&self) -> Sidecar {
        let command = crate::namespace::as_sidecar(self.command(), self.folder.path());
        let sidecar = Sidecar::launch(command, self.folder.path(), self.control.keys.clone()).await;
        sidecar.until_ready().await;
        sidecar
    }

    pub async fn start(&self) -> Sidecar {
        let sidecar = self.launch().await;
        sidecar.until_ready().await;
        sidecar
    }
}

impl Control {
    fn router(self: &Arc<Self>) -> Router {
        let authenticated = Router::new()
            .route("/v1/feed", get(feed))
            .route("/v1/approvals", post(submit))
            .route("/v1/approvals/{uid}/claim", post(claim))
            .route("/v1/approvals/{uid}/outcome", post(outcome))
            .route("/v1/heads", post(head))
            .route("/v1/trials", post(trials))
            .route("/v1/probe", post(probe))
            .layer(from_fn_with_state(Arc::clone(self), authenticate));
        Router::new()
            .route("/v1/token", post(token))
            .route("/jwks.json", get(jwks))
            .merge(authenticated)
            .with_state(Arc::clone(self))
    }

    pub fn set(&self, change: impl FnOnce(&mut Told)) {
        self.told.send_modify(change);
    }

    pub fn suspend(&self) {
        self.set(|told| told.grants.standing.lifecycle = Lifecycle::Suspended);
    }

    /// The only request, or the newest.
    pub fn newest(&self) -> Option<(String, Asked)> {
        self.asked.lock().unwrap().iter().next_back().map(|(uid, asked)| (uid.clone(), asked.clone()))
    }

    /// A person approved: the release travels the feed.
    pub fn approve(&self, uid: &str) {
        let asked = self.asked.lock().unwrap().get(uid).unwrap().clone();
        let release = Release {
            request_name: asked.name,
            request_uid: uid.to_owned(),
            agent_uid: "agent-1".to_owned(),
            effect_digest: asked.submission.effect_digest,
            context_digest: asked.submission.context_digest,
            expires_at: Timestamp::now() + SignedDuration::from_secs(60),
        };
        let release = release.sign(&self.releases).unwrap();
        self.set(|told| told.grants.releases.push(release));
    }

    /// What a token says that is bound to this TLS key.
    pub fn claims(&self, key: &[u8; 32], from: Timestamp, seconds: u32, number: u32) -> AgentClaims {
        AgentClaims {
            iss: "https://control.test".to_owned(),
            sub: subject("test", "shop", "clerk"),
            aud: AUDIENCE.to_owned(),
            exp: from + SignedDuration::from_secs(seconds.into()),
            nbf: from,
            iat: from,
            jti: number.to_string(),
            org: "test".to_owned(),
            tenant: "acme".to_owned(),
            bu: "it".to_owned(),
            agent: self.agent(),
            scope: String::new(),
            amr: Vec::new(),
            cnf: Confirmation { jkt: thumbprint(key) },
            pod: pod("clerk-0"),
        }
    }

    /// Signs a token.
    pub fn token(&self, claims: &AgentClaims) -> String {
        claims.issue(&self.tokens).unwrap()
    }

    /// Attests a record key for an hour.
    pub fn attest(&self, agent: AgentName, pod: PodName, key: PublicKey, from: Timestamp) -> String {
        let attestation = Attestation { pod, agent, key, nbf: from, exp: from + SignedDuration::from_hours(1) };
        attestation.issue(&self.attestations).unwrap()
    }

    pub fn agent(&self) -> AgentName {
        let agent = self.told.borrow().source.agent.clone();
        AgentName { namespace: agent.namespace, name: agent.name, uid: agent.uid, version: agent.version }
    }
}

/// A pod of that name.
pub fn pod(name: &str) -> PodName {
    PodName { name: name.to_owned(), uid: "pod-1".to_owned() }
}

type Refused = (StatusCode, Json<ControlError>);

fn refused(status: u16, error: &str, code: Option<Code>) -> Refused {
    let body = ControlError { error: error.to_owned(), error_description: String::new(), code };
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

async fn authenticate(
    State(control): State<Arc<Control>>,
    Extension(PeerKey(key)): Extension<PeerKey>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let claims =
        bearer.map(|token| AgentClaims::verify(token, &control.keys, AUDIENCE, &thumbprint(&key), Timestamp::now()));
    match claims {
        Some(Ok(_)) => Ok(next.run(request).await),
        _ => Err(refused(401, "invalid_token", None)),
    }
}

async fn token(
    State(control): State<Arc<Control>>,
    Extension(PeerKey(key)): Extension<PeerKey>,
    Form(form): Form<TokenForm>,
) -> Result<Json<TokenAnswer>, Refused> {
    let mut settings = control.settings.lock().unwrap();
    if settings.refuse_tokens {
        return Err(refused(503, "temporarily_unavailable", None));
    }
    assert_eq!((form.grant_type.as_str(), form.subject_token_type.as_str()), (GRANT_TYPE, SUBJECT_TOKEN_TYPE));
    assert_eq!(form.agent, "shop/clerk");
    let pod = match form.subject_token.as_str() {
        POD_TOKEN => pod("clerk-0"),
        GATEWAY_TOKEN => pod("clerk-gateway-6d5f-x2x9z"),
        other => panic!("{other}"),
    };
    let record_key = PublicKey::from_bytes(&from_base64url(&form.record_key).unwrap().try_into().unwrap()).unwrap();
    assert!(verify_record_key(&record_key, &thumbprint(&key), &form.record_key_proof));
    settings.exchanges += 1;
    let statement = form.probe.map(|statement| ProbeStatement::verify(&statement, &record_key).unwrap());
    control.exchanged.lock().unwrap().push(statement);
    let life = settings.token_seconds;
    let claims = control.claims(&key, Timestamp::now(), life, settings.exchanges);
    let access_token = control.token(&claims);
    control.issued.lock().unwrap().push(access_token.clone());
    Ok(Json(TokenAnswer {
        access_token,
        issued_token_type: ISSUED_TOKEN_TYPE.to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: life,
        attestation: control.attest(control.agent(), pod, record_key, Timestamp::now()),
    }))
}

async fn jwks(State(control): State<Arc<Control>>) -> Json<KeySet> {
    Json(control.keys.clone())
}

async fn probe(State(control): State<Arc<Control>>, Json(submission): Json<ProbeSubmission>) -> StatusCode {
    let attestation = Attestation::verify(&submission.attestation, &control.keys).unwrap();
    let statement = ProbeStatement::verify(&submission.statement, &attestation.key).unwrap();
    assert_eq!(statement.pod, Some(attestation.pod));
    control.probed.lock().unwrap().push(statement);
    StatusCode::NO_CONTENT
}

async fn feed(State(control): State<Arc<Control>>, Query(query): Query<BTreeMap<String, String>>) -> Body {
    let has = query.get("bundle").map(|digest| digest.parse::<Digest>().unwrap());
    let state = (control.told.subscribe(), has, 0_u64, None::<Timestamp>, true);
    let lines = futures::stream::unfold(state, move |(mut told, mut has, mut sequence, mut as_of, first)| {
        let control = Arc::clone(&control);
        async move {
            if !first {
                let _ = tokio::time::timeout(Duration::from_millis(200), told.changed()).await;
            }
            let now = told.borrow_and_update().clone();
            if now.alive || as_of.is_none() {
                as_of = Some(Timestamp::now());
            }
            let mut items = vec![FeedItem::Grants(now.grants), FeedItem::Heartbeat];
            let digest = Digest::of(&now.source);
            if has != Some(digest) {
                has = Some(digest);
                items.push(FeedItem::Policy { version: now.version, digest, source: Box::new(now.source) });
            }
            let mut text = String::new();
            for item in items {
                sequence += 1;
                let envelope = Envelope { agent_uid: "agent-1".to_owned(), sequence, as_of: as_of.unwrap(), item };
                text.push_str(&envelope.sign(&control.feed).unwrap());
                text.push('\n');
            }
            text.push_str(&now.garbage.unwrap_or_default());
            Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), (told, has, sequence, as_of, false)))
        }
    });
    Body::from_stream(lines)
}

async fn submit(
    State(control): State<Arc<Control>>,
    Json(submission): Json<Submission>,
) -> Result<Json<ApprovalAnswer>, Refused> {
    let told = control.told.borrow().clone();
    let bundle = Bundle::assemble(told.source).unwrap();
    if submission.bundle != bundle.digest() {
        return Err(refused(409, "bundle_changed", None));
    }
    let decision = bundle.decide_input(&submission.input, &told.grants.standing, &told.grants.delegations, &[]);
    assert!(matches!(decision.outcome, Outcome::Hold), "{:?}", decision.output);
    let found = (Some(submission.effect_digest), Some(submission.context_digest));
    if (decision.output.effect_digest, decision.output.context_digest) != found {
        // The sidecar judged with grants that have changed: the feed is on its way.
        return Err(refused(409, "not_held", None));
    }
    let mut asked = control.asked.lock().unwrap();
    let same = asked.iter().find(|(_, asked)| {
        asked.submission.effect_digest == submission.effect_digest
            && asked.submission.context_digest == submission.context_digest
    });
    let (uid, name, code) = if let Some((uid, asked)) = same {
        (uid.clone(), asked.name.clone(), asked.refuse.unwrap_or(Code::ApprovalRequired))
    } else {
        let number = asked.len() + 1;
        let (uid, name) = (format!("request-uid-{number}"), format!("clerk-{number}"));
        let unknown = decision.output.unknown_origins;
        let new = Asked { name: name.clone(), submission, unknown, nonce: None, outcome: None, refuse: None };
        asked.insert(uid.clone(), new);
        (uid, name, Code::ApprovalRequired)
    };
    let expires_at = Timestamp::now() + SignedDuration::from_hours(1);
    Ok(Json(ApprovalAnswer { name, uid, code, expires_at, replaces: None }))
}

async fn claim(
    State(control): State<Arc<Control>>,
    Path(uid): Path<String>,
    Json(request): Json<ClaimRequest>,
) -> Result<Json<ClaimAnswer>, Refused> {
    let forged = control.settings.lock().unwrap().forge_receipts;
    let mut all = control.asked.lock().unwrap();
    let asked = all.get_mut(&uid).ok_or_else(|| refused(404, "unknown_request", None))?;
    if let Some(code) = asked.refuse {
        return Err(refused(code.status(), code.as_str(), Some(code)));
    }
    if asked.nonce.is_some() {
        return Err(refused(409, "in_flight", Some(Code::InFlight)));
    }
    assert_eq!(request.effect_digest, asked.submission.effect_digest);
    assert_eq!(request.context_parts.digest(), request.context_digest);
    assert_eq!(from_base64url(&request.nonce).unwrap().len(), 16);
    asked.nonce = Some(request.nonce.clone());
    let nonce = if forged { "another".to_owned() } else { request.nonce };
    let receipt = ClaimReceipt { request_uid: uid, nonce, effect_digest: request.effect_digest, at: Timestamp::now() };
    Ok(Json(ClaimAnswer { receipt: receipt.sign(&control.releases).unwrap() }))
}

async fn outcome(
    State(control): State<Arc<Control>>,
    Path(uid): Path<String>,
    Json(report): Json<OutcomeReport>,
) -> Result<StatusCode, Refused> {
    let mut all = control.asked.lock().unwrap();
    let asked = all.get_mut(&uid).unwrap();
    if asked.nonce.as_ref() != Some(&report.nonce) {
        return Err(refused(400, "invalid_request", None));
    }
    asked.refuse = match report.execution {
        Execution::Succeeded => Some(Code::DuplicateEffect),
        Execution::Indeterminate => Some(Code::OutcomeUnknown),
        Execution::Failed => None,
    };
    asked.outcome = Some(report);
    Ok(StatusCode::NO_CONTENT)
}

async fn head(State(control): State<Arc<Control>>, Json(head): Json<Head>) -> StatusCode {
    control.heads.lock().unwrap().push(head);
    StatusCode::NO_CONTENT
}

async fn trials(State(control): State<Arc<Control>>, Json(report): Json<TrialReport>) -> StatusCode {
    report.check().unwrap();
    control.trials.lock().unwrap().push(report);
    StatusCode::NO_CONTENT
}

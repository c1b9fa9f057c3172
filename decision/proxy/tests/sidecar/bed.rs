//! The files of an offline trial, the process, and a client.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aegis_decision::agent::{Lifecycle, Review, Standing};
use aegis_decision::bundle::BundleSource;
use aegis_decision::digest::Digest;
use aegis_decision::feed::{Envelope, FeedItem, Grants};
use aegis_decision::jws::{KeySet, Purpose, SigningKey};
use aegis_decision::record::{ConnectionEndRecord, ConnectionRecord, DecisionRecord, OutcomeRecord, Record};
use aegis_decision::segment::{Entry, read, verify};
use aegis_decision::token::{AgentName, Attestation, PodName};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::upstream::Upstream;

/// The credential that only the sidecar knows.
pub const SECRET: &str = "tr0ub4dor-and-3";
pub const WAIT: Duration = Duration::from_secs(20);

/// Files, keys and the upstream.
pub struct Bed {
    pub folder: TempDir,
    pub upstream: Upstream,
    pub keys: KeySet,
    feed: SigningKey,
}

/// A running sidecar.
pub struct Sidecar {
    process: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    records: PathBuf,
    keys: KeySet,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The problem's code, with all that every problem has.
    pub fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["decision"], self.headers["aegis-decision"].to_str().unwrap());
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("https://aegis.dev/docs/errors#{code}"));
        code
    }
}

impl Bed {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A bed whose bundle and grants a test changes.
    pub async fn with(change: impl FnOnce(&mut Trial)) -> Self {
        let upstream = Upstream::start().await;
        let folder = tempfile::tempdir().unwrap();
        let key = |purpose, seed| SigningKey::from_seed(purpose, &[seed; 32]);
        let feed = key(Purpose::Feed, 1);
        let attestations = key(Purpose::Attestations, 2);
        let record = key(Purpose::Records, 3);
        let mut keys = KeySet::new();
        for key in [&feed, &attestations] {
            keys.insert(key.purpose(), key.public()).unwrap();
        }
        let mut trial = Trial::new(upstream.address);
        change(&mut trial);
        let bed = Self { folder, upstream, keys, feed };
        bed.write("keys.json", &serde_json::to_string(&bed.keys).unwrap());
        bed.write("record.key", &record.seed_text());
        bed.write("bundle.jsonl", &bed.items(trial).join("\n"));
        let now = Timestamp::now();
        let attestation = Attestation {
            pod: PodName { name: "clerk-0".to_owned(), uid: "pod-1".to_owned() },
            agent: AgentName {
                namespace: "shop".to_owned(),
                name: "clerk".to_owned(),
                uid: "agent-1".to_owned(),
                version: "3".to_owned(),
            },
            key: record.public(),
            nbf: now - SignedDuration::from_secs(5),
            exp: now + SignedDuration::from_secs(3600),
        };
        bed.write("attestation.jws", &attestation.issue(&attestations).unwrap());
        write_credential(bed.folder.path());
        bed
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn items(&self, trial: Trial) -> Vec<String> {
        let digest = Digest::of(&trial.source);
        let agent_uid = trial.source.agent.uid.clone();
        let policy = FeedItem::Policy { version: 4, digest, source: Box::new(trial.source) };
        let grants = FeedItem::Grants(trial.grants);
        let items = [policy, grants].into_iter().enumerate().map(|(at, item)| {
            let sequence = at as u64 + 1;
            Envelope { agent_uid: agent_uid.clone(), sequence, as_of: Timestamp::now(), item }.sign(&self.feed).unwrap()
        });
        items.collect()
    }

    /// The command line of a sidecar with these files.
    pub fn command(&self) -> Command {
        let mut command = command(self.folder.path());
        for (name, path) in [
            ("--bundle", "bundle.jsonl"),
            ("--bundle-keys", "keys.json"),
            ("--attestation", "attestation.jws"),
            ("--record-key", "record.key"),
        ] {
            command.arg(name).arg(self.path(path));
        }
        command
    }

    pub async fn start(&self) -> Sidecar {
        let sidecar = Sidecar::launch(self.command(), self.folder.path(), self.keys.clone()).await;
        sidecar.until_ready().await;
        sidecar
    }
}

/// The arguments that every sidecar has.
pub fn command(folder: &Path) -> Command {
    let mut command = bare(folder);
    command.args(["--listen", "127.0.0.1:0"]);
    command
}

/// The arguments that sidecars and gateways share.
pub fn bare(folder: &Path) -> Command {
    let mut command = Command::new(crate::namespace::program());
    command.args(["--admin-listen", "127.0.0.1:0", "--workers", "2"]);
    command.args(["--log-format", "text", "--log-level", "warn"]);
    for (name, path) in [
        ("--records-dir", "records"),
        ("--credentials-dir", "credentials"),
        ("--address-file", "address"),
        ("--admin-address-file", "admin"),
    ] {
        command.arg(name).arg(folder.join(path));
    }
    command
}

/// Puts the tool's credential where a kubelet would.
pub fn write_credential(folder: &Path) {
    std::fs::create_dir_all(folder.join("credentials/ledger")).unwrap();
    std::fs::write(folder.join("credentials/ledger/key"), format!("{SECRET}\n")).unwrap();
}

impl Sidecar {
    /// Starts the process and waits for its addresses, not for its readiness.
    pub async fn launch(mut command: Command, folder: &Path, keys: KeySet) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let process = command.stdin(Stdio::null()).spawn().unwrap();
        let mut sidecar = Self { process, address: nowhere, admin: nowhere, records: folder.join("records"), keys };
        sidecar.address = sidecar.address_in(&folder.join("address")).await;
        sidecar.admin = sidecar.address_in(&folder.join("admin")).await;
        sidecar
    }

    /// Kills it at once; gives the verified records.
    pub fn kill(mut self) -> Records {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.records()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    async fn address_in(&mut self, file: &Path) -> SocketAddr {
        let end = Instant::now() + WAIT;
        loop {
            if let Ok(text) = std::fs::read_to_string(file) {
                return text.parse().unwrap();
            }
            assert!(self.process.try_wait().unwrap().is_none(), "the sidecar ended");
            assert!(Instant::now() < end, "no {}", file.display());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn until_ready(&self) {
        let answer = self.until(|| self.ready(), |answer| answer.status == StatusCode::OK).await;
        assert_eq!(answer.body, "ready\n");
    }

    pub async fn ready(&self) -> Answer {
        exchange(self.admin, Request::get("/ready").header("host", "admin").body(Full::default()).unwrap()).await
    }

    /// Waits until no call is under way.
    pub async fn until_idle(&self) {
        let end = Instant::now() + WAIT;
        while !self.metrics().await.contains("\naegis_calls_in_flight 0\n") {
            assert!(Instant::now() < end, "calls stay under way");
        }
    }

    /// Asks again until the answer is as wanted.
    pub async fn until<F: Future<Output = Answer>>(
        &self,
        ask: impl Fn() -> F,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let end = Instant::now() + WAIT;
        loop {
            let answer = ask().await;
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < end, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path), "").await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Request::post(path).header("content-type", "application/json"), body).await
    }

    pub async fn send(&self, request: http::request::Builder, body: &str) -> Answer {
        let request = request.header("host", self.address.to_string());
        exchange(self.address, request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await
    }

    pub async fn metrics(&self) -> String {
        exchange(self.admin, Request::get("/metrics").header("host", "admin").body(Full::default()).unwrap()).await.body
    }

    /// Ends the process gently; gives the verified records.
    pub async fn stop(mut self) -> Records {
        let pid = self.process.id();
        assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap().success());
        let end = Instant::now() + WAIT;
        while self.process.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the sidecar does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(self.process.wait().unwrap().success());
        self.records()
    }

    /// Waits until the records are as wanted; they are verified each time.
    pub async fn records_until(&self, wanted: impl Fn(&Records) -> bool) -> Records {
        let end = Instant::now() + WAIT;
        loop {
            let records = self.records();
            if wanted(&records) {
                return records;
            }
            assert!(Instant::now() < end, "{records:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The records as they are now, verified.
    pub fn records(&self) -> Records {
        let file = std::fs::read_dir(&self.records).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(file).unwrap();
        let report = verify(&bytes, &self.keys, None).unwrap_or_else(|findings| panic!("{findings:?}"));
        let mut records = Records { text: String::from_utf8(bytes.clone()).unwrap(), ..Records::default() };
        for entry in read(&bytes) {
            match entry {
                Entry::Record(Record::Decision(record)) => records.decisions.push(*record),
                Entry::Record(Record::Outcome(record)) => records.outcomes.push(*record),
                Entry::Record(Record::Connection(record)) => records.connections.push(*record),
                Entry::Record(Record::ConnectionEnd(record)) => records.ends.push(*record),
                Entry::Header(_) | Entry::Attestation | Entry::Batch(_) => {}
                Entry::Unreadable => assert!(report.torn.is_some()),
            }
        }
        let count = records.decisions.len() + records.outcomes.len() + records.connections.len() + records.ends.len();
        assert!(report.complete_to <= count as u64);
        records
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Verified records.
#[derive(Debug, Default)]
pub struct Records {
    pub decisions: Vec<DecisionRecord>,
    pub outcomes: Vec<OutcomeRecord>,
    pub connections: Vec<ConnectionRecord>,
    pub ends: Vec<ConnectionEndRecord>,
    pub text: String,
}

impl Records {
    /// The records of an answer's decision.
    pub fn of(&self, answer: &Answer) -> (&DecisionRecord, Option<&OutcomeRecord>) {
        let id = answer.headers["aegis-decision"].to_str().unwrap();
        let decision = self.decisions.iter().find(|record| record.id == id).unwrap_or_else(|| panic!("no {id}"));
        (decision, self.outcomes.iter().find(|record| record.decision == id))
    }
}

/// One request on a connection of its own.
pub async fn exchange(address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    exchange_on(TcpStream::connect(address).await.unwrap(), request).await
}

/// One request on this connection.
pub async fn exchange_on(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Answer {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    driver.abort();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

/// What the sidecar judges with.
pub struct Trial {
    pub source: BundleSource,
    pub grants: Grants,
}

impl Trial {
    pub fn new(upstream: SocketAddr) -> Self {
        let read = |name: &str, path: &str| {
            json!({"name": name, "class": "Read", "timeoutSeconds": 1,
                "http": {"method": "GET", "path": path, "query": [{"name": "fields", "repeated": true}]}})
        };
        let schema = json!({"type": "object", "additionalProperties": false, "required": ["amount"],
            "properties": {"amount": {"type": ["number", "string"]}, "to": {"type": "string"}, "id": {"type": "string"}}});
        let source = json!({
            "agent": {"namespace": "shop", "name": "clerk", "uid": "agent-1", "tenant": "acme", "businessUnit": "it",
                "owner": "it@acme.example", "version": "3", "ceiling": "Commit", "serviceAccount": "clerk",
                "maxStalenessSeconds": 60, "tokenTtlSeconds": 300},
            "tools": [
                {"name": "ledger", "uid": "tool-1", "allowPrivateAddresses": true,
                    "endpoint": {"scheme": "http", "host": "127.0.0.1", "port": upstream.port(), "basePath": "/v1"},
                    "headers": [{"name": "x-company", "value": "7"}],
                    "credential": {"secret": "ledger-key", "key": "key", "header": "authorization", "scheme": "Bearer"},
                    "limits": {"requestBytes": 512, "responseBytes": 100_000, "concurrency": 4},
                    "operations": [
                        read("notes.get", "/notes/{id}"),
                        read("orders.get", "/orders/{id}"),
                        {"name": "notes.create", "class": "Draft", "timeoutSeconds": 5,
                            "http": {"method": "POST", "path": "/notes"}},
                        {"name": "payments.create", "class": "Commit", "timeoutSeconds": 1, "arguments": schema,
                            "recordClear": ["to"], "http": {"method": "POST", "path": "/payments/{id}"}},
                        {"name": "orders.confirm", "class": "Commit", "timeoutSeconds": 5,
                            "arguments": {"type": "object"},
                            "facts": [{"name": "order", "operation": "orders.get",
                                "arguments": {"id": {"from": "id"}}, "paths": ["total", "party.id"]}],
                            "http": {"method": "POST", "path": "/orders/{id}/confirm"}}
                    ]},
                {"name": "inner", "uid": "tool-2", "allowPrivateAddresses": false,
                    "endpoint": {"scheme": "http", "host": "127.0.0.1", "port": upstream.port(), "basePath": ""},
                    "limits": {"requestBytes": 512, "responseBytes": 100_000, "concurrency": 4},
                    "operations": [read("get", "/{id}")]},
                {"name": "closed", "uid": "tool-3", "allowPrivateAddresses": true,
                    "endpoint": {"scheme": "http", "host": "127.0.0.1", "port": 1, "basePath": ""},
                    "limits": {"requestBytes": 512, "responseBytes": 100_000, "concurrency": 4},
                    "operations": [read("get", "/{id}")]}
            ],
            "policies": [{"name": "desk", "tools": ["ledger", "inner", "closed"], "rules": [
                {"name": "reads", "operations": ["notes.get", "orders.get", "notes.create", "get"], "effect": "Allow"},
                {"name": "ceiling", "operations": ["payments.create"], "effect": "Allow",
                    "when": [{"field": "amount", "predicate": {"atMost": {"value": "100.00"}}}]},
                {"name": "known-orders", "operations": ["orders.confirm"], "effect": "Allow"},
                {"name": "large-orders", "operations": ["orders.confirm"],
                    "effect": {"RequireApproval": {"tier": "finance", "holdSeconds": 1}},
                    "when": [{"field": "$fact.order.total", "predicate": {"greaterThan": {"value": "100"}}}]}
            ]}],
            "registries": [],
            "tiers": [{"name": "finance", "minimum": 1, "separationOfDuties": ["Requester"],
                "decideWithinSeconds": 7200, "releaseTtlSeconds": 900}]
        });
        let source: BundleSource = serde_json::from_value(source).unwrap();
        let now = Timestamp::now();
        let review = Review { by: "chief".to_owned(), at: now, expires: None, digest: source.agent.review_digest() };
        let delegation = json!({"name": "desk", "uid": "delegation-1", "generation": 1, "agent": "clerk",
            "requestedBy": "ann", "delegator": "ann", "workflow": "desk", "purpose": "clearing the desk",
            "grants": [{"tool": "ledger", "operations": ["*"]}, {"tool": "inner", "operations": ["*"]},
                {"tool": "closed", "operations": ["*"]}],
            "notBefore": now - SignedDuration::from_secs(60), "expiresAt": now + SignedDuration::from_secs(3600)});
        let grants = Grants {
            standing: Standing { lifecycle: Lifecycle::Active, review: Some(review) },
            delegations: vec![serde_json::from_value(delegation).unwrap()],
            releases: Vec::new(),
            probe_requested: None,
        };
        Self { source, grants }
    }
}

//! Gateways that are not the agent's: the relay finds out before it says anything.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aegis_decision::codes::Code;
use aegis_decision::jws::{Purpose, SigningKey, thumbprint};
use aegis_decision::token::{AgentName, prove_record_key};
use aegis_proxy::sealed::{PROOF_PATH, Proof};
use aegis_runtime::tls::{Authority, ClientIdentity, key_server, peer_key, server_config};
use http::Request;
use jiff::{SignedDuration, Timestamp};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::pair::{Caller, Pair, TOKEN, relay};
use crate::bed::exchange_on;
use crate::control::{Mesh, pod};
use crate::ways::{open, tunnel};

/// Something that listens, answers everything with the same bytes, and remembers what it heard.
pub struct Fake {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
    taken: Arc<AtomicUsize>,
}

impl Fake {
    pub async fn start(tls: Option<ServerConfig>, says: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self { address: listener.local_addr().unwrap(), heard: Arc::default(), taken: Arc::default() };
        let (heard, taken) = (Arc::clone(&fake.heard), Arc::clone(&fake.taken));
        let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                taken.fetch_add(1, Ordering::SeqCst);
                let (acceptor, heard, says) = (acceptor.clone(), Arc::clone(&heard), says.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => listen(stream, &heard, &says).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                listen(stream, &heard, &says).await;
                            }
                        }
                    }
                });
            }
        });
        fake
    }

    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

async fn listen(mut stream: impl AsyncRead + AsyncWrite + Unpin, heard: &Mutex<Vec<u8>>, says: &str) {
    let mut bytes = [0; 4096];
    while let Ok(length) = stream.read(&mut bytes).await
        && length > 0
    {
        heard.lock().unwrap().extend_from_slice(&bytes[..length]);
        if stream.write_all(says.as_bytes()).await.is_err() {
            break;
        }
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn shown(attestation: String, record_key: &SigningKey, tls: &ClientIdentity) -> String {
    let proof = prove_record_key(record_key, &thumbprint(tls.public_key()));
    ok(&serde_json::to_string(&Proof { attestation, proof }).unwrap())
}

/// The proof of the real gateway, as anybody gets it who has some TLS key.
async fn real_proof(pair: &Pair) -> String {
    let caller = Caller::of(&pair.gateway);
    let stream = caller.connect().await;
    let key = peer_key(&stream.get_ref().1.peer_certificates().unwrap()[0]).unwrap();
    let request = Request::get(PROOF_PATH).header("host", "gateway").body(String::new().into()).unwrap();
    let answer = exchange_on(stream, request).await;
    let proof: Proof = serde_json::from_str(&answer.body).unwrap();
    let uid = pair.mesh.control.agent().uid;
    proof.check(&pair.mesh.control.keys, &uid, &key, Timestamp::now()).expect("it is good on its own connection");
    answer.body
}

/// Fakes by what is wrong with them.
async fn fakes(pair: &Pair) -> Vec<(&'static str, Fake)> {
    let Mesh { control, .. } = &pair.mesh;
    let hour = Duration::from_hours(1);
    let (ours, now) = (control.agent(), Timestamp::now());
    let other = AgentName { name: "thief".to_owned(), uid: "agent-2".to_owned(), ..ours.clone() };
    let tls = ClientIdentity::generate().unwrap();
    let own = || Some(key_server(&tls).unwrap());
    let record_key = SigningKey::from_seed(Purpose::Records, &[77; 32]);
    let self_made = SigningKey::from_seed(Purpose::Attestations, &[78; 32]);
    let gateway = || pod("clerk-gateway-6d5f-x2x9z");
    let good = |key: &SigningKey| control.attest(ours.clone(), gateway(), key.public(), now);
    let other_key = SigningKey::from_seed(Purpose::Records, &[79; 32]);
    let forged = aegis_decision::token::Attestation {
        pod: gateway(),
        agent: ours.clone(),
        key: record_key.public(),
        nbf: now,
        exp: now + SignedDuration::from_hours(1),
    };
    let named = Authority::generate("other", hour).unwrap().leaf(&["127.0.0.1".to_owned()], hour).unwrap();
    let long_ago = now - SignedDuration::from_hours(2);
    vec![
        ("no tls", Fake::start(None, ok("{}")).await),
        ("right name, another authority", Fake::start(Some(server_config(&named).unwrap()), ok("{}")).await),
        ("no proof", Fake::start(own(), "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned()).await),
        ("empty proof", Fake::start(own(), ok("{}")).await),
        ("replayed proof", Fake::start(own(), ok(&real_proof(pair).await)).await),
        (
            "another agent's gateway",
            Fake::start(own(), shown(control.attest(other, gateway(), record_key.public(), now), &record_key, &tls))
                .await,
        ),
        (
            "attested by nobody that is trusted",
            Fake::start(own(), shown(forged.issue(&self_made).unwrap(), &record_key, &tls)).await,
        ),
        (
            "attestation that has ended",
            Fake::start(
                own(),
                shown(control.attest(ours.clone(), gateway(), record_key.public(), long_ago), &record_key, &tls),
            )
            .await,
        ),
        (
            "a sidecar of the agent's own",
            Fake::start(
                own(),
                shown(control.attest(ours.clone(), pod("clerk-0"), record_key.public(), now), &record_key, &tls),
            )
            .await,
        ),
        ("attestation of another key", Fake::start(own(), shown(good(&other_key), &record_key, &tls)).await),
    ]
}

#[tokio::test]
async fn a_fake_gateway_hears_no_call_no_token_and_no_body() {
    let pair = Pair::with(|trial| open(trial, &["api.example"])).await;
    assert_eq!(pair.relay.get("/ledger/notes/1").await.status, 200, "the real one is believed");
    for (at, (what, fake)) in fakes(&pair).await.into_iter().enumerate() {
        let relay = relay(&pair.mesh, &format!("relay-{at}"), fake.address).await;
        relay.until_ready().await;
        let read = relay.get("/ledger/notes/1").await;
        let write = relay.post("/ledger/payments/1", r#"{"amount":1}"#).await;
        for answer in [&read, &write] {
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "gateway_unavailable"), "{what}");
        }
        let (_, connect) = tunnel(&relay, "api.example:443", "1.1").await;
        assert!(connect.starts_with("HTTP/1.1 502"), "{what}: {connect}");
        let (heard, taken) = (fake.heard(), fake.taken.load(Ordering::SeqCst));
        assert_eq!(taken, 3, "{what}: a stranger is not tried again");
        let requests = heard.matches("HTTP/1.1\r\n").count();
        assert!(requests <= 3 && requests == heard.matches(PROOF_PATH).count(), "{what}: {heard}");
        let bearer = pair.mesh.control.issued.lock().unwrap().last().cloned().unwrap();
        for secret in [TOKEN, bearer.as_str(), "amount", "/ledger", "notes", "CONNECT"] {
            assert!(!heard.contains(secret), "{what} heard {secret}: {heard}");
        }
        println!("{what}: refused; it heard {} bytes in {requests} requests for its proof", heard.len());
        let records = relay.stop().await;
        let codes: Vec<_> = records.decisions.iter().filter_map(|record| record.decision.code).collect();
        assert_eq!(codes, [Code::GatewayUnavailable; 2], "{what}");
        assert_eq!(records.connections.len(), 1);
    }
    assert_eq!(pair.mesh.upstream.seen().len(), 1, "by the real one");
}

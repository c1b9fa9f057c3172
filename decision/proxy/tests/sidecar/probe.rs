//! The socket that the pod's probe asks, and what its findings open and close.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aegis_decision::egress::Level;
use aegis_decision::probe::{Attempt, Outcome, ProbeOrder, ProbeReport, ProbeState, ProbeStatement};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::bed::WAIT;
use crate::control::Mesh;

const PAYMENT: &str = r#"{"amount":1}"#;
/// A user that is surely not the sidecar's.
const AGENT_UID: u32 = 54_321;

async fn ask(socket: &Path, method: &str, path: &str, body: String) -> (StatusCode, Value) {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", "sidecar");
    let response = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

pub async fn ordered(socket: &Path) -> ProbeOrder {
    let asked = tokio::time::timeout(WAIT, ask(socket, "GET", "/next", String::new())).await.unwrap();
    assert_eq!(asked.0, StatusCode::OK);
    serde_json::from_value(asked.1).unwrap()
}

pub async fn report(socket: &Path, report: &ProbeReport) -> StatusCode {
    ask(socket, "POST", "/result", serde_json::to_string(report).unwrap()).await.0
}

async fn state(socket: &Path) -> ProbeState {
    serde_json::from_value(ask(socket, "GET", "/state", String::new()).await.1).unwrap()
}

pub fn found(order: &ProbeOrder, ipv6: Outcome) -> ProbeReport {
    let attempt = |technique: &str, target: &str, outcome| Attempt {
        technique: technique.to_owned(),
        target: target.to_owned(),
        outcome,
        detail: "EPERM".to_owned(),
    };
    let attempts = vec![
        attempt("BYP-1", "tcp 203.0.113.20:443", Outcome::Blocked),
        attempt("BYP-2", "tcp [2001:db8::20]:443", ipv6),
    ];
    ProbeReport { run: order.run.clone(), uid: AGENT_UID, at: Timestamp::now(), attempts }
}

async fn reported(mesh: &Mesh) -> ProbeStatement {
    let end = Instant::now() + WAIT;
    loop {
        if let Some(statement) = mesh.control.probed.lock().unwrap().last().cloned() {
            return statement;
        }
        assert!(Instant::now() < end, "nothing was reported");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn socket(mesh: &Mesh) -> PathBuf {
    mesh.folder.path().join("probe.sock")
}

#[tokio::test]
async fn a_captured_sidecar_asks_for_a_token_only_with_what_its_probe_found() {
    let mesh = Mesh::new().await;
    let socket = socket(&mesh);
    // What a process that was killed leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let sidecar = mesh.probed(&socket).await;
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o666, "another user connects");
    let ready = sidecar.ready().await;
    assert_eq!(ready.body, "pending: bundle, capture, grants, segment, token\n");

    let order = ordered(&socket).await;
    assert_eq!(order.sidecar_uid, std::fs::metadata("/proc/self").unwrap().uid());
    assert_eq!(order.targets, [mesh.address.to_string()], "the control service is for the sidecar alone");
    assert_eq!(state(&socket).await, ProbeState { verified: false, ready: false });
    let good = found(&order, Outcome::Blocked);
    for wrong in [
        ProbeReport { run: "another".to_owned(), ..good.clone() },
        ProbeReport { uid: order.sidecar_uid, ..good.clone() },
        ProbeReport { attempts: Vec::new(), ..good.clone() },
    ] {
        assert_eq!(report(&socket, &wrong).await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(ask(&socket, "POST", "/result", "{".to_owned()).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ask(&socket, "POST", "/result", "x".repeat(70_000)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(ask(&socket, "GET", "/result", String::new()).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(mesh.control.settings.lock().unwrap().exchanges, 0, "it asked for a token before a probe was heard");

    assert_eq!(report(&socket, &good).await, StatusCode::ACCEPTED);
    assert_eq!(report(&socket, &good).await, StatusCode::BAD_REQUEST, "a run is heard once");
    sidecar.until_ready().await;
    assert_eq!(state(&socket).await, ProbeState { verified: true, ready: true });
    let statement = mesh.control.exchanged.lock().unwrap()[0].clone().expect("a statement with the exchange");
    assert_eq!((statement.level, statement.blocked, statement.got_out.len()), (Level::Captured, 2, 0));
    assert_eq!((&statement.pod, statement.report), (&None, aegis_decision::digest::Digest::of(&good)));
    assert_eq!(sidecar.post("/ledger/payments/1", PAYMENT).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn what_got_out_closes_writes_at_once_and_is_reported() {
    let mesh = Mesh::new().await;
    let socket = socket(&mesh);
    let sidecar = mesh.probed(&socket).await;
    let order = ordered(&socket).await;
    report(&socket, &found(&order, Outcome::NotApplicable)).await;
    sidecar.until_ready().await;

    // A person asks: the run is due now, not in a minute.
    let ask_again = || mesh.control.set(|told| told.grants.probe_requested = Some(Timestamp::now()));
    ask_again();
    let order = ordered(&socket).await;
    assert_eq!(report(&socket, &found(&order, Outcome::GotOut)).await, StatusCode::ACCEPTED);
    let refused = sidecar.post("/ledger/payments/1", PAYMENT).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "capture_broken"));
    assert_eq!(sidecar.get("/ledger/notes/1").await.status, StatusCode::OK, "a Read changes nothing");
    assert_eq!(sidecar.ready().await.body, "pending: capture\n");
    assert!(!state(&socket).await.verified);
    assert!(sidecar.metrics().await.contains("\naegis_probes_total{result=\"got_out\"} 1\n"));
    let statement = reported(&mesh).await;
    assert_eq!(statement.got_out, ["BYP-2 tcp [2001:db8::20]:443"]);

    ask_again();
    let order = ordered(&socket).await;
    report(&socket, &found(&order, Outcome::Blocked)).await;
    assert_eq!(sidecar.post("/ledger/payments/1", PAYMENT).await.status, StatusCode::CREATED);
    sidecar.until_ready().await;
}

/// A pod whose ports are all taken tells nothing about TCP, whatever else is stopped.
#[tokio::test]
async fn a_run_that_cannot_tell_about_tcp_does_not_hold() {
    let mesh = Mesh::new().await;
    let socket = socket(&mesh);
    let sidecar = mesh.probed(&socket).await;
    let order = ordered(&socket).await;
    report(&socket, &found(&order, Outcome::NotApplicable)).await;
    sidecar.until_ready().await;

    mesh.control.set(|told| told.grants.probe_requested = Some(Timestamp::now()));
    let mut blind = found(&ordered(&socket).await, Outcome::NotApplicable);
    let stopped = Attempt { technique: "BYP-4".to_owned(), ..blind.attempts[0].clone() };
    blind.attempts[0].outcome = Outcome::NotApplicable;
    blind.attempts.push(stopped);
    assert_eq!(report(&socket, &blind).await, StatusCode::ACCEPTED);
    let refused = sidecar.post("/ledger/payments/1", PAYMENT).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "capture_broken"));
    assert!(!state(&socket).await.verified);
    let statement = reported(&mesh).await;
    assert_eq!(statement.got_out, ["BYP-1 (it cannot be told)"], "so the control service issues no token either");
}

/// The first statement cannot name its pod and counts for two minutes, so a renewal brings it with the pod's name.
#[tokio::test]
async fn a_renewal_names_the_pod_of_the_first_finding() {
    let mesh = Mesh::new().await;
    mesh.control.settings.lock().unwrap().token_seconds = 3;
    let socket = socket(&mesh);
    let sidecar = mesh.probed(&socket).await;
    report(&socket, &found(&ordered(&socket).await, Outcome::Blocked)).await;
    sidecar.until_ready().await;
    let end = Instant::now() + WAIT;
    let [first, renewed] = loop {
        if let [Some(first), Some(renewed), ..] = mesh.control.exchanged.lock().unwrap().as_slice() {
            break [first.clone(), renewed.clone()];
        }
        assert!(Instant::now() < end, "the token was not renewed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(first.pod.is_none() && renewed.pod.is_some() && renewed.agent.is_some());
    assert_eq!((renewed.at, renewed.report), (first.at, first.report), "it is the same finding");
    assert!(mesh.control.probed.lock().unwrap().is_empty(), "nothing new was found");
}

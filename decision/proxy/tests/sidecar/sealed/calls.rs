//! Calls through the relay: judged, recorded and sent by the gateway, as in a plain sidecar.

use aegis_decision::codes::Code;
use aegis_decision::probe::Outcome;
use aegis_decision::record::{DecisionRecord, PodRef};
use http::{Request, StatusCode};
use jiff::Timestamp;

use super::pair::{Pair, folder, gateway, relay_command};
use crate::bed::{Answer, SECRET, Sidecar, write_credential};
use crate::control::Mesh;
use crate::probe::{found, ordered, report};
use crate::proxied::{proxied, without_identity};

pub const PAYMENT: &str = r#"{"amount":1}"#;

/// What two processes must record alike.
fn comparable(record: &DecisionRecord) -> DecisionRecord {
    let pod = PodRef { name: String::new(), uid: String::new() };
    DecisionRecord { epoch: String::new(), pod, ..without_identity(record) }
}

pub async fn ask(sidecar: &Sidecar, method: &str, path: &str, body: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    sidecar.send(request, body).await
}

/// The problem without what is each decision's own.
fn problem(answer: &Answer) -> serde_json::Value {
    let mut problem = answer.json();
    if let Some(problem) = problem.as_object_mut() {
        problem.remove("decision");
    }
    problem
}

#[tokio::test]
async fn decisions_and_records_are_those_of_a_plain_sidecar() {
    let Pair { mesh, gateway, relay } = Pair::new().await;
    write_credential(mesh.folder.path());
    let plain = mesh.start().await;
    let cases = [
        ("GET", "/notes/1", "", 200),
        ("GET", "/notes/1?fields=a&fields=b%20c", "", 200),
        ("POST", "/notes", r#"{"text":"x"}"#, 201),
        ("POST", "/payments/9", r#"{"amount":50,"to":"ann"}"#, 201),
        ("POST", "/payments/9", r#"{"amount":500,"to":"ann"}"#, 403),
        ("POST", "/payments/refused", r#"{"amount":1}"#, 409),
        ("POST", "/payments/9", r#"{"amount":[]}"#, 403),
        ("GET", "/secrets", "", 403),
        ("GET", "/notes/1?other=a", "", 400),
        ("POST", "/notes", "{", 400),
    ];
    let mut answers = Vec::new();
    for (method, path, body, status) in cases {
        let by_name = format!("/ledger{path}");
        let direct = ask(&plain, method, &by_name, body).await;
        let relayed = ask(&relay, method, &by_name, body).await;
        let whole = proxied(&relay, method, &format!("http://{}/v1{path}", mesh.upstream.address), body).await;
        for other in [&relayed, &whole] {
            assert_eq!((direct.status.as_u16(), other.status), (status, direct.status), "{path} {body}: {other:?}");
            assert_eq!(problem(&direct), problem(other), "{path}");
            for name in ["content-type", "etag"] {
                assert_eq!(direct.headers.get(name), other.headers.get(name), "{path} {name}");
            }
        }
        answers.push((direct, [relayed, whole]));
    }
    let seen = mesh.upstream.seen();
    assert_eq!(seen.len(), 15);
    for three in seen.chunks(3) {
        let what = |at: usize| (&three[at].method, &three[at].target, &three[at].body);
        assert!(what(0) == what(1) && what(0) == what(2), "{three:?}");
        assert!(three.iter().all(|seen| seen.headers["authorization"] == format!("Bearer {SECRET}")));
        assert!(three.iter().all(|seen| !seen.headers.contains_key(super::pair::TOKEN)));
    }
    let (plain, at_relay, at_gateway) = (plain.stop().await, relay.stop().await, gateway.stop().await);
    for (direct, others) in &answers {
        let (wanted, ended) = plain.of(direct);
        for other in others {
            let (record, end) = at_gateway.of(other);
            assert_eq!(comparable(wanted), comparable(record));
            assert!(record.pod.name.starts_with("clerk-gateway-"));
            assert_eq!(ended.map(|end| end.execution), end.map(|end| end.execution));
        }
    }
    assert_eq!(at_gateway.decisions.len(), 2 * answers.len());
    assert!(at_relay.decisions.is_empty() && at_relay.outcomes.is_empty(), "{at_relay:?}");
}

#[tokio::test]
async fn what_cannot_be_a_call_is_refused_and_recorded_at_the_relay() {
    let Pair { mesh, gateway, relay } = Pair::new().await;
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(600));
    for (path, body, code) in
        [("/nothing/x", "{}", Code::UnknownTool), ("/ledger/notes", large.as_str(), Code::BodyTooLarge)]
    {
        let answer = ask(&relay, "POST", path, body).await;
        assert_eq!(answer.code(), code.as_str());
    }
    assert!(mesh.upstream.seen().is_empty());
    let codes: Vec<_> = relay.stop().await.decisions.iter().filter_map(|record| record.decision.code).collect();
    assert_eq!(codes, [Code::UnknownTool, Code::BodyTooLarge]);
    assert!(gateway.stop().await.decisions.is_empty());
}

#[tokio::test]
async fn the_relay_holds_no_credential() {
    let Pair { mesh, gateway, relay } = Pair::new().await;
    let answer = relay.get("/ledger/notes/1").await;
    assert_eq!(answer.body, r#"{"you sent":"Bearer [redacted]"}"#, "the gateway takes it out of an answer, too");
    assert_eq!(mesh.upstream.seen()[0].headers["authorization"], format!("Bearer {SECRET}"));
    let at_relay = relay.pid();
    let holds = |file: String| std::fs::read(file).unwrap().windows(SECRET.len()).any(|it| it == SECRET.as_bytes());
    assert!(!holds(format!("/proc/{at_relay}/environ")) && !holds(format!("/proc/{at_relay}/cmdline")));
    assert!(!mesh.folder.path().join("relay/credentials").exists());
    for records in [relay.stop().await, gateway.stop().await] {
        assert!(!records.text.contains(SECRET));
    }
}

#[tokio::test]
async fn a_relay_whose_capture_is_broken_refuses_writes_itself() {
    let mesh = Mesh::new().await;
    let gateway = gateway(&mesh, "gateway", ([127, 0, 0, 1], 0).into()).await;
    let folder = folder(&mesh, "relay");
    let socket = folder.join("probe.sock");
    let mut command = relay_command(&mesh, &folder, gateway.address);
    command.args(["--level", "Sealed", "--probe-minutes", "1", "--probe-socket"]).arg(&socket);
    let relay = Sidecar::launch(command, &folder, mesh.control.keys.clone()).await;
    report(&socket, &found(&ordered(&socket).await, Outcome::Blocked)).await;
    relay.until_ready().await;
    let pay = || ask(&relay, "POST", "/ledger/payments/1", PAYMENT);
    assert_eq!(pay().await.status, StatusCode::CREATED);

    let ask_again = || mesh.control.set(|told| told.grants.probe_requested = Some(Timestamp::now()));
    ask_again();
    report(&socket, &found(&ordered(&socket).await, Outcome::GotOut)).await;
    let refused = pay().await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "capture_broken"));
    let draft = ask(&relay, "POST", "/ledger/notes", "{}").await;
    assert_eq!(draft.code(), "capture_broken");
    // What cannot be named could be anything.
    assert_eq!(ask(&relay, "POST", "/ledger/notes", "{").await.code(), "malformed_body");
    assert_eq!(ask(&relay, "GET", "/ledger/secrets", "").await.code(), "unknown_operation");
    assert_eq!(relay.get("/ledger/notes/1").await.status, StatusCode::OK, "a Read changes nothing");
    assert_eq!(mesh.upstream.seen().len(), 2);

    ask_again();
    report(&socket, &found(&ordered(&socket).await, Outcome::Blocked)).await;
    assert_eq!(pay().await.status, StatusCode::CREATED);
    let at_relay = relay.stop().await;
    assert_eq!(at_relay.decisions.len(), 4);
    assert_eq!(at_relay.of(&refused).0.decision.code, Some(Code::CaptureBroken));
    assert_eq!(gateway.stop().await.decisions.len(), 3, "two payments, one Read");
}

//! Upstreams that misbehave, and agents that go away.

use std::net::SocketAddr;

use aegis_decision::codes::Code;
use aegis_decision::record::{ErrorClass, RecordedExecution};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bed::{Answer, Bed, Sidecar};

#[tokio::test]
async fn a_redirect_is_returned_and_never_followed() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let answer = sidecar.get("/ledger/notes/moved").await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert!(!answer.headers.contains_key("location"));
    assert_eq!(bed.upstream.seen().len(), 1);
    let records = sidecar.stop().await;
    let outcome = records.of(&answer).1.unwrap();
    assert_eq!((outcome.execution, outcome.error), (RecordedExecution::Failed, Some(ErrorClass::Refused)));
}

#[tokio::test]
async fn what_happened_is_said_and_recorded_for_every_fault() {
    use ErrorClass::{Connect, Receive, Refused, Resolve, Timeout, TooLarge, Upstream};
    use RecordedExecution::{Failed, Indeterminate, NotSent};
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let payment = r#"{"amount":1}"#;
    let cases = [
        ("POST", "/ledger/payments/slow", 504, Some("upstream_timeout"), Indeterminate, Timeout),
        ("POST", "/ledger/payments/reset", 502, Some("upstream_failed"), Indeterminate, Receive),
        ("POST", "/ledger/payments/failed", 500, None, Indeterminate, Upstream),
        ("POST", "/ledger/payments/refused", 409, None, Failed, Refused),
        ("GET", "/ledger/notes/slow", 504, Some("upstream_timeout"), Indeterminate, Timeout),
        ("GET", "/ledger/notes/drip", 504, Some("upstream_timeout"), Indeterminate, Timeout),
        ("GET", "/ledger/notes/large", 502, Some("upstream_failed"), Indeterminate, TooLarge),
        ("GET", "/ledger/notes/gzip", 502, Some("upstream_failed"), Indeterminate, Receive),
        ("GET", "/inner/x", 502, Some("upstream_unreachable"), NotSent, Resolve),
        ("GET", "/closed/x", 502, Some("upstream_unreachable"), NotSent, Connect),
    ];
    let mut answers = Vec::new();
    for (method, path, status, code, execution, error) in cases {
        let answer = if method == "POST" { sidecar.post(path, payment).await } else { sidecar.get(path).await };
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        if let Some(code) = code {
            assert_eq!(answer.code(), code, "{path}");
            assert_eq!(answer.json()["outcome"], execution.as_str(), "{path}");
        }
        answers.push((path, answer, execution, error));
    }
    assert_eq!(bed.upstream.seen().len(), 8, "nothing is sent twice");
    let records = sidecar.stop().await;
    for (path, answer, execution, error) in answers {
        let outcome = records.of(&answer).1.unwrap_or_else(|| panic!("{path}"));
        assert_eq!((outcome.execution, outcome.error), (execution, Some(error)), "{path}");
        assert_eq!(outcome.sent, execution != NotSent, "{path}");
    }
}

/// Answers by the last segment of the path, and the body that is passed on; none where nothing of the answer may be.
const FRAMED: &[(&str, &str, Option<&str>)] = &[
    ("switched", "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n{}", None),
    ("short", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", None),
    ("unended", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", None),
    ("lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", None),
    ("other", "SSH-2.0-x\r\n\r\n", None),
    ("trailer", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\netag: b\r\n\r\n", Some("{}")),
    (
        TWICE,
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}",
        Some("{}"),
    ),
];
const TWICE: &str = "twice";

/// A tool that answers so. It ends each connection, but where it has answered twice.
async fn framed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let line = |name: &str| format!("GET /v1/notes/{name} ").into_bytes();
                let Some((name, answer, _)) = FRAMED.iter().find(|(name, ..)| head.starts_with(&line(name))) else {
                    return;
                };
                let _ = stream.write_all(answer.as_bytes()).await;
                if *name == TWICE {
                    // Open for the next call, which must not hear the second answer.
                    let _ = stream.read_u8().await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_is_not_plainly_one_is_not_passed_on() {
    let tool = framed().await;
    let bed = Bed::with(|trial| trial.source.tools[0].endpoint.port = tool.port()).await;
    let sidecar = bed.start().await;
    let mut answers = Vec::new();
    for &(name, _, passed) in FRAMED {
        // Again, so that what is left of the first answer would be heard.
        for _ in 0..2 {
            let answer = sidecar.get(&format!("/ledger/notes/{name}")).await;
            if let Some(body) = passed {
                assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, body), "{name}: {answer:?}");
                assert!(!answer.headers.contains_key("etag"), "{name}: {answer:?}");
            } else {
                assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "upstream_failed"), "{name}");
            }
            answers.push((name, passed.is_some(), answer));
        }
    }
    let records = sidecar.stop().await;
    for (name, passed, answer) in answers {
        let outcome = records.of(&answer).1.unwrap_or_else(|| panic!("{name}"));
        let execution = if passed { RecordedExecution::Succeeded } else { RecordedExecution::Indeterminate };
        assert_eq!((outcome.execution, outcome.sent), (execution, true), "{name}");
    }
}

#[tokio::test]
async fn without_its_credential_nothing_is_sent() {
    let bed = Bed::new().await;
    std::fs::remove_file(bed.path("credentials/ledger/key")).unwrap();
    let sidecar = bed.start().await;
    let answer = sidecar.post("/ledger/payments/1", r#"{"amount":1}"#).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "upstream_unreachable"));
    assert_eq!(answer.json()["outcome"], "NotSent");
    assert!(bed.upstream.seen().is_empty());
    // Rotated in: used from the next call on.
    bed.write("credentials/ledger/key", "another-secret");
    assert_eq!(sidecar.post("/ledger/payments/1", r#"{"amount":1}"#).await.status, StatusCode::CREATED);
    assert_eq!(bed.upstream.seen()[0].headers["authorization"], "Bearer another-secret");
    let records = sidecar.stop().await;
    assert_eq!(records.of(&answer).1.unwrap().error, Some(ErrorClass::Credential));
}

#[tokio::test]
async fn calls_over_the_tools_concurrency_are_refused() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let calls = (0..12).map(|_| sidecar.get("/ledger/notes/slow"));
    let answers = futures::future::join_all(calls).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS).collect();
    assert_eq!(refused.len(), 8);
    assert!(refused.iter().all(|answer| answer.code() == "too_many_calls" && answer.headers["retry-after"] == "1"));
    assert_eq!(sidecar.get("/ledger/notes/1").await.status, StatusCode::OK, "slots are given back");
    let records = sidecar.stop().await;
    for answer in refused {
        assert_eq!(
            records.of(answer).0.decision.code,
            Some(Code::TooManyCalls),
            "what is turned away is recorded, too"
        );
    }
}

#[tokio::test]
async fn bodies_beyond_the_budget_are_refused_while_others_go_on() {
    let bed = Bed::with(|trial| trial.source.tools[0].limits.request_bytes = 4096).await;
    let mut command = bed.command();
    command.args(["--body-memory", "4096"]);
    let sidecar = Sidecar::launch(command, bed.folder.path(), bed.keys.clone()).await;
    sidecar.until_ready().await;
    let note = format!(r#"{{"text":"{}"}}"#, "x".repeat(2000));
    assert_eq!(sidecar.post("/ledger/notes", &note).await.status, StatusCode::CREATED);
    let (stream, refused) = held_and_refused(&sidecar, &note).await;
    assert_eq!(refused.code(), "too_many_calls");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(
        sidecar.post("/ledger/notes", r#"{"text":"x"}"#).await.status,
        StatusCode::CREATED,
        "there is room for it"
    );
    assert_eq!(sidecar.get("/ledger/notes/1").await.status, StatusCode::OK);
    // What it took is free again once the agent has broken the connection, and after every call.
    drop(stream);
    sidecar.until(|| sidecar.post("/ledger/notes", &note), |answer| answer.status == StatusCode::CREATED).await;
    for _ in 0..4 {
        assert_eq!(sidecar.post("/ledger/notes", &note).await.status, StatusCode::CREATED);
    }
    let records = sidecar.stop().await;
    assert_eq!(records.of(&refused).0.decision.code, Some(Code::TooManyCalls));
}

/// A connection with all of a body but its last byte, which never comes, and the answer to a call that finds no room beside
/// it. It may be the other way round: a body that comes in during a call is itself refused, so another is tried.
async fn held_and_refused(sidecar: &Sidecar, note: &str) -> (TcpStream, Answer) {
    let head = format!(
        "POST /aegis/v1/plan HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 3000\r\n\r\n",
        sidecar.address
    );
    for _ in 0..100 {
        let mut stream = TcpStream::connect(sidecar.address).await.unwrap();
        stream.write_all(format!("{head}{}", " ".repeat(2999)).as_bytes()).await.unwrap();
        let answer = sidecar.post("/ledger/notes", note).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return (stream, answer);
        }
        assert_eq!(answer.status, StatusCode::CREATED);
    }
    panic!("there was always room")
}

#[tokio::test]
async fn answers_beyond_the_budget_are_not_passed_on() {
    let bed = Bed::with(|trial| trial.source.tools[0].limits.response_bytes = 300_000).await;
    let mut command = bed.command();
    command.args(["--body-memory", "100000"]);
    let sidecar = Sidecar::launch(command, bed.folder.path(), bed.keys.clone()).await;
    sidecar.until_ready().await;
    for _ in 0..2 {
        let answer = sidecar.get("/ledger/notes/large").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "upstream_failed"));
        assert_eq!(sidecar.get("/ledger/notes/1").await.status, StatusCode::OK, "what was read of it takes nothing");
    }
}

#[tokio::test]
async fn an_agent_that_goes_away_does_not_lose_the_outcome() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let mut stream = TcpStream::connect(sidecar.address).await.unwrap();
    let body = r#"{"amount":1}"#;
    let head = format!(
        "POST /ledger/payments/slow HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        sidecar.address,
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    sidecar.records_until(|records| !records.decisions.is_empty()).await;
    drop(stream);
    let records = sidecar.records_until(|records| !records.outcomes.is_empty()).await;
    assert_eq!(records.outcomes[0].execution, RecordedExecution::Indeterminate);
    assert_eq!(records.outcomes[0].decision, records.decisions[0].id);
}

#[tokio::test]
async fn the_drain_finishes_calls_under_way() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let slow = {
        let address = sidecar.address;
        tokio::spawn(async move {
            let request = http::Request::post("/ledger/payments/slow")
                .header("host", address.to_string())
                .header("content-type", "application/json");
            crate::bed::exchange(address, request.body(r#"{"amount":1}"#.into()).unwrap()).await
        })
    };
    sidecar.records_until(|records| !records.decisions.is_empty()).await;
    let records = sidecar.stop().await;
    let answer = slow.await.unwrap();
    assert_eq!(answer.code(), "upstream_timeout");
    assert_eq!(records.of(&answer).1.unwrap().execution, RecordedExecution::Indeterminate);
}

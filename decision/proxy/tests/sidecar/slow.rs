//! Agents that take their time: a head, a body and an idle connection have only so much of it.

use std::time::{Duration, Instant};

use aegis_decision::codes::Code;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bed::{Bed, Sidecar, WAIT};

/// What a call has to arrive here; else it is 30 seconds.
const TIME: Duration = Duration::from_secs(3);

/// A sidecar that gives calls so much time, and their bodies 4,096 bytes together.
async fn start(bed: &Bed) -> Sidecar {
    let mut command = bed.command();
    command.args(["--body-memory", "4096", "--arrival-millis", &TIME.as_millis().to_string()]);
    let sidecar = Sidecar::launch(command, bed.folder.path(), bed.keys.clone()).await;
    sidecar.until_ready().await;
    sidecar
}

/// Sends this and nothing more; gives all that comes until the sidecar ends the connection, which it does not do early.
async fn sent(sidecar: &Sidecar, text: &str) -> String {
    let began = Instant::now();
    let mut stream = TcpStream::connect(sidecar.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(WAIT, stream.read_to_string(&mut answer)).await.expect("the connection ends").unwrap();
    assert!(began.elapsed() >= TIME, "ended after {:?}: {answer}", began.elapsed());
    answer
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused_and_takes_nothing_any_more() {
    let bed = Bed::with(|trial| trial.source.tools[0].limits.request_bytes = 4096).await;
    let sidecar = start(&bed).await;
    let part = format!(
        "POST /ledger/notes HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 3000\r\n\r\n{}",
        sidecar.address,
        " ".repeat(2999)
    );
    let answer = sent(&sidecar, &part).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains("malformed_request") && answer.contains("did not arrive within 3 seconds"), "{answer}");
    // Beside what did arrive there was no room for this.
    let note = format!(r#"{{"text":"{}"}}"#, "x".repeat(2000));
    assert_eq!(sidecar.post("/ledger/notes", &note).await.status, StatusCode::CREATED);
    assert_eq!(bed.upstream.seen().len(), 1, "nothing of a part is sent");
    let records = sidecar.stop().await;
    let codes: Vec<_> = records.decisions.iter().map(|record| record.decision.code).collect();
    assert_eq!(codes, [Some(Code::MalformedRequest), None], "the refusal is recorded");
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_ends_the_connection() {
    let bed = Bed::new().await;
    let sidecar = start(&bed).await;
    let part = "GET /ledger/notes/1 HTTP/1.1\r\nhost:";
    let whole = format!("{part} {}\r\n\r\n", sidecar.address);
    let second = format!("{whole}{part}");
    // Nothing, a part of a head, a connection on which no second call begins, and a part of a second one.
    let (nothing, begun, idle, next) =
        tokio::join!(sent(&sidecar, ""), sent(&sidecar, part), sent(&sidecar, &whole), sent(&sidecar, &second));
    assert_eq!((nothing.as_str(), begun.as_str()), ("", ""), "who asks nothing gets no answer");
    for answer in [&idle, &next] {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    assert_eq!(bed.upstream.seen().len(), 2, "nothing of a part is sent");
    assert_eq!(sidecar.stop().await.decisions.len(), 2);
}

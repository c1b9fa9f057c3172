//! Bytes that are not plainly one call (THR-11): refused, and the upstream sees nothing it should not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bed::{Bed, Sidecar};

/// Sends raw bytes, ends the sending side, and reads all that comes.
async fn raw(sidecar: &Sidecar, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(sidecar.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    // A reset after a refusal is as good as an end.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn odd_framing_never_reaches_the_upstream() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let host = format!("host: {}", sidecar.address);
    let cases = [
        format!("GET /ledger/notes/1 HTTP/1.0\r\n{host}\r\n\r\n"),
        format!("GET /ledger/notes/1 HTTP/1.1\r\n{host}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
        format!(
            "GET /ledger/notes/1 HTTP/1.1\r\n{host}\r\nupgrade: h2c\r\nconnection: upgrade, http2-settings\r\n\r\n"
        ),
        format!("CONNECT {} HTTP/1.1\r\n{host}\r\n\r\n", bed.upstream.address),
        format!("GET http://{}/v1/notes/1 HTTP/1.1\r\n{host}\r\n\r\n", bed.upstream.address),
        format!("GET ws://{0}/v1/notes/1 HTTP/1.1\r\nhost: {0}\r\n\r\n", bed.upstream.address),
        format!("GET http://{0}/ledger/notes/1 HTTP/1.1\r\n{host}\r\n\r\n", sidecar.address),
        "GET /ledger/notes/1 HTTP/1.1\r\nhost: evil.example\r\n\r\n".to_owned(),
        "GET /ledger/notes/1 HTTP/1.1\r\n\r\n".to_owned(),
        format!("GET /ledger/notes/1 HTTP/1.1\r\n{host}\r\n{host}\r\n\r\n"),
        format!("GET /ledger/notes/1 HTTP/1.1\r\n{host}\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        format!("GET /ledger/notes/1 HTTP/1.1\r\n{host}\r\ntransfer-encoding: identity\r\n\r\n"),
        format!("POST /ledger/notes HTTP/1.1\r\n{host}\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!("POST /ledger/notes HTTP/1.1\r\n{host}\r\ncontent-length: +2\r\n\r\n{{}}"),
        format!("POST /ledger/notes HTTP/1.1\r\n{host}\r\ncontent-length: 2, 2\r\n\r\n{{}}"),
        format!(
            "POST /ledger/notes HTTP/1.1\r\n{host}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"
        ),
        format!(
            "POST /ledger/notes HTTP/1.1\r\n{host}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nx-a: b\r\n\r\n"
        ),
        format!(
            "POST /ledger/notes HTTP/1.1\r\n{host}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{}}"
        ),
        format!("GET /ledger/notes/1 HTTP/1.1\r\n{host}\r\nx y: z\r\n\r\n"),
        format!("GET /ledger/notes/1 HTTP/1.1\r\n{host}\r\n folded: z\r\n\r\n"),
        format!("GET /ledger/notes/\0 HTTP/1.1\r\n{host}\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\0\0".to_owned(),
    ];
    for case in &cases {
        let answer = raw(&sidecar, case.as_bytes()).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4"),
            "{case:?}: {answer}"
        );
        // The agent has gone, but a call that was taken would go on.
        sidecar.until_idle().await;
        assert!(bed.upstream.seen().is_empty(), "{case:?}: {:?}", bed.upstream.seen());
    }
    assert_eq!(sidecar.get("/ledger/notes/1").await.status, 200, "the sidecar goes on");
}

#[tokio::test]
async fn a_second_request_inside_the_first_is_a_call_of_its_own() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let inner = format!("GET /ledger/secrets HTTP/1.1\r\nhost: {}\r\n\r\n", sidecar.address);
    // Transfer-Encoding wins over Content-Length (RFC 9112, 6.3): what follows the last chunk is the next request.
    let outer = format!(
        "POST /ledger/notes HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{inner}",
        sidecar.address,
        inner.len()
    );
    raw(&sidecar, outer.as_bytes()).await;
    let seen = bed.upstream.seen();
    assert!(seen.iter().all(|seen| seen.target == "/v1/notes"), "{seen:?}");
    let records = sidecar.stop().await;
    let allowed = records.decisions.iter().filter(|record| record.decision.code.is_none()).count();
    assert_eq!(allowed, seen.len(), "one request, one decision");
}

#[tokio::test]
async fn large_heads_are_refused() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let many = "x-many: y\r\n".repeat(100);
    let long = format!("x-long: {}\r\n", "y".repeat(64 * 1024));
    for headers in [many, long] {
        let request = format!("GET /ledger/notes/1 HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", sidecar.address);
        let answer = raw(&sidecar, request.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    assert!(bed.upstream.seen().is_empty());
}

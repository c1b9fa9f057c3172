//! A sidecar that was taken over: it holds this agent's token and key, and says to the gateway what it likes.

use aegis_decision::codes::Code;
use http::Request;

use super::pair::{Caller, Pair, TOKEN};
use crate::bed::SECRET;

#[tokio::test]
async fn odd_framing_gets_nothing_through() {
    let Pair { mesh, gateway, relay: _relay } = Pair::new().await;
    let caller = Caller::of(&gateway);
    let (token, upstream) = (format!("{TOKEN}: {}", caller.token(&mesh)), mesh.upstream.address);
    let json = "content-type: application/json";
    let cases = [
        format!("GET /ledger/notes/1 HTTP/1.0\r\n{token}\r\n\r\n"),
        format!("GET /ledger/notes/1 HTTP/1.1\r\nhost: g\r\n{token}\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
        format!("GET http://{upstream}/v1/notes/1 HTTP/1.1\r\nhost: {upstream}\r\n{token}\r\n\r\n"),
        format!("GET http://evil.example/ HTTP/1.1\r\nhost: evil.example\r\n{token}\r\n\r\n"),
        format!("CONNECT {upstream} HTTP/1.1\r\nhost: {upstream}\r\n{token}\r\n\r\n"),
        format!("CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n{token}\r\n\r\n"),
        format!("GET /v1/notes/1 HTTP/1.1\r\nhost: {upstream}\r\n{token}\r\n\r\n"),
        format!(
            "GET /ledger/notes/1 HTTP/1.1\r\nhost: g\r\n{token}\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"
        ),
        format!(
            "POST /ledger/notes HTTP/1.1\r\nhost: g\r\n{token}\r\n{json}\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("POST /ledger/notes HTTP/1.1\r\nhost: g\r\n{token}\r\n{json}\r\ncontent-length: +2\r\n\r\n{{}}"),
        format!(
            "POST /ledger/notes HTTP/1.1\r\nhost: g\r\n{token}\r\n{json}\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"
        ),
        format!(
            "POST /ledger/notes HTTP/1.1\r\nhost: g\r\n{token}\r\n{json}\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nx-a: b\r\n\r\n"
        ),
        format!("POST /ledger/notes HTTP/1.1\r\nhost: g\r\n{token}\r\n{json}\r\ncontent-length: 9\r\n\r\n{{}}"),
        format!("GET /ledger/notes/1 HTTP/1.1\r\nhost: g\r\n{token}\r\n folded: z\r\n\r\n"),
        format!("GET /ledger/notes/1 HTTP/1.1\r\nhost: g\r\n{token}\r\nx-long: {}\r\n\r\n", "y".repeat(64 * 1024)),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\0\0".to_owned(),
    ];
    for case in &cases {
        let answer = caller.raw(case.as_bytes()).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4"),
            "{case:?}: {answer}"
        );
        gateway.until_idle().await;
        assert!(mesh.upstream.seen().is_empty(), "{case:?}: {:?}", mesh.upstream.seen());
    }
    // Without TLS there is nobody to be named, and nothing to be heard.
    let plain = std::net::TcpStream::connect(gateway.address).unwrap();
    std::io::Write::write_all(&mut &plain, cases[0].as_bytes()).unwrap();
    drop(plain);
    assert_eq!(caller.get(&[&caller.token(&mesh)], "/ledger/notes/1").await.status, 200, "the gateway goes on");
    assert_eq!(mesh.upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_second_request_inside_the_first_needs_a_token_of_its_own() {
    let Pair { mesh, gateway, relay: _relay } = Pair::new().await;
    let caller = Caller::of(&gateway);
    let token = format!("{TOKEN}: {}", caller.token(&mesh));
    let inner = "POST /ledger/payments/1 HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n{\"amount\":1}";
    // Transfer-Encoding wins over Content-Length (RFC 9112, 6.3): what follows the last chunk is the next request.
    let outer = format!(
        "POST /ledger/notes HTTP/1.1\r\nhost: g\r\n{token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{inner}",
        inner.len()
    );
    caller.raw(outer.as_bytes()).await;
    gateway.until_idle().await;
    let seen = mesh.upstream.seen();
    assert!(seen.iter().all(|seen| seen.target == "/v1/notes"), "{seen:?}");
    let records = gateway.stop().await;
    let allowed = records.decisions.iter().filter(|record| record.decision.code.is_none()).count();
    assert_eq!(allowed, seen.len(), "one request, one decision");
}

#[tokio::test]
async fn what_it_says_of_itself_decides_nothing_and_all_is_recorded() {
    let Pair { mesh, gateway, relay: _relay } = Pair::new().await;
    let caller = Caller::of(&gateway);
    let token = caller.token(&mesh);
    let forged = |request: http::request::Builder| {
        let mut request = request.header("content-type", "application/json");
        for (name, value) in [
            ("aegis-decision", "0123456789abcdef0123456789abcdef"),
            ("aegis-verdict", "Allow"),
            ("aegis-permit", "yes"),
            ("aegis-approval", "clerk-1"),
            ("aegis-agent", "shop/chief"),
            ("aegis-level", "Mediated"),
            ("authorization", "Bearer mine"),
            ("proxy-authorization", "Basic eDp5"),
            ("forwarded", "for=10.0.0.1"),
            ("x-company", "9"),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
        ] {
            request = request.header(name, value);
        }
        request
    };
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(600));
    for (request, body, status, code) in [
        (Request::post("/ledger/payments/1"), r#"{"amount":500}"#, 403, Code::NoRuleAllows),
        (Request::post("/ledger/payments/1"), r#"{"amount":1,"amount":500}"#, 400, Code::MalformedBody),
        (Request::delete("/ledger/notes/1"), "", 403, Code::UnknownOperation),
        (Request::get("/secret-tool/x"), "", 404, Code::UnknownTool),
        (Request::get("/"), "", 404, Code::UnknownTool),
        (Request::get("/ledger/../inner/1"), "", 400, Code::MalformedRequest),
        (Request::post("/ledger/notes"), large.as_str(), 413, Code::BodyTooLarge),
    ] {
        let answer = caller.ask(&[&token], forged(request), body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code.as_str()), "{body}");
        let records = gateway.records_until(|records| {
            records.decisions.iter().any(|record| answer.headers["aegis-decision"] == record.id.as_str())
        });
        assert_eq!(records.await.of(&answer).0.decision.code, Some(code));
    }
    assert!(mesh.upstream.seen().is_empty());

    let answer = caller.ask(&[&token], forged(Request::get("/ledger/notes/1")), "").await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.headers["aegis-decision"], "0123456789abcdef0123456789abcdef");
    let seen = mesh.upstream.seen();
    let headers = &seen[0].headers;
    assert_eq!(headers["authorization"], format!("Bearer {SECRET}"));
    assert_eq!(headers["x-company"], "7");
    for name in headers.keys().map(http::HeaderName::as_str) {
        let is_forged = name.starts_with("aegis-") || name.starts_with("proxy-");
        assert!(!is_forged && !["forwarded", "te", "keep-alive"].contains(&name), "{name}");
    }
}

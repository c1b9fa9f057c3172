//! The sidecar as a forward proxy: whole URLs are judged as the base URL is; tunnels go to egress hosts only.

use aegis_decision::codes::Code;
use aegis_decision::egress::Egress;
use aegis_decision::record::{ConnectionVerdict, DecisionRecord, Way};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bed::{Answer, Bed, Sidecar, exchange};

/// A request by its whole URL, as a client with `HTTP_PROXY` sends it.
pub async fn proxied(sidecar: &Sidecar, method: &str, url: &str, body: &str) -> Answer {
    let host = url.split('/').nth(2).unwrap().to_owned();
    let request = Request::builder().method(method).uri(url).header("host", host);
    let request = request.header("content-type", "application/json");
    exchange(sidecar.address, request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await
}

/// Sends raw bytes and reads all that comes.
async fn raw(sidecar: &Sidecar, text: &str) -> String {
    let mut stream = TcpStream::connect(sidecar.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64 * 1024];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

/// What two records of the same call by two ways must share: all but their own identity and time.
pub fn without_identity(record: &DecisionRecord) -> DecisionRecord {
    let mut record = record.clone();
    record.id.clear();
    record.sequence = 0;
    record.time = jiff::Timestamp::UNIX_EPOCH;
    record.monotonic_micros = 0;
    record.latency_micros = 0;
    record
}

#[tokio::test]
async fn a_call_by_its_whole_url_is_judged_like_one_by_the_base_url() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let tool = format!("http://{}/v1", bed.upstream.address);
    let cases = [
        ("GET", "/notes/1", "", 200),
        ("GET", "/notes/1?fields=a", "", 200),
        ("POST", "/notes", r#"{"text":"x"}"#, 201),
        ("POST", "/payments/9", r#"{"amount":50,"to":"ann"}"#, 201),
        ("POST", "/payments/9", r#"{"amount":500,"to":"ann"}"#, 403),
        ("GET", "/secrets", "", 403),
        ("GET", "/notes/1?other=a", "", 400),
        ("POST", "/notes", "{", 400),
    ];
    let mut pairs = Vec::new();
    for (method, path, body, status) in cases {
        let base = if method == "POST" {
            sidecar.post(&format!("/ledger{path}"), body).await
        } else {
            let request = Request::get(format!("/ledger{path}")).header("content-type", "application/json");
            sidecar.send(request, body).await
        };
        let whole = proxied(&sidecar, method, &format!("{tool}{path}"), body).await;
        assert_eq!((base.status.as_u16(), whole.status), (status, base.status), "{method} {path}: {whole:?}");
        pairs.push((path, base, whole));
    }
    let seen = bed.upstream.seen();
    assert_eq!(seen.len(), 8, "{seen:?}");
    for pair in seen.chunks(2) {
        assert_eq!(
            (&pair[0].method, &pair[0].target, &pair[0].body),
            (&pair[1].method, &pair[1].target, &pair[1].body)
        );
        assert_eq!(pair[0].headers.get("authorization"), pair[1].headers.get("authorization"));
    }
    let records = sidecar.stop().await;
    for (path, base, whole) in pairs {
        let ((base, base_end), (whole, whole_end)) = (records.of(&base), records.of(&whole));
        assert_eq!(without_identity(base), without_identity(whole), "{path}");
        assert_eq!(base_end.map(|end| end.execution), whole_end.map(|end| end.execution), "{path}");
    }
}

#[tokio::test]
async fn another_host_is_refused_and_recorded() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let port = bed.upstream.address.port();
    let urls = [
        "http://evil.example/v1/notes/1".to_owned(),
        "http://evil.example:443/".to_owned(),
        format!("http://127.0.0.1:{}/v1/notes/1", sidecar.address.port()),
        format!("http://localhost:{port}/v1/notes/1"),
        format!("https://127.0.0.1:{port}/v1/notes/1"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ];
    for url in &urls {
        let answer = proxied(&sidecar, "GET", url, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "unknown_host"), "{url}");
    }
    // A URL and a Host header that differ (domain fronting).
    let request = Request::get(format!("http://127.0.0.1:{port}/v1/notes/1")).header("host", "evil.example");
    let fronted = exchange(sidecar.address, request.body(Full::default()).unwrap()).await;
    assert_eq!((fronted.status.as_u16(), fronted.code().as_str()), (421, "misdirected"));
    let upgrade = format!(
        "GET http://127.0.0.1:{port}/v1/notes/1 HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    );
    assert!(raw(&sidecar, &upgrade).await.starts_with("HTTP/1.1 400"));
    assert!(bed.upstream.seen().is_empty());
    let records = sidecar.stop().await;
    let codes: Vec<_> = records.decisions.iter().filter_map(|record| record.decision.code).collect();
    assert_eq!(codes.iter().filter(|code| **code == Code::UnknownHost).count(), urls.len());
    assert!(codes.contains(&Code::Misdirected) && codes.contains(&Code::MalformedRequest));
}

#[tokio::test]
async fn a_redirect_is_not_followed_by_any_way() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let url = format!("http://{}/v1/notes/moved", bed.upstream.address);
    let answer = proxied(&sidecar, "GET", &url, "").await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert!(!answer.headers.contains_key("location"));
    assert_eq!(bed.upstream.seen().len(), 1);
}

#[tokio::test]
async fn connect_goes_to_egress_hosts_only() {
    let bed = Bed::with(|trial| {
        let egress =
            |host: &str, port| Egress { host: host.to_owned(), ports: vec![port], reason: "models".to_owned() };
        trial.source.agent.egress = vec![
            egress("localhost", 443),
            egress("*.store.example", 443),
            egress("127.0.0.1", trial.source.tools[0].endpoint.port),
        ];
        trial.grants.standing.review.as_mut().unwrap().digest = trial.source.agent.review_digest();
    })
    .await;
    let sidecar = bed.start().await;
    let port = bed.upstream.address.port();
    let cases = [
        ("evil.example:443".to_owned(), 403, Some(Code::UnknownHost)),
        ("store.example:443".to_owned(), 403, Some(Code::UnknownHost)),
        ("localhost:80".to_owned(), 403, Some(Code::UnknownHost)),
        (format!("127.0.0.1:{}", sidecar.admin.port()), 403, Some(Code::UnknownHost)),
        (format!("127.0.0.1:{port}"), 403, Some(Code::TunnelToTool)),
        ("user@localhost:443".to_owned(), 400, Some(Code::MalformedRequest)),
        (format!("{}.store.example:443", "x".repeat(64)), 400, Some(Code::MalformedRequest)),
        (format!("{}.{}.store.example:443", "x".repeat(40), "y".repeat(40)), 403, Some(Code::UnknownHost)),
        // Let through by its name, and not connected: an egress host is never in a private network.
        ("localhost:443".to_owned(), 502, None),
    ];
    let mut ids = Vec::new();
    for (target, status, code) in &cases {
        let answer = raw(&sidecar, &format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
        let id = answer.lines().find_map(|line| line.strip_prefix("aegis-decision: ")).unwrap().to_owned();
        if *code == Some(Code::TunnelToTool) {
            assert!(answer.contains("AEGIS_TOOL_INNER_URL"), "the first tool there: {answer}");
        }
        ids.push(id);
    }
    let metrics = sidecar.metrics().await;
    assert!(metrics.contains(r#"aegis_connections_total{way="Connect",code="unknown_host"} 5"#), "{metrics}");
    let records = sidecar.stop().await;
    assert!(bed.upstream.seen().is_empty());
    for ((target, _, code), id) in cases.iter().zip(ids) {
        let record = records.connections.iter().find(|record| record.id == id).unwrap();
        assert_eq!((record.way, record.code, record.count), (Way::Connect, *code, 1), "{target}");
        let end = records.ends.iter().find(|end| end.connection == id);
        assert_eq!(record.verdict == ConnectionVerdict::Allow, end.is_some(), "{target}");
        if let Some(end) = end {
            assert_eq!(record.reason.as_deref(), Some("models"));
            assert_eq!((end.sent_bytes, end.error), (0, Some(aegis_decision::record::ErrorClass::Resolve)));
        }
    }
}

#[tokio::test]
async fn startup_and_status_tell_no_secret() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    assert_eq!(sidecar.get("/ledger/notes/1").await.status, StatusCode::OK);
    let ask = |path: &'static str| {
        exchange(sidecar.admin, Request::get(path).header("host", "admin").body(Full::default()).unwrap())
    };
    assert_eq!(ask("/startup").await.status, StatusCode::OK);
    let status = ask("/status").await.json();
    assert_eq!(status["agent"], "shop/clerk");
    assert_eq!((&status["level"], &status["bundle"]["version"]), (&"Mediated".into(), &4.into()));
    assert!(status["bundle"]["digest"].as_str().unwrap().starts_with("sha256:"));
    let names: Vec<_> = status.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(names.iter().all(|name| ["agent", "bundle", "level", "records", "version"].contains(name)), "{names:?}");
    assert!(!status.to_string().contains(crate::bed::SECRET));
}

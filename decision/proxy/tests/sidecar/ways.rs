//! Captured connections, tunnels and the DNS stub, in a network of the test's own (see [`crate::namespace`]).

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aegis_decision::codes::Code;
use aegis_decision::egress::Egress;
use aegis_decision::record::{ConnectionRecord, ConnectionVerdict, Ended, ErrorClass, Way};
use bytes::Bytes;
use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::bed::{Answer, Bed, Records, Sidecar, Trial, WAIT};
use crate::control::Mesh;
use crate::namespace::{self, DNS, HOST, NOWHERE};
use crate::proxied::without_identity;

/// Lets the agent reach these hosts on port 443.
pub fn open(trial: &mut Trial, hosts: &[&str]) {
    let egress = |host: &&str| Egress { host: (*host).to_owned(), ports: vec![443], reason: "models".to_owned() };
    trial.source.agent.egress = hosts.iter().map(egress).collect();
    trial.source.agent.egress.sort_by(|one, other| one.host.cmp(&other.host));
    trial.grants.standing.review.as_mut().unwrap().digest = trial.source.agent.review_digest();
}

/// A sidecar that captures, in a world with a name server.
async fn captured(bed: &Bed) -> (Sidecar, Arc<Mutex<Vec<String>>>) {
    let asked = name_server().await;
    let command = namespace::as_sidecar(bed.command(), bed.folder.path());
    let sidecar = Sidecar::launch(command, bed.folder.path(), bed.keys.clone()).await;
    sidecar.until_ready().await;
    (sidecar, asked)
}

/// A host that says back what it hears, and counts who came.
pub async fn echo(address: &str) -> Arc<AtomicU64> {
    let listener = TcpListener::bind(address).await.unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    count
}

/// A `ClientHello`.
pub fn hello(name: &'static str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(name).unwrap();
    let mut bytes = Vec::new();
    rustls::ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

/// Dials where the packet rules redirect from, says this, and reads until the end or until as much came back.
async fn said(to: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    while answer.len() < bytes.len().max(1) {
        match timeout(WAIT, stream.read_buf(&mut answer)).await.expect("an answer or an end") {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    answer
}

/// One request on a connection to that address.
async fn asked(to: &str, host: &str, method: &str, path: &str, body: &str) -> Answer {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", host);
    let request = request.header("content-type", "application/json");
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    driver.abort();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

/// A tunnel through the sidecar as a proxy.
pub async fn tunnel(sidecar: &Sidecar, target: &str, version: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(sidecar.address).await.unwrap();
    let host = if version == "1.1" { format!("host: {target}\r\n") } else { String::new() };
    stream.write_all(format!("CONNECT {target} HTTP/{version}\r\n{host}\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
    }
    (stream, String::from_utf8(answer).unwrap())
}

pub async fn echoed(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    timeout(WAIT, stream.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, bytes);
}

/// Waits for the end of a connection that the sidecar ends.
pub async fn ended(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = timeout(WAIT, stream.read_to_end(&mut rest)).await.expect("the tunnel is ended");
}

fn end_of<'a>(records: &'a Records, record: &ConnectionRecord) -> &'a aegis_decision::record::ConnectionEndRecord {
    records.ends.iter().find(|end| end.connection == record.id).unwrap_or_else(|| panic!("{record:?} has no end"))
}

#[test]
fn captured_http_is_judged_like_the_base_url() {
    namespace::run("ways::captured_http_is_judged_like_the_base_url", || async {
        let bed = Bed::with(|trial| trial.source.tools[0].endpoint.host = "erp.example".to_owned()).await;
        let (sidecar, _) = captured(&bed).await;
        let port = bed.upstream.address.port();
        let host = format!("erp.example:{port}");
        let mut pairs = Vec::new();
        for (to, host) in [
            (format!("{NOWHERE}:{port}"), host.as_str()),
            (format!("{NOWHERE}:{port}"), "ERP.example"),
            (format!("[2600::9]:{port}"), host.as_str()),
        ] {
            for (method, path, body, status) in [
                ("GET", "/notes/1?fields=a", "", 200),
                ("POST", "/payments/9", r#"{"amount":50,"to":"ann"}"#, 201),
                ("POST", "/payments/9", r#"{"amount":500,"to":"ann"}"#, 403),
                ("GET", "/secrets", "", 403),
            ] {
                let own = sidecar.address.to_string();
                let base = asked(&own, &own, method, &format!("/ledger{path}"), body).await;
                let dialled = asked(&to, host, method, &format!("/v1{path}"), body).await;
                assert_eq!((base.status.as_u16(), dialled.status), (status, base.status), "{to} {path}: {dialled:?}");
                assert_eq!(base.json().get("code"), dialled.json().get("code"));
                pairs.push((base, dialled));
            }
        }
        let to = format!("{NOWHERE}:{port}");
        for (host, path, status, code) in [
            ("evil.example", "/v1/notes/1", 403, "unknown_host"),
            (NOWHERE, "/v1/notes/1", 403, "unknown_host"),
            (host.as_str(), "/v2/notes/1", 403, "unknown_host"),
            (host.as_str(), "/ledger/notes/1", 403, "unknown_host"),
            ("erp.example:1", "/v1/notes/1", 421, "misdirected"),
        ] {
            let answer = asked(&to, host, "GET", path, "").await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{host}{path}");
        }
        let h2c = format!("GET /v1/notes/1 HTTP/1.1\r\nhost: {host}\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n");
        assert!(said(&to, h2c.as_bytes()).await.starts_with(b"HTTP/1.1 400"));
        let connect = format!("CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        assert!(said(&to, connect.as_bytes()).await.starts_with(b"HTTP/1.1 400"));
        assert_eq!(bed.upstream.seen().len(), 12, "what is refused is not sent");
        let records = sidecar.stop().await;
        for (base, dialled) in pairs {
            let ((base, _), (dialled, _)) = (records.of(&base), records.of(&dialled));
            assert_eq!(without_identity(base), without_identity(dialled));
        }
        assert!(records.connections.is_empty(), "calls are judged, not let through by name");
    });
}

#[test]
fn captured_tls_goes_by_its_server_name_and_nothing_else_goes() {
    namespace::run("ways::captured_tls_goes_by_its_server_name_and_nothing_else_goes", || async {
        let bed = Bed::with(|trial| {
            open(trial, &["api.example", "inner.example", "metadata.example", "loop.example"]);
            trial.source.tools[1].endpoint.host = "erp.example".to_owned();
            trial.source.tools[1].endpoint.scheme = aegis_decision::tool::Scheme::Https;
            trial.source.tools[1].endpoint.port = 443;
        })
        .await;
        let host = echo(&format!("{HOST}:443")).await;
        let inside = echo("127.0.0.1:443").await;
        let (sidecar, _) = captured(&bed).await;
        let api = hello("api.example");
        // Whatever address the agent dials, of either family.
        for to in [format!("{NOWHERE}:443"), "[2600::9]:443".to_owned(), "169.254.169.254:443".to_owned()] {
            assert_eq!(said(&to, &api).await, api, "{to}");
        }
        assert_eq!(host.load(Ordering::SeqCst), 3);
        let to = format!("{NOWHERE}:443");
        let denied = [0x15, 3, 3, 0, 2, 2, 49];
        let cases: [(&str, Vec<u8>, Code); 9] = [
            ("other", hello("other.example"), Code::UnknownHost),
            ("tool", hello("erp.example"), Code::TunnelToTool),
            ("no name", hello("11.0.0.1"), Code::UnnamedConnection),
            ("h2c", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Code::UnnamedConnection),
            ("ssh", b"SSH-2.0-x\r\n".to_vec(), Code::UnnamedConnection),
            ("socks", vec![5, 1, 0], Code::UnnamedConnection),
            ("sslv2", vec![0x80, 0x2e, 1, 3, 1], Code::UnnamedConnection),
            ("postgres", vec![0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f], Code::UnnamedConnection),
            ("bad tls", vec![0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5], Code::UnnamedConnection),
        ];
        for (name, bytes, code) in &cases {
            let answer = said(&to, bytes).await;
            let refused_by_name = matches!(code, Code::UnknownHost | Code::TunnelToTool);
            assert_eq!(answer, if refused_by_name { denied.to_vec() } else { Vec::new() }, "{name}");
        }
        // A name of the list on another port, and names that lead into private networks.
        assert_eq!(said(&format!("{NOWHERE}:8443"), &api).await, denied);
        for name in ["inner.example", "metadata.example", "loop.example"] {
            assert_eq!(said(&to, &hello(name)).await, denied, "{name}");
        }
        // Straight to the capture port: nothing was captured.
        assert_eq!(said("127.0.0.1:15001", &api).await, b"");
        assert_eq!((host.load(Ordering::SeqCst), inside.load(Ordering::SeqCst)), (3, 0));
        let mut codes: Vec<_> = cases.iter().map(|(_, _, code)| *code).collect();
        codes.extend([Code::UnknownHost, Code::UnnamedConnection]);
        // The last one is closed before its record is on disk.
        let written = |records: &Records| (records.ends.len(), records.connections.len()) == (6, 6 + codes.len());
        let records = sidecar.records_until(written).await;
        let allowed: Vec<_> = records.connections.iter().filter(|it| it.verdict == ConnectionVerdict::Allow).collect();
        assert_eq!(allowed.len(), 6);
        for record in &allowed[..3] {
            assert_eq!((record.host.as_deref(), record.port, record.way), (Some("api.example"), 443, Way::Captured));
            let end = end_of(&records, record);
            assert_eq!((end.sent_bytes, end.received_bytes), (api.len() as u64, api.len() as u64));
        }
        for record in &allowed[3..] {
            let end = end_of(&records, record);
            assert_eq!((end.ended, end.error, end.sent_bytes), (Ended::NotConnected, Some(ErrorClass::Resolve), 0));
        }
        let refused: Vec<_> = records.connections.iter().filter_map(|record| record.code).collect();
        assert_eq!(refused, codes);
        let tool = records.connections.iter().find(|record| record.code == Some(Code::TunnelToTool)).unwrap();
        assert!(tool.detail.as_ref().unwrap().contains("AEGIS_TOOL_INNER_URL"), "{tool:?}");
        sidecar.stop().await;
    });
}

#[test]
fn a_tunnel_is_for_one_host_and_ends_with_its_leave() {
    namespace::run("ways::a_tunnel_is_for_one_host_and_ends_with_its_leave", || async {
        let mesh = Mesh::with(|trial| open(trial, &["*.store.example", "api.example"])).await;
        let host = echo(&format!("{HOST}:443")).await;
        name_server().await;
        let sidecar = mesh.captured().await;
        let api = hello("api.example");
        // TLS for its host, by both versions of the proxy protocol; and what is no TLS.
        for (version, bytes) in [("1.1", api.as_slice()), ("1.0", &api), ("1.1", b"hello, not tls")] {
            let (mut stream, answer) = tunnel(&sidecar, "api.example:443", version).await;
            assert!(answer.starts_with(&format!("HTTP/{version} 200")), "{answer}");
            assert!(answer.contains("aegis-decision: "), "{answer}");
            echoed(&mut stream, bytes).await;
            stream.shutdown().await.unwrap();
            ended(&mut stream).await;
        }
        // TLS for another host behind the same address (domain fronting), and for none.
        for other in ["other.example", "11.0.0.1"] {
            let (mut stream, _) = tunnel(&sidecar, "api.example:443", "1.1").await;
            let _ = stream.write_all(&hello(other)).await;
            ended(&mut stream).await;
        }
        let records = sidecar.records_until(|records| records.ends.len() == 5).await;
        let ends: Vec<_> = records.ends.iter().map(|end| (end.ended, end.code, end.sent_bytes)).collect();
        let fronted = (Ended::Policy, Some(Code::Misdirected), 0);
        let whole = api.len() as u64;
        assert_eq!(
            ends,
            [(Ended::Closed, None, whole), (Ended::Closed, None, whole), (Ended::Closed, None, 14), fronted, fronted]
        );

        // One egress entry goes: its tunnels end, by either way in. Nobody has reviewed the agent as it is now, so the
        // tunnel of the other entry ends, too; after the review it can be opened again.
        let (mut kept, _) = tunnel(&sidecar, "models.store.example:443", "1.1").await;
        let (mut lost, _) = tunnel(&sidecar, "api.example:443", "1.1").await;
        let mut dialled = TcpStream::connect(format!("{NOWHERE}:443")).await.unwrap();
        echoed(&mut kept, b"before").await;
        echoed(&mut lost, b"before").await;
        echoed(&mut dialled, &api).await;
        let began = Instant::now();
        mesh.control.set(|told| {
            told.version = 2;
            told.source.agent.egress.retain(|entry| entry.host != "api.example");
        });
        ended(&mut lost).await;
        ended(&mut dialled).await;
        ended(&mut kept).await;
        println!("ended {} ms after the policy was tightened", began.elapsed().as_millis());
        mesh.control.set(|told| {
            told.grants.standing.review.as_mut().unwrap().digest = told.source.agent.review_digest();
        });
        let (mut later, _) = tunnel_or_answer(&sidecar, "models.store.example:443").await;
        echoed(&mut later, b"still").await;

        // A suspended agent has no tunnel.
        let began = Instant::now();
        mesh.control.suspend();
        ended(&mut later).await;
        println!("ended {} ms after the suspension", began.elapsed().as_millis());
        let (_, answer) = tunnel(&sidecar, "models.store.example:443", "1.1").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        let records = sidecar.records_until(|records| records.ends.len() == 9).await;
        let mut by_policy: Vec<_> = records.ends[5..].iter().map(|end| (end.ended, end.code.unwrap())).collect();
        by_policy.sort_by_key(|(_, code)| *code);
        let codes = [Code::UnknownHost, Code::UnknownHost, Code::AgentNotActive, Code::AgentNotReviewed];
        assert_eq!(by_policy, codes.map(|code| (Ended::Policy, code)));
        assert!(host.load(Ordering::SeqCst) >= 9);
        let metrics = sidecar.metrics().await;
        assert!(metrics.contains("\naegis_tunnels_open 0\n"), "{metrics}");
    });
}

/// A tunnel, once the policy is in use that allows it.
async fn tunnel_or_answer(sidecar: &Sidecar, target: &str) -> (TcpStream, String) {
    let end = Instant::now() + WAIT;
    loop {
        let (stream, answer) = tunnel(sidecar, target, "1.1").await;
        if answer.starts_with("HTTP/1.1 200") {
            return (stream, answer);
        }
        assert!(Instant::now() < end, "{answer}");
    }
}

#[test]
fn floods_and_silence_are_bounded() {
    namespace::run("ways::floods_and_silence_are_bounded", || async {
        const FLOOD: u64 = 2000;
        let bed = Bed::with(|trial| open(trial, &["api.example"])).await;
        let host = echo(&format!("{HOST}:443")).await;
        let (sidecar, _) = captured(&bed).await;
        let to = format!("{NOWHERE}:443");
        let began = Instant::now();
        let mut silent = TcpStream::connect(&to).await.unwrap();
        let mut slow = TcpStream::connect(&to).await.unwrap();
        slow.write_all(&hello("api.example")[..100]).await.unwrap();
        let flood = async {
            for _ in 0..FLOOD / 20 {
                let connections = (0..20).map(|_| said(&to, b"\x05\x01\0"));
                futures::future::join_all(connections).await;
            }
        };
        let closed = async {
            ended(&mut silent).await;
            ended(&mut slow).await;
            began.elapsed()
        };
        let (closed, ()) = tokio::join!(closed, flood);
        assert!(closed >= Duration::from_secs(9), "{closed:?}");
        let api = hello("api.example");
        assert_eq!(said(&to, &api).await, api, "the sidecar goes on");
        assert_eq!(host.load(Ordering::SeqCst), 1);
        let records = sidecar.stop().await;
        let refused = records.connections.iter().filter(|record| record.code == Some(Code::UnnamedConnection));
        let (count, sum) = refused.fold((0, 0), |(count, sum), record| (count + 1, sum + record.count));
        assert_eq!(sum, FLOOD + 2, "none goes unseen");
        assert!(count < 200, "{count} records");
    });
}

/// A name server that counts the bytes of names that it is asked for, and answers each `flip.example` with another address.
pub async fn name_server() -> Arc<Mutex<Vec<String>>> {
    let socket = UdpSocket::bind(format!("{DNS}:53")).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        let mut flips = 0;
        loop {
            let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let message = Message::from_vec(&buffer[..length]).unwrap();
            let query = message.queries[0].clone();
            let name = query.name().to_ascii();
            asked.lock().unwrap().push(name.clone());
            let mut answer = Message::response(message.metadata.id, OpCode::Query);
            answer.add_query(query.clone());
            if query.query_type() == RecordType::A {
                // The first answer is good, all later ones lead inside.
                flips += u32::from(name.starts_with("flip."));
                let address = if name.starts_with("flip.") && flips > 1 { "127.0.0.1" } else { HOST };
                let data = RData::A(A(address.parse().unwrap()));
                answer.add_answer(Record::from_rdata(query.name().clone(), 0, data));
            }
            socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        }
    });
    seen
}

/// Asks the agent's name server, which the packet rules make the stub.
async fn resolve(socket: &UdpSocket, name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    socket.send(&message.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 4096];
    let length = timeout(WAIT, socket.recv(&mut buffer)).await.unwrap().unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(answer.metadata.id, message.metadata.id);
    answer
}

#[test]
fn the_stub_answers_for_reachable_names_and_carries_nothing() {
    namespace::run("ways::the_stub_answers_for_reachable_names_and_carries_nothing", || async {
        let bed = Bed::with(|trial| {
            open(trial, &["*.wild.example", "api.example", "inner.example", "upstream.example"]);
            trial.source.tools[0].endpoint.host = "erp.example".to_owned();
        })
        .await;
        let (sidecar, seen) = captured(&bed).await;
        let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        socket.connect(format!("{NOWHERE}:53")).await.unwrap();
        for (name, kind, code, addresses) in [
            ("api.example.", RecordType::A, ResponseCode::NoError, vec![HOST]),
            ("API.example.", RecordType::A, ResponseCode::NoError, vec![HOST]),
            ("api.example.", RecordType::AAAA, ResponseCode::NoError, vec![]),
            ("api.example.", RecordType::TXT, ResponseCode::NoError, vec![]),
            ("erp.example.", RecordType::A, ResponseCode::NoError, vec!["127.0.0.1"]),
            ("upstream.example.", RecordType::A, ResponseCode::NoError, vec![HOST]),
            ("a.wild.example.", RecordType::A, ResponseCode::NoError, vec![HOST]),
            // Private, and not a tool that may be.
            ("inner.example.", RecordType::A, ResponseCode::ServFail, vec![]),
            ("evil.example.", RecordType::A, ResponseCode::NXDomain, vec![]),
            ("api.example.shop.svc.cluster.local.", RecordType::A, ResponseCode::NXDomain, vec![]),
            ("kubernetes.default.svc.", RecordType::A, ResponseCode::NXDomain, vec![]),
        ] {
            let answer = resolve(&socket, name, kind).await;
            assert_eq!(answer.metadata.response_code, code, "{name} {kind}");
            let found: Vec<_> = answer.answers.iter().map(|record| record.data.to_string()).collect();
            assert_eq!(found, addresses, "{name} {kind}");
            assert!(answer.answers.iter().all(|record| record.ttl <= 5));
        }
        // The same by TCP.
        let mut stream = TcpStream::connect(format!("{NOWHERE}:53")).await.unwrap();
        for name in ["api.example.", "evil.example."] {
            let mut message = Message::query();
            message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
            let bytes = message.to_vec().unwrap();
            stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), usize::from(name == "api.example."));
        }
        {
            let mut seen = seen.lock().unwrap();
            let reachable = ["api", "erp", "inner", "upstream", "a.wild"].map(|name| format!("{name}.example."));
            assert!(seen.iter().all(|name| reachable.contains(name)), "{seen:?}");
            seen.clear();
        }

        // THR-4: a megabyte in names that are not allowed, below an exact name, and below a wildcard.
        let began = Instant::now();
        let mut pushed = [0; 3];
        for (at, parent) in ["evil.example.", "api.example.", "wild.example."].into_iter().enumerate() {
            let mut chunk = 0_u64;
            while pushed[at] < 1_000_000 {
                let label = format!("{chunk:063}");
                let mut message = Message::query();
                message.add_query(Query::query(Name::from_ascii(format!("{label}.{parent}")).unwrap(), RecordType::A));
                // The stub drops what it cannot take: the agent pushes on.
                let _ = socket.send(&message.to_vec().unwrap()).await;
                pushed[at] += label.len();
                chunk += 1;
            }
        }
        let seconds = began.elapsed().as_secs().max(1);
        sidecar.until(|| sidecar.ready(), |answer| answer.status.is_success()).await;
        let arrived = |parent: &str| -> usize {
            let seen = seen.lock().unwrap();
            let below = |name: &&String| name.ends_with(parent) && name.len() > 60;
            let names: std::collections::BTreeSet<_> = seen.iter().filter(below).collect();
            names.len() * 63
        };
        let (evil, exact, wild) = (arrived(".evil.example."), arrived(".api.example."), arrived(".wild.example."));
        println!(
            "pushed {pushed:?} bytes in {seconds} s; arrived: {evil} forbidden, {exact} below exact, {wild} below wildcard"
        );
        assert_eq!((evil, exact), (0, 0));
        assert!(wild <= 63 * (30 + usize::try_from(seconds).unwrap() + 1), "{wild}");
        let metrics = sidecar.metrics().await;
        assert!(metrics.contains(r#"aegis_dns_questions_total{answer="no_name"}"#), "{metrics}");
        assert!(metrics.contains(r#"aegis_dns_questions_total{answer="limited"}"#), "{metrics}");
    });
}

#[test]
fn a_name_that_flips_never_leads_inside() {
    namespace::run("ways::a_name_that_flips_never_leads_inside", || async {
        let bed = Bed::with(|trial| open(trial, &["flip.example"])).await;
        let (host, inside) = (echo(&format!("{HOST}:443")).await, echo("127.0.0.1:443").await);
        let (sidecar, _) = captured(&bed).await;
        let flip = hello("flip.example");
        let mut reached = 0;
        for _ in 0..10 {
            if said(&format!("{NOWHERE}:443"), &flip).await == flip {
                reached += 1;
            }
        }
        assert_eq!((host.load(Ordering::SeqCst), inside.load(Ordering::SeqCst)), (reached, 0));
        assert!(reached >= 1);
        let records = sidecar.stop().await;
        let resolved = records.ends.iter().filter(|end| end.error == Some(ErrorClass::Resolve)).count() as u64;
        assert_eq!(resolved + reached, 10);
    });
}

#[test]
fn after_the_sidecar_is_killed_nothing_goes_through() {
    namespace::run("ways::after_the_sidecar_is_killed_nothing_goes_through", || async {
        let bed = Bed::with(|trial| open(trial, &["api.example"])).await;
        let host = echo(&format!("{HOST}:443")).await;
        let (sidecar, _) = captured(&bed).await;
        let mut stream = TcpStream::connect(format!("{NOWHERE}:443")).await.unwrap();
        let api = hello("api.example");
        echoed(&mut stream, &api).await;
        let pid = sidecar.pid().to_string();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        ended(&mut stream).await;
        let to: SocketAddr = format!("{HOST}:443").parse().unwrap();
        // The listeners of a process that dies close one after the other.
        let end = Instant::now() + WAIT;
        while TcpStream::connect(to).await.is_ok() {
            assert!(Instant::now() < end, "the rules outlive the sidecar");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(host.load(Ordering::SeqCst), 1);
    });
}
